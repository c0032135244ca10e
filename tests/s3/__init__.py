"""A real S3 server on this machine: Versity's gateway over a folder."""
