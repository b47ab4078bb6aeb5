"""Ingress: the doors for vendors.  Authenticates, bounds, queues, answers 202; looks into nothing."""
