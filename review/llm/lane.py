"""How many calls at once an endpoint bears: found out as TCP finds out a network's capacity.

Up while the calls that are allowed are all in use and come back well (at first quickly, after
the first cut by one a round); down by a fifth on 429 and 5xx, by a tenth where the calls take
twice as long as they did (then they wait in the server instead of here). Source: RFC 5681,
slow start and congestion avoidance; Chiu and Jain 1989 say why it is fair.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

FIRST = 4.0  # calls at once, of an endpoint about which nothing is known
CUT, EASE = 0.8, 0.9
SLOW = 2.0  # times the usual seconds
FEW = 4.0  # below, slow calls are no sign of a crowd
SMOOTHING = 0.05  # of the mean seconds: the last 20 calls or so


@dataclass
class Lane:
    """The calls of this process to one endpoint. Its coroutines run on one loop.

    limit: calls at once by all processes together. ceiling: what the operator allows.
    sharers: how many processes share it.
    """

    ceiling: int = 32
    limit: float = FIRST
    sharers: int = 1
    busy: int = 0
    seconds: float = 0.0  # of a call, lately
    usual: float = 0.0  # at the best
    starting: bool = True  # nothing has cut it yet
    cut_at: float = 0.0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque, repr=False)

    @property
    def room(self) -> int:
        """Calls at once for this process."""
        return max(1, int(min(self.limit, self.ceiling) / self.sharers))

    async def enter(self, patience: float) -> bool:
        """Wait for a turn, at most `patience` seconds; who got one must `leave`."""
        if self.busy < self.room and not self._waiting:
            self.busy += 1
            return True
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            async with asyncio.timeout(patience):
                await mine
        except TimeoutError:
            if mine.cancelled():
                return False
        except asyncio.CancelledError:
            if not mine.cancelled():
                self.leave()  # it was given the turn in the same moment
            raise
        return True

    def leave(self) -> None:
        self.busy -= 1
        self.wake()

    def wake(self) -> None:
        """Let in who waits, as far as there is room."""
        while self._waiting and self.busy < self.room:
            following = self._waiting.popleft()
            if not following.done():
                self.busy += 1
                following.set_result(None)

    def went_well(self, began: float) -> None:
        """A call that began at this moment of `time.monotonic()` was answered."""
        now = time.monotonic()
        took = now - began
        self.seconds += (took - self.seconds) * (SMOOTHING if self.seconds else 1)
        if self.limit <= FEW:  # no crowd: if calls take longer now, then that is usual
            self.usual += (self.seconds - self.usual) * (SMOOTHING if self.usual else 1)
        self.usual = min(self.usual or self.seconds, self.seconds)
        if self.seconds > SLOW * self.usual and self.limit > FEW:
            if now - self.cut_at > 20 * self.seconds / self.room:  # seen in the mean by now
                self._cut(EASE, now)
        elif self.busy >= self.room:
            self.limit += 1 if self.starting else 1 / self.limit
            self.limit = min(self.limit, self.ceiling)

    def went_badly(self, began: float) -> None:
        """A call that began then met 429 or 5xx. Calls of one crowd count once."""
        if began > self.cut_at:
            self._cut(CUT, time.monotonic())

    def _cut(self, share: float, now: float) -> None:
        self.limit = max(1.0, min(self.limit, self.ceiling) * share)
        self.starting = False
        self.cut_at = now
