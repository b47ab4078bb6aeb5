"""What a cold start imports: each entry point in fresh interpreters, beside what it cannot do without."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

_SAY = "import sys, time; print(time.process_time_ns() / 1e6, len(sys.modules))"
CASES: dict[str, str] = {
    "nothing": "",
    "boto3, three clients": (
        "import boto3\n"
        "for each in ('dynamodb', 'sqs', 's3'): boto3.client(each, region_name='eu-west-1')"
    ),
    "chalice": "import chalice",
    "ingress": "import app; from chalicelib.ingress import http",
    "api": "import app; from chalicelib.api import entry",
    "normalize": "import app; from chalicelib.normalize import entry",
    "project": "import app; from chalicelib.project import entry",
    "dispatch": "import app; from chalicelib.dispatch import entry",
    "deliver": "import app; from chalicelib.deliver import entry",
    "sweep": "import app; from chalicelib.deliver import parked; from chalicelib.project import silence",
}
"""``boto3`` is what every handler needs before its first call; ``chalice`` what every entry point needs."""


class Row(NamedTuple):
    """CPU milliseconds from the interpreter's start, and modules."""

    what: str
    milliseconds: float
    modules: int


def measure(*, rounds: int = 5) -> list[Row]:
    """Measure every case, in turns."""
    found: dict[str, Row] = {}
    for _ in range(rounds):
        for what, code in CASES.items():
            command = [sys.executable, "-c", f"{code}\n{_SAY}"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own code
            milliseconds, modules = said.split()[-2:]
            row = Row(what, float(milliseconds), int(modules))
            if what not in found or row.milliseconds < found[what].milliseconds:
                found[what] = row
    return list(found.values())


def table(rows: list[Row]) -> str:
    """Return the rows as a text table."""
    least = next(row.milliseconds for row in rows if row.what == "boto3, three clients")
    head = f"{'imported':24}{'CPU ms':>9}{'modules':>9}{'of boto3':>10}"
    lines = [head, "-" * len(head)]
    lines += [
        f"{r.what:24}{r.milliseconds:9.0f}{r.modules:9}{r.milliseconds / least:9.2f}x" for r in rows
    ]
    return "\n".join(["Imports of a cold start (interpreter included)", *lines])
