"""The simulator of replicas beside a real engine on this machine's cores."""
