"""Requests to strangers' endpoints: the one guarded way out, for deliveries and for vendors' APIs."""
