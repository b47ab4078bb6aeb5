"""Benchmarks: what the hub costs, side by side with the least that the same work could cost."""
