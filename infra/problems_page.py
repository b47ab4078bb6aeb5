"""The page of docs that lists every problem of the API, made of the API's own table.

``python -m infra.problems_page`` writes it; a test fails while it is not up to date.
"""

from __future__ import annotations

from pathlib import Path

from chalicelib.api.problems import KINDS, type_of

PAGE = Path(__file__).parents[1] / "docs" / "problems.md"
_HEAD = """# Problems

Every error of the API is a problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)
(`application/problem+json`) with `type`, `title`, `status` and `detail`; `invalid-body` also has `errors`, a
JSON pointer and a text for each member that is wrong. A `type` keeps its meaning for ever. `GET` it from the
hub, and it explains itself; `GET /problems` lists all. This page is made of the code by `make docs`.

| type | status | title | what to do |
|---|---|---|---|
"""


def page() -> str:
    """Return the page as it should be."""
    rows = sorted(KINDS.items(), key=lambda row: (row[1].status, row[0]))
    lines = [
        f"| `{type_of(slug)}` | {kind.status} | {kind.title} | {kind.remedy} |"
        for slug, kind in rows
    ]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
