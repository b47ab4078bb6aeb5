"""Project: what follows from stored records: latest values, presence, devices, alerts."""
