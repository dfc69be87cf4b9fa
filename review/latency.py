"""How long the web takes to answer a decision: counted by all of its processes together.

In memory that is made before gunicorn forks (--preload), so that each of its processes sees what
all have counted. No file: on a full disk, a pick must still go through.
"""

from __future__ import annotations

import mmap
import os
import threading

from django.http import HttpRequest

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, at most
# Names of addresses: a POST there stores a decision.
DECIDING = {"choose", "correct", "none", "skip", "api:decisions"}

WIDTH = len(BOUNDS) + 2  # a count for each bound, one for what took longer, and the sum of seconds
SLOTS = 256  # a process has that of its number; who comes after it counts on
_cells = memoryview(mmap.mmap(-1, SLOTS * WIDTH * 8)).cast("d")
_counting = threading.Lock()


def note(request: HttpRequest, status: int, seconds: float) -> None:
    """Count the request, if it was a decision that was taken."""
    match = request.resolver_match
    if request.method != "POST" or status >= 400 or match is None:
        return
    if match.view_name not in DECIDING:
        return
    place = next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
    slot = os.getpid() % SLOTS * WIDTH
    with _counting:
        _cells[slot + place] += 1
        _cells[slot + WIDTH - 1] += seconds


def counted() -> tuple[list[int], float]:
    """For each bound, and for what took longer, how many; and the seconds of all."""
    sums = [sum(_cells[place::WIDTH]) for place in range(WIDTH)]
    return [int(count) for count in sums[:-1]], sums[-1]
