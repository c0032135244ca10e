"""Layer 2: what was decided and what is, in the words of the API's status. Pure."""
