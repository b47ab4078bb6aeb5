"""What the caller can put right, said in one line."""

from __future__ import annotations

import errno


class MistakeError(Exception):
    """Something only the caller can put right: the run ends with this one line and exit code 2."""


_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def no_space(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, means that the disk is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NO_SPACE:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
