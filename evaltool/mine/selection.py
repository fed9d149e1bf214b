"""Which of the candidates go on the list: how many, of which classes, how alike, and which random rows among them."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.mine.expected import ExpectedErrors
from evaltool.mine.order import NONE, Best, hashed, place_in_class
from evaltool.mine.ranking import Ranking
from evaltool.mine.variety import MAX_POOL, POOL, distinct, spread, vectors_of
from evaltool.progress import Watcher
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]

DEFAULT_TOP = 200


class Selection:
    """Takes candidates block by block and keeps those that may end up on the list.

    Args:
        run: the run.
        ranking: what ranks.
        options: those of ``mine`` that say how many and which.
        expected: of ``--budget auto``: the errors among the rows that pass, complete when ``rows`` is called.

    Raises:
        EvaltoolError: an option needs classes, and there are none.
    """

    def __init__(self, run: Run, ranking: Ranking, options: Any, expected: ExpectedErrors | None) -> None:
        self._run, self._options, self._expected = run, options, expected
        self.n_rows = 0
        self._least = -math.inf
        if options.threshold is not None:
            self._least = -options.threshold if ranking.ascending else options.threshold
        self._limit = _limit(run, options, expected)
        self._rarity = _rarity(run) if options.tail_first else None
        self._alike = options.diverse or options.dedup
        self._best = Best(
            None if self._limit is None else self._pool(self._limit, 1),
            per_class=None if options.per_class is None else self._pool(options.per_class, run.num_classes + 1),
            rarity=self._rarity if options.per_class is not None else None,
        )
        most = self._limit or (options.per_class or 0) * (run.num_classes + 1)
        drawn = options.random_controls
        self._drawn = Best(drawn + most, by="draw") if drawn else None

    def add(self, rows: Array) -> None:
        """Add the candidates of consecutive rows."""
        self.n_rows += len(rows)
        over = rows["key"] >= self._least
        self._best.add(rows[over])
        if self._drawn is not None:
            others = rows[~over] if self._options.threshold is not None else rows.copy()
            # one number per row and class
            number = others["index"] * (self._run.num_classes + 1) + others["class"] + 1
            others["draw"] = -hashed(number, self._options.seed + 1)
            self._drawn.add(others)

    def rows(self, inputs: Inputs | None, embeddings: Any, watcher: Watcher) -> tuple[Array, Array]:
        """Return the candidates of the list, best first, and the random ones."""
        options = self._options
        limit = self._limit
        if options.fraction is not None:
            limit = math.ceil(round(options.fraction * self.n_rows, 6))
        elif self._expected is not None:
            limit = self._expected.number()
            if self._expected.n_passed:
                watcher.decided([f"expected wrong among those that passed: {limit:,} of {self._expected.n_passed:,}"])
        rows = self._best.rows()
        if self._alike:
            held = len(rows)
            rows, vectors, kept = self._differing(rows, limit, inputs, embeddings)
            if limit is not None and len(kept) < limit:
                differ = f"{len(kept):,} row{' differs' if len(kept) == 1 else 's differ'}"
                watcher.warned(f"{differ}, {limit:,} were asked for: looked at the best {held:,}")
            if options.dedup:
                watcher.decided([f"left out as near-identical: {len(rows) - len(kept):,} of {len(rows):,} candidates"])
                rows, vectors = rows[kept], vectors[kept]
            if options.diverse:
                rows = rows[_spread_places(rows, vectors, limit, options.per_class)]
            if options.per_class is not None:
                rows = rows[place_in_class(rows["quota"]) < options.per_class]
        rows = rows[:limit]
        if self._rarity is not None:
            rows = rows[np.argsort(self._rarity[rows["quota"]], kind="stable")]
        return rows, self._controls(rows)

    def _pool(self, count: int, parts: int) -> int:
        """Return how many candidates are held to find so many that differ: all parts together ``MAX_POOL``."""
        return max(POOL * count, MAX_POOL // parts) if self._alike else count

    def _differing(
        self, rows: Array, limit: int | None, inputs: Inputs | None, embeddings: Any
    ) -> tuple[Array, Array, Array]:
        """Return the best candidates among which enough differ (or all), their vectors, and which differ.

        Twice as many are looked at until it is enough.
        """
        per_class = self._options.per_class
        place = np.arange(len(rows)) if per_class is None else place_in_class(rows["quota"])
        size = POOL * (per_class or limit or len(rows))
        while True:
            pool = rows[place < size]
            vectors = vectors_of(pool, inputs, embeddings)
            kept = distinct(pool, vectors, cosine=embeddings is not None)
            found = len(kept)
            if per_class is not None:
                short = np.bincount(pool["quota"][kept] + 1) < per_class
                open_ = np.bincount(rows["quota"] + 1, minlength=len(short))[: len(short)] > size
                done = not (short & open_).any()
            else:
                done = found >= (limit or found)
            if done or len(pool) == len(rows):
                return pool, vectors, kept
            size *= 2

    def _controls(self, rows: Array) -> Array:
        if self._drawn is None:
            return rows[:0]
        drawn = self._drawn.rows()
        taken = set(zip(rows["index"].tolist(), rows["class"].tolist(), strict=True))
        pairs = zip(drawn["index"].tolist(), drawn["class"].tolist(), strict=True)
        free = np.array([pair not in taken for pair in pairs], bool)
        return np.asarray(drawn[free][: self._options.random_controls])


def _limit(run: Run, options: Any, expected: ExpectedErrors | None) -> int | None:
    """Return the most rows that can be selected, None for any number."""
    if options.per_class is not None and not run.num_classes:
        raise EvaltoolError(f"--per-class needs classes\n  {run.name}: task {run.task}\n  Leave it out, or use --top.")
    if expected is not None:
        return expected.of_run
    if options.fraction is not None:
        rows = run.n_samples * (run.num_classes if run.task == "multilabel" else 1)
        share: float = options.fraction
        return math.ceil(round(share * rows, 6))
    if options.top is not None:
        return int(options.top)
    return None if options.threshold is not None or options.per_class is not None else DEFAULT_TOP


def _rarity(run: Run) -> Array:
    """Return each class's place, int64 [C + 1], rarest first; the last is for rows of no class."""
    if not run.num_classes:
        raise EvaltoolError(f"--tail-first needs classes\n  {run.name}: task {run.task}\n  Leave it out.")
    counts = np.zeros(run.num_classes, np.int64)
    for row in run.summary["classes"]:
        counts[row["class"]] = row["count"]
    place = np.empty(run.num_classes + 1, np.int64)
    place[np.argsort(counts, kind="stable")] = np.arange(run.num_classes)
    place[NONE] = run.num_classes
    return place


