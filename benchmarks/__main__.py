"""``python -m benchmarks [adapters] [imports]``: all of them, or those named."""

from __future__ import annotations

import sys

from benchmarks import adapters, imports

_ALL = {
    "adapters": lambda: adapters.table(adapters.measure()),
    "imports": lambda: imports.table(imports.measure()),
}


def main(names: list[str]) -> int:
    """Run benchmarks and print their tables; return the exit code."""
    unknown = [name for name in names if name not in _ALL]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(_ALL)}", file=sys.stderr)
        return 2
    for name in names or _ALL:
        print(_ALL[name](), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
