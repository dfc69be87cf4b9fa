"""Which tags are likely for a document, by its words alone: no language model is asked.

A few clues for each tag are put together to the probability that it is among the best:

- what labelled documents with such words were given, by a ridge regression of the tags on the
  words' TF-IDF weights. Each tag's own profile (name, synonyms, description) is an example too,
  so that a tag which no document has yet is not lost. And what the most similar ones were given;
- whether its name and its synonyms stand in the title, the opening, the rest.

A clue weighs the same for all tags. The weights were fitted by logistic regression on labelled
READMEs, and are all that is left of these: tests/bench/rank.py, docs/quality.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

from .reading import blocks, without_asides

Floats = npt.NDArray[np.floating[Any]]
Tags = tuple[str, ...]

MOST_LOOKED_AT = 8000  # characters of a document,
MOST_OF_EXAMPLE = 3000  # and of an example: about as many as MOST_WORDS needs
OPENING = 500  # characters, without headings: where it says what it is
MOST_WORDS = 450  # for the comparison with other documents
DIMENSIONS = 4000  # different words that are compared, the commonest; and those of the profiles
RIDGE = 1.0
PROFILE = 3.0  # what a tag's own profile weighs, in documents
NEIGHBOURS = 15
WELL_KNOWN = 5.0  # documents that have a tag: with fewer, it is partly judged like a new one

# Chinese, Japanese and Korean by the character; and words, of which "c++" and "c#" are two.
WORD = re.compile(r"[぀-鿿가-힣]|[^\W_぀-鿿가-힣]+[+#]{0,2}")

CLUES = (
    *(
        "regression, its logarithm",
        "regression above the third best tag's",
        "neighbours, logarithm",
    ),
    *("name in title", "name in opening", "name in rest"),
    *("synonym in title", "synonym in opening", "synonym in rest"),
)
# In the order of CLUES, then the constant. For a tag that examples have, and for one that none has.
KNOWN = np.array([1.22, 4.99, 0.53, 7.62, 3.04, 0.11, 3.13, 1.47, 0.79, 0.69])
NEW = np.array([1.42, 3.38, 0.0, 6.58, 2.52, -0.01, 3.59, 2.24, 1.25, 0.83])
LEAST = 0.03  # what the logarithms begin at
ENOUGH = 1.5  # of a name or synonym in one place: more says no more


@dataclass(frozen=True)
class RankTag:
    name: str
    description: str = ""
    not_for: str = ""
    synonyms: Sequence[str] = ()


@dataclass(frozen=True)
class Example:
    """A labelled document. weight: how many such it counts for."""

    title: str
    text: str
    best: Sequence[str]
    weight: float = 1.0


class Ranker:
    """Made once for a vocabulary and its examples; then quick. Safe to share between threads.

    An example counts for those of its tags that are in the vocabulary; one that has none of
    them, for how rare words are. It keeps about 15 MB for 6,000 examples; to make it takes
    250 MB for a moment.
    """

    def __init__(self, tags: Iterable[RankTag], examples: Iterable[Example]) -> None:
        self.tags = list(tags)
        self.names = [tag.name for tag in self.tags]
        examples = list(examples)
        read = [zones(it.title, it.text[:MOST_OF_EXAMPLE]) for it in examples]
        profiles = [profile(tag) for tag in self.tags]
        self.terms = Terms(self.tags, read)
        texts = [it.words() for it in read]
        self.words = Words([*texts, *profiles], kept=(word for one in profiles for word in one))
        self._learn(examples, texts, profiles)

    def scores(self, title: str, text: str) -> dict[str, float]:
        """For each tag's name, the probability that it is among the document's best tags."""
        return self.weighed(self.clues(title, text))

    def weighed(self, clues: Floats, known: Floats = KNOWN, new: Floats = NEW) -> dict[str, float]:
        by_known = clues @ known[:-1] + known[-1]
        by_new = clues @ new[:-1] + new[-1]
        odds = self.share_known * by_known + (1 - self.share_known) * by_new
        return dict(zip(self.names, (1 / (1 + np.exp(-odds))).tolist(), strict=True))

    def clues(self, title: str, text: str) -> Floats:
        """A row for each tag, with a column for each of CLUES."""
        document = zones(title, text[:MOST_LOOKED_AT])
        vector = self.words.vectors([document.words()])
        regression = np.asarray(vector @ self.slopes)[0] + self.shares
        third = np.sort(regression)[-3] if len(self.names) >= 3 else 0.0
        clues = np.zeros((len(self.names), len(CLUES)))
        clues[:, 0] = np.log(np.maximum(regression, 0) + LEAST)
        clues[:, 1] = regression - third
        clues[:, 2] = np.log(self._neighbours(vector) + LEAST)
        clues[:, 3:] = self.terms.found(document)
        return clues

    def _learn(
        self, examples: Sequence[Example], texts: Sequence[list[str]], profiles: list[list[str]]
    ) -> None:
        place = {name: at for at, name in enumerate(self.names)}
        labels = [[place[name] for name in it.best if name in place] for it in examples]
        used = [at for at, best in enumerate(labels) if best]
        self.labels = np.zeros((len(used), len(place)), np.float32)
        for row, at in enumerate(used):
            self.labels[row, labels[at]] = 1
        weights = np.array([examples[at].weight for at in used], np.float32)
        self.documents = self.words.vectors([texts[at] for at in used])
        counts = weights @ self.labels
        self.shares = counts / max(1e-9, weights.sum())
        self.share_known = np.minimum(1.0, counts / WELL_KNOWN)
        vectors = scipy.sparse.vstack([self.documents, self.words.vectors(profiles)], format="csr")
        aims = np.vstack([self.labels, np.eye(len(place), dtype=np.float32)]) - self.shares
        weights = np.append(weights, np.full(len(place), PROFILE, np.float32))
        self.slopes = ridge(vectors, aims, weights)

    def _neighbours(self, vector: Any) -> Floats:
        """Each tag's share of the most similar examples, by the squares of their cosines."""
        cosines = self.documents @ vector.toarray()[0]
        nearest = np.argsort(-cosines)[:NEIGHBOURS]
        near = cosines[nearest] ** 2
        shares: Floats = near @ self.labels[nearest] / max(1e-6, near.sum())
        return shares


