"""Layer 2: models served by Ray on this machine, or by a Ray cluster that runs. No Kubernetes."""
