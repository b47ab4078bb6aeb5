"""The read-only view of the hub in the words of OGC SensorThings 1.1, for tools that speak that standard."""
