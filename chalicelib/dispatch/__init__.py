"""Dispatch: stored changes become deliveries of the integrations that asked for them."""
