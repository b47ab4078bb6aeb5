"""The query and admin API: one table of routes, from which routing, validation and OpenAPI come."""

from chalicelib.api.answering import handle
from chalicelib.api.http import Request, Response

__all__ = ["Request", "Response", "handle"]
