"""Sync: what the hub does at vendors; whatever they say comes back through the inbound queue."""
