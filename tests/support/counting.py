"""What reading costs, counted."""

from __future__ import annotations

from typing import Any


class Counting:
    """A DynamoDB client that counts the queries and the items they return."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.queries = 0
        self.items = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        answer = self._client.query(**arguments)
        self.queries += 1
        self.items += len(answer["Items"])
        return answer
