"""I/O layer that reads model descriptions from a folder or a hub.

It sits beside kube and local, above plan. What is pure here (the reading of a config.json that is
in memory) touches nothing; ``local_folder`` opens files and ``hub`` opens connections.
"""
