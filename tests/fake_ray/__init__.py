"""A fake of Ray: what its dashboard, its proxies and a served model answer over HTTP.

No Ray runs here. The fake is an HTTP forward proxy: a process that has it as ``HTTP_PROXY`` asks
for the names and addresses of the cluster, and gets the fake's answers by host name.
"""
