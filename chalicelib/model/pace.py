"""A pace: so many in so many seconds, used up at once or evenly, and refilled evenly."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pace:
    """A bucket of ``requests`` that refills within ``seconds``.

    It knows one moment, at which it will be full again (``full_at``, in milliseconds times ``requests``,
    so that nothing is ever rounded).
    """

    requests: int
    seconds: int
    full_at: int = 0

    def left(self, now: int) -> int:
        """Return how many may be taken at a moment (ms)."""
        return max(0, (self._whole - self._missing(now)) // self._each)

    def taken(self, count: int, now: int) -> Pace:
        """Return the pace after ``count`` were taken."""
        full_at = now * self.requests + self._missing(now) + count * self._each
        return replace(self, full_at=full_at)

    def wait(self, now: int, count: int = 1) -> int:
        """Return after how many milliseconds so many may be taken, 0 if now."""
        return max(0, -((self._whole - self._missing(now) - count * self._each) // self.requests))

    def full_in(self, now: int) -> int:
        """Return after how many milliseconds all may be taken at once."""
        return -(-self._missing(now) // self.requests)

    @property
    def _each(self) -> int:
        return self.seconds * 1000

    @property
    def _whole(self) -> int:
        return self.seconds * 1000 * self.requests

    def _missing(self, now: int) -> int:
        # A clock that was ahead elsewhere never leaves more missing than there is.
        return min(max(0, self.full_at - now * self.requests), self._whole)