def ridge(vectors: Any, aims: Floats, weights: Floats) -> Floats:
    """Slopes of a linear regression, held small; a row for each word, a column for each aim.

    In closed form, through the smaller of its two square matrices. A. E. Hoerl and
    R. W. Kennard, "Ridge Regression", Technometrics 12 (1), 1970.
    """
    rows, columns = vectors.shape
    if rows <= columns:
        square = (vectors @ vectors.T).toarray()
        square[np.diag_indices(rows)] += RIDGE / weights
        slopes: Floats = vectors.T @ scipy.linalg.solve(
            square, aims, assume_a="pos", overwrite_a=True
        )
    else:
        weighted = vectors.multiply(weights[:, None]).tocsr()
        square = (vectors.T @ weighted).toarray()
        square[np.diag_indices(columns)] += RIDGE
        slopes = scipy.linalg.solve(square, weighted.T @ aims, assume_a="pos", overwrite_a=True)
    return slopes


# --- Words ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Zones:
    """A document's words, by where they stand."""

    title: list[str]
    opening: list[str]
    rest: list[str]

    def words(self) -> list[str]:
        """Those that are compared; what stands in front counts again."""
        most = [*self.title, *self.opening, *self.rest][:MOST_WORDS]
        return [*most, *self.title, *self.title, *self.opening]

    def __iter__(self) -> Iterator[list[str]]:
        return iter((self.title, self.opening, self.rest))


def zones(title: str, text: str) -> Zones:
    """Without a title, the first heading is it."""
    found = Zones(words(title), [], [])
    room = OPENING
    for place, block in enumerate(without_asides(blocks(text))):
        said = words(block.text)
        if block.heading and (not found.title or (place == 0 and said == found.title)):
            found.title[:] = said
        elif block.heading:
            found.rest.extend(said)
        elif room > 0:
            found.opening.extend(said)
            room -= len(block.text)
        else:
            found.rest.extend(said)
    return found


def words(text: str) -> list[str]:
    """In lower case, and without the plural's s."""
    return [
        word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word
        for word in WORD.findall(text.lower())
    ]


def profile(tag: RankTag) -> list[str]:
    return words(" ".join([tag.name, tag.name, *tag.synonyms, tag.description]))


