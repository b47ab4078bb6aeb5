"""Receipts: the hub's acknowledgement of one payload.

A receipt's id carries the arrival time, the connection and a digest of the payload, so that it finds
the payload in the archive without an index item a payload: ``rcp_<ms, hex>_<connection>_<digest>``.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

_FORM = re.compile(r"rcp_([0-9a-f]{11})_([0-9a-z]{1,40})_([0-9a-f]{20})")


class Receipt(NamedTuple):
    """The parts of a receipt's id."""

    received_at: int
    connection_id: str
    digest: str


def receipt_id(connection_id: str, received_at: int, topic: str, body: bytes) -> str:
    """Return the receipt of a payload that arrived at a moment (ms) through a connection."""
    name = connection_id.removeprefix("con_")
    content = hashlib.blake2b(topic.encode("utf-8", "surrogatepass") + b"\0" + body, digest_size=10)
    content.update(connection_id.encode())
    return f"rcp_{received_at:011x}_{name}_{content.hexdigest()}"


def parse(text: str) -> Receipt | None:
    """Return the parts of a receipt's id, or ``None`` if it is none of ours."""
    match = _FORM.fullmatch(text)
    return Receipt(int(match[1], 16), f"con_{match[2]}", match[3]) if match else None


def arrival_of(text: str) -> int:
    """Return when a receipt's payload arrived, in milliseconds (0 for a text that is no receipt)."""
    receipt = parse(text)
    return receipt.received_at if receipt else 0
