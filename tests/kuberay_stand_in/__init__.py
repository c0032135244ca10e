"""A stand-in for KubeRay's operator, for tests on machines that have no real one.

It is no KubeRay: README.md beside this file says what it does and what it leaves out.
"""
