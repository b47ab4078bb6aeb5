"""A resolver that says what it is told, and never asks a network."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from chalicelib.model.addresses import Address

PUBLIC = "93.184.215.14"
Answer = str | list[str] | OSError


class Names:
    """Says one answer after another, and the last again and again; other names are public."""

    def __init__(self, **answers: list[Answer]) -> None:
        """Take answers by name (``_`` stands for a dot)."""
        self.answers = {name.replace("_", "."): said for name, said in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int, _seconds: float) -> Sequence[Address]:
        self.asked.append(host)
        script = self.answers.get(host, [PUBLIC])
        said = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(said, OSError):
            raise said
        return [ip_address(each) for each in ([said] if isinstance(said, str) else said)]
