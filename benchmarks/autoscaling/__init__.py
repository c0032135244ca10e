"""Autoscaling policies, measured on public production traces in a simulator of replicas."""