class Words:
    """Texts as TF-IDF vectors of length 1, over the words of some of them.

    Counts go in by their logarithms: C. D. Manning and others, "Introduction to Information
    Retrieval", 2008, 6.4.1.
    """

    def __init__(self, texts: Sequence[Sequence[str]], kept: Iterable[str]) -> None:
        having = Counter(word for text in texts for word in set(text))
        common = (word for word, count in having.most_common(DIMENSIONS) if count > 1)
        self.places = {word: at for at, word in enumerate(dict.fromkeys([*kept, *common]))}
        total = len(texts) + 1
        self.rarity = np.array(
            [math.log(total / (having[word] + 1)) + 1 for word in self.places], np.float32
        )

    def vectors(self, texts: Sequence[Sequence[str]]) -> Any:
        """A sparse matrix: a row for each text, a column for each word."""
        values: list[Floats] = []
        places: list[npt.NDArray[np.int32]] = []
        ends = [0]
        for text in texts:
            counts = Counter(self.places[word] for word in text if word in self.places)
            at = np.fromiter(counts, np.int32, len(counts))
            count = np.fromiter(counts.values(), np.float32, len(counts))
            weights = (1 + np.log(count)) * self.rarity[at]
            values.append(weights / max(1e-9, float(np.linalg.norm(weights))))
            places.append(at)
            ends.append(ends[-1] + len(counts))
        none = np.zeros(0, np.float32)
        return scipy.sparse.csr_matrix(
            (
                np.concatenate([none, *values]),
                np.concatenate([none, *places]).astype(np.int32),
                ends,
            ),
            shape=(len(texts), len(self.places)),
            dtype=np.float32,
        )


class Terms:
    """The tags' names and synonyms, looked for in a text word by word.

    "e-commerce", "e commerce" and "ecommerce" are the same. A term counts by how few examples
    have it: from 0, where all of them do, to 1.
    """

    def __init__(self, tags: Sequence[RankTag], examples: Sequence[Zones]) -> None:
        self.whose: dict[Tags, set[tuple[int, int]]] = defaultdict(set)  # (tag, 0 or 1: synonym)
        for place, tag in enumerate(tags):
            for synonym, said in enumerate([tag.name, *tag.synonyms]):
                if parts := tuple(words(said)):
                    for term in (parts, ("".join(parts),)):
                        self.whose[term].add((place, min(synonym, 1)))
        self.lengths: dict[str, set[int]] = defaultdict(set)  # by their first words
        for term in self.whose:
            self.lengths[term[0]].add(len(term))
        self.tags = len(tags)
        having = Counter(
            term for it in examples for term in {said for zone in it for said in self.counted(zone)}
        )
        total = math.log(len(examples) + 2)
        self.rarity = {term: 1 - math.log(having[term] + 1) / total for term in self.whose}

    def counted(self, text: list[str]) -> Counter[Tags]:
        found: Counter[Tags] = Counter()
        for at, word in enumerate(text):
            for length in self.lengths.get(word, ()):
                term = tuple(text[at : at + length])
                if term in self.whose:
                    found[term] += 1
        return found

    def found(self, document: Zones) -> Floats:
        """A row for each tag: its name in the three zones, then its synonyms."""
        clues = np.zeros((self.tags, 2, 3))
        for zone, text in enumerate(document):
            for term, count in self.counted(text).items():
                # In title and opening once is enough.
                strength = self.rarity[term] * (1.0 if zone < 2 else math.log1p(count))
                for tag, synonym in self.whose[term]:
                    clues[tag, synonym, zone] += strength
        return np.minimum(clues, ENOUGH).reshape(self.tags, 6)


# --- From probabilities to tags -----------------------------------------------------------

LIKELY = 8  # tags that sets are made of


def shortlist(scores: Mapping[str, float], most: int) -> list[str]:
    """The likeliest tags, the likeliest first."""
    return sorted(scores, key=lambda name: (-scores[name], name))[:most]


def three_sets(scores: Mapping[str, float], max_tags: int, wanted: int = 3) -> list[Tags]:
    """Sets to choose between, each of 1 to `max_tags` tags, its likeliest first.

    The first has the highest F1 that may be expected, were each tag right or wrong by itself.
    Each further one adds most to the F1 of the best of them.
    """
    likely = shortlist(scores, LIKELY)
    if not likely:
        return []
    sets = [
        one for size in range(1, max_tags + 1) for one in combinations(range(len(likely)), size)
    ]
    has = np.zeros((len(sets), len(likely)))
    for row, one in enumerate(sets):
        has[row, list(one)] = 1
    chances = np.clip([scores[name] for name in likely], 1e-6, 1 - 1e-6)
    # Each set is also a case: that just these tags are the best.
    case = np.exp(has @ np.log(chances / (1 - chances)))
    case /= case.sum()
    sizes = has.sum(axis=1)
    f1 = 2 * has @ has.T / (sizes[:, None] + sizes)
    chosen: list[int] = []
    best = np.zeros(len(sets))
    for _ in range(min(wanted, len(sets))):
        gains = np.maximum(f1, best) @ case
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, f1[chosen[-1]])
    return [tuple(likely[at] for at in sets[row]) for row in chosen]
