"""Deliver: one attempt at a time; decides done, later, or never, and remembers what failed."""
