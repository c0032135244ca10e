"""``python -m freehold``: the command, where it is not on the path."""

from freehold.cli.main import main

main()
