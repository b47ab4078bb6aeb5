"""A client of DynamoDB that counts what is read through it."""

from __future__ import annotations

import math
from typing import Any

from infra.meter import size_of


class Counting:
    """A DynamoDB client that counts the queries, the items they return and the units they cost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.queries = 0
        self.items = 0
        self.units = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        answer = self._client.query(**arguments)
        self.queries += 1
        self.items += len(answer["Items"])
        size = sum(size_of(item) for item in answer["Items"])
        self.units += max(math.ceil(size / 4096), 1) / (1 if arguments["ConsistentRead"] else 2)
        return answer
