"""All reading and writing of the cluster: plain data in and out; nothing decides here."""
