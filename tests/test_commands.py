"""The commands that the documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_every_make_command_of_the_documents_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        command
        for document in DOCUMENTS
        for command in re.findall(r"(?:`|^)make ([a-z]+)", document.read_text(), re.MULTILINE)
    }

    assert named >= {"run", "test"}
    assert named <= targets
