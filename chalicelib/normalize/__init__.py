"""Normalize: queued payloads become stored records.  Archives first, reads nothing to decide."""
