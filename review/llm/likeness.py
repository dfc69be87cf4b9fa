"""Which labelled documents are most like this one: by their words, without a service.

Each document is the words and word pairs of its gist, hashed by scikit-learn, so that nothing is
fitted and a new one is a row more; rare ones weigh more, by the pool as it is now. How like two
are is the cosine of the angle between them: 0 to 1. Why so: docs/decisions/0010.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .reading import beginning, gist

COMPARED = 1000  # characters of a document's gist that are compared
SHORT = 200  # and those that are shown of an example, besides its title
FEATURES = 2**20
NEAR_COPY = 0.5  # a document as like as this is the same one again: it teaches nothing
WORDS = r"[\u3040-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u9fff\uac00-\ud7af]{2,}"


@dataclass(frozen=True)
class Example:
    """A labelled document in short. likeness: to the one asked about; `id`: the pool's key."""

    title: str
    text: str
    tags: tuple[str, ...]
    likeness: float = 0.0
    id: str = ""


Row = tuple[str, str, str, tuple[str, ...]]  # id, title, text, tags


@dataclass(frozen=True)
class _Held:
    """All rows as they are at one moment; replaced as a whole, so that readers need no lock."""

    examples: tuple[Example, ...]
    counts: Any  # a sparse matrix, a row an example: 1 + ln(how often) of each word and pair
    weights: Any  # of each word and pair, squared
    lengths: Any  # of each row, weighted


class Pool:
    """Labelled documents to find like ones in. Several threads may use one at once."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._changing = threading.Lock()
        self._held: _Held | None = None
        self.add(rows)

    def __len__(self) -> int:
        return len(self._held.examples) if self._held else 0

    def add(self, rows: Iterable[Row], drop: Collection[str] = ()) -> None:
        """Take in these, in place of those with the same ids; and leave out those of `drop`."""
        rows = list(rows)
        if not rows and not drop:
            return
        from scipy.sparse import vstack  # here: with scikit-learn two seconds, 80 MB

        gone = {row[0] for row in rows} | set(drop)
        new = _counted([comparable(title, text) for _id, title, text, _tags in rows])
        examples = [
            Example(title, short(title, text), tags, id=id) for id, title, text, tags in rows
        ]
        with self._changing:
            had = self._held
            if had is not None:
                stay = [at for at, one in enumerate(had.examples) if one.id not in gone]
                kept = had.counts if len(stay) == len(had.examples) else had.counts[stay]
                new = vstack([kept, new], format="csr") if rows else kept
                examples = [*(had.examples[at] for at in stay), *examples]
            self._held = _weighed(examples, new)

    def nearest(
        self, title: str, text: str, count: int, besides: Collection[str] = ()
    ) -> list[Example]:
        """The `count` examples most like the document, the likest first.

        Never those of these ids, never a copy or near-copy of the document, and no two that are
        near-copies of each other. None without a word in common.
        """
        import numpy as np

        held = self._held
        if held is None or not held.examples or count < 1:
            return []
        cosines = _cosines(held, _counted([comparable(title, text)]))
        found: list[int] = []
        for at in np.argsort(-cosines, kind="stable"):
            likeness = cosines[at]
            if likeness <= 0 or len(found) == count:
                break
            if likeness >= NEAR_COPY or held.examples[at].id in besides:
                continue
            if found and _cosines(held, held.counts[[at]], found).max() >= NEAR_COPY:
                continue
            found.append(int(at))
        return [_at(held, at, float(cosines[at])) for at in found]

    def shared(self, title: str, text: str, id: str, count: int = 5) -> list[str]:
        """The words and pairs for which this example is like the document, the weightiest first."""
        from sklearn.utils import murmurhash3_32

        held = self._held
        places = [at for at, one in enumerate(held.examples) if one.id == id] if held else []
        if held is None or not places:
            return []
        row = held.counts[[places[0]]]
        counted = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        mine: dict[str, float] = {}
        for said in _vectorizer().build_analyzer()(comparable(title, text)):
            place = abs(murmurhash3_32(said, seed=0)) % FEATURES
            if place in counted:
                mine[said] = counted[place] * held.weights[place]
        first: list[str] = []
        for said in sorted(mine, key=lambda said: (-mine[said], said)):
            if not any(set(said.split()) & set(other.split()) for other in first):
                first.append(said)
        return first[:count]


def comparable(title: str, text: str) -> str:
    return gist(title, text, COMPARED)[0]


def short(title: str, text: str) -> str:
    """The beginning of the document's gist, in one line, without its title."""
    shown = comparable(title, text).removeprefix(" ".join(title.split())[:200])
    return beginning(" ".join(shown.split()), SHORT)


@functools.cache
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=FEATURES,
        ngram_range=(1, 2),
        token_pattern=WORDS,
        stop_words="english",
        alternate_sign=False,
        norm=None,
        dtype="float32",
    )


def _counted(texts: Sequence[str]) -> Any:
    """A row a text; what is said often counts little more than what is said once."""
    import numpy as np

    counts = _vectorizer().transform(texts) if texts else _vectorizer().transform([""])[:0]
    counts.data = (1 + np.log(counts.data)).astype("float32")
    counts.sum_duplicates()
    return counts


def _weighed(examples: Sequence[Example], counts: Any) -> _Held:
    """With the weights of the words in these documents, as by scikit-learn's TfidfTransformer."""
    import numpy as np

    held_by = np.bincount(counts.indices, minlength=FEATURES)
    weights = (np.log((1 + len(examples)) / (1 + held_by)) + 1).astype("float32") ** 2
    squares = counts.copy()
    squares.data **= 2
    lengths = np.sqrt(squares @ weights)
    return _Held(tuple(examples), counts, weights, np.maximum(lengths, 1e-9))


def _cosines(held: _Held, one: Any, rows: Sequence[int] | None = None) -> Any:
    """Of this one with each row, or with some."""
    import numpy as np

    weighted = np.zeros(FEATURES, dtype="float32")
    weighted[one.indices] = one.data * held.weights[one.indices]
    length = np.sqrt(float((one.data**2 * held.weights[one.indices]).sum()))
    counts = held.counts if rows is None else held.counts[rows]
    lengths = held.lengths if rows is None else held.lengths[rows]
    return (counts @ weighted) / (lengths * max(length, 1e-9))


def _at(held: _Held, at: int, likeness: float) -> Example:
    one = held.examples[at]
    return Example(one.title, one.text, one.tags, round(likeness, 4), one.id)
