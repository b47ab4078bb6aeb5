"""Normalize: queued payloads become stored records.  Archives first, reads nothing to decide.

Beside the records it notices how the vendor's messages look and how many come (:mod:`.watch`): that
decides nothing about any record.
"""
