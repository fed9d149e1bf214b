"""The order of mined rows: the K best of a stream, overall or of each class, ties by index; and hashes for chance."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NONE = -1  # no class
LEAST_WAITING = 1 << 16  # candidates are sorted so many at a time
CANDIDATE = np.dtype(
    [
        ("index", np.int64),
        ("class", np.int64),  # the class in question of multilabel and segmentation, else NONE
        ("label", np.int64),
        ("pred", np.int64),
        ("suggested", np.int64),
        ("quota", np.int64),  # the class whose quota it takes: class, else label
        ("key", np.float64),  # what orders: higher first
        ("draw", np.float64),  # what orders by chance
        ("p_wrong", np.float64),
        ("p_label", np.float64),
        ("p_suggested", np.float64),
    ]
)


def candidates(count: int) -> Array:
    """Return so many rows of which nothing is known: NONE and NaN."""
    rows = np.empty(count, CANDIDATE)
    for name in CANDIDATE.names or ():
        rows[name] = NONE if CANDIDATE[name].kind == "i" else np.nan
    return rows


def hashed(index: Array, seed: int = 0) -> Array:
    """Return a number in [0, 1) for each index, as if by chance (splitmix64); float64."""
    with np.errstate(over="ignore"):
        z = np.asarray(index).astype(np.uint64) + np.uint64(seed % 2**64) * np.uint64(0xD1342543DE82EF95)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def sorted_candidates(rows: Array, by: str = "key") -> Array:
    """Return candidates by a field, highest first, ties by index and class."""
    return np.asarray(rows[np.lexsort((rows["class"], rows["index"], -rows[by]))])


class Best:
    """The best candidates of a stream, in memory of a few times as many.

    Args:
        limit: how many are kept, None for all.
        per_class: how many of each ``quota`` class, None for any number.
        rarity: int64 [C], each class's place when the rarest comes first; where given, ``limit`` cuts in that order.
        by: the field that orders.
    """

    def __init__(
        self, limit: int | None, *, per_class: int | None = None, rarity: Array | None = None, by: str = "key"
    ) -> None:
        self.limit, self.per_class, self.rarity, self.by = limit, per_class, rarity, by
        self._rows = candidates(0)
        self._waiting: list[Array] = []
        self._n_waiting = 0

    def add(self, rows: Array) -> None:
        """Add candidates in any order."""
        self._waiting.append(rows)
        self._n_waiting += len(rows)
        if self._n_waiting > max(LEAST_WAITING, len(self._rows)):
            self._merge()

    def rows(self) -> Array:
        """Return the best so far in order."""
        self._merge()
        return self._rows

    def _merge(self) -> None:
        rows = np.concatenate([self._rows, *self._waiting])
        self._waiting, self._n_waiting = [], 0
        if self.limit is not None and self.per_class is None and len(rows) > 4 * self.limit + 64:
            place = len(rows) - max(self.limit, 1)
            rows = rows[rows[self.by] >= np.partition(rows[self.by], place)[place]]
        rows = sorted_candidates(rows, self.by)
        if self.per_class is not None:
            rows = rows[place_in_class(rows["quota"]) < self.per_class]
        if self.rarity is not None:
            rows = rows[np.argsort(self.rarity[rows["quota"]], kind="stable")]
        self._rows = rows[: self.limit]


def place_in_class(classes: Array) -> Array:
    """Return how many before it have the same class."""
    order = np.argsort(classes, kind="stable")
    first = np.flatnonzero(np.diff(classes[order], prepend=classes[order][:1] - 1))
    starts = np.repeat(first, np.diff(np.append(first, len(classes))))
    places = np.empty(len(classes), np.int64)
    places[order] = np.arange(len(classes)) - starts
    return places