def _spread_places(rows: Array, vectors: Array, limit: int | None, per_class: int | None) -> Array:
    """Return the places of candidates spread over the vectors, of each class where each has a quota; ascending."""
    if per_class is None:
        return np.sort(spread(vectors, len(rows) if limit is None else limit))
    found = []
    for quota in np.unique(rows["quota"]):
        places = np.flatnonzero(rows["quota"] == quota)
        found.append(places[spread(vectors[places], per_class)])
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


def grouped(rows: Array, groups: "pa.Array[Any]") -> Array:
    """Return candidates with those of a group together; see ``group_order``."""
    return np.asarray(rows[group_order(rows, groups)])


def group_order(rows: Array, groups: "pa.Array[Any]") -> Array:
    """Return the places of candidates, those of a group together, groups by their first; no group is one's own."""
    codes = groups.take(pa.array(rows["index"])).dictionary_encode().indices
    known = np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False))
    alone = np.where(known < 0, len(rows) + np.arange(len(rows)), known)
    _, first, place = np.unique(alone, return_index=True, return_inverse=True)
    return np.argsort(first[place], kind="stable")


def mixed(rows: Array, controls: Array, seed: int) -> tuple[Array, Array]:
    """Return candidates and random ones in a random order, and which were mined; as they are without random ones."""
    mined = np.arange(len(rows) + len(controls)) < len(rows)
    together = np.concatenate([rows, controls])
    if not len(controls):
        return together, mined
    order = np.argsort(hashed(np.arange(len(together)), seed + 2), kind="stable")
    return together[order], mined[order]
