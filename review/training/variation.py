"""The tag list as one lesson sees it: so that the model follows the list instead of remembering it.

Without this it keeps proposing tags that a curator has retired, and never a new one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence

LEAST_KEPT = 0.4  # of the tags, where some are left out
RENAMED = 0.2  # of those that have synonyms, where some are renamed


def varied(
    synonyms: Mapping[str, Sequence[str]],
    needed: Collection[str],
    share: float,
    chance: random.Random,
) -> dict[str, str]:
    """Name → the name that is shown, in the order in which the list is shown.

    synonyms: of each tag by its name. needed: tags that stay, because documents have them.
    share: how often, from 0 to 1, tags are left out; likewise, each for itself, renamed to
    synonyms, and shuffled. Else all are shown, as they are called, sorted: as in production.
    """
    names = sorted(synonyms)
    if chance.random() < share:
        count = chance.randint(math.ceil(len(names) * LEAST_KEPT), len(names))
        others = [name for name in names if name not in needed]
        chance.shuffle(others)
        names = sorted({*needed, *others[: max(0, count - len(needed))]})
    shown = {name: name for name in names}
    if chance.random() < share:
        taken = {name.casefold() for name in names}
        for name in names:
            if synonyms[name] and chance.random() < RENAMED:
                synonym = chance.choice(synonyms[name])
                if synonym.casefold() not in taken:
                    taken.add(synonym.casefold())
                    shown[name] = synonym
    order = list(shown.items())
    if chance.random() < share:
        chance.shuffle(order)
    else:
        order.sort(key=lambda pair: pair[1])
    return dict(order)
