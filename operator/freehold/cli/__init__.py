"""Layer 4: the command line. Reads arguments and files, prints answers; decides nothing itself."""
