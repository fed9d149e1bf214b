"""A list without repetition: spread over the predictions (or embeddings), and without near-identical rows."""

from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.mine.masks import images, probabilities
from evaltool.readers import as_array
from evaltool.readers.rows import open_rows
from evaltool.run.inputs import Inputs, Predictions

Array = np.ndarray[Any, Any]

POOL = 5  # times as many candidates as are asked for are looked at first, and more where too few differ
MAX_POOL = 50_000  # the most: every one is compared with every kept one, and all vectors are in memory
GRID = 8  # cells along each axis of an image
SAME = 1e-3  # total variation of predictions below which two are one
SAME_COSINE = 1e-3  # 1 - cosine of embeddings


def vectors_of(rows: Array, inputs: Inputs | None, embeddings: Any) -> Array:
    """Return what candidates are compared by, float64 [n, d]: embeddings of length 1, or predicted distributions.

    Of an image it is the distributions over a grid of 8 cells along each axis.

    Raises:
        EvaltoolError: there are too many, or one embedding per sample is not given.
    """
    if len(rows) > MAX_POOL:
        raise EvaltoolError(
            f"too many rows to compare with each other\n  {len(rows):,} candidates, expected at most {MAX_POOL:,}\n"
            "  Ask for fewer with --top."
        )
    if not len(rows):
        return np.zeros((0, 1))
    index, place = np.unique(rows["index"], return_inverse=True)
    if embeddings is not None:
        held = np.stack([as_array(embeddings.read(int(i), int(i) + 1))[0] for i in index]).astype(np.float64)
        held /= np.maximum(np.linalg.norm(held, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray(held[place])
    assert inputs is not None
    if inputs.task == "segmentation":
        coarse = [_coarse_distribution(image, inputs.softmax) for image in images(inputs, index)]
        return np.stack(coarse)[place]
    block = inputs.rows(index)
    probs = np.exp(block.odds) if inputs.softmax else 1 / (1 + np.exp(-np.clip(block.odds, -700, 700)))
    return np.asarray(probs.reshape(len(index), -1)[place])


def _coarse_distribution(image: Predictions, softmax: bool) -> Array:
    """Return the mean distribution of an image over each cell of a grid, as one distribution."""
    probs = probabilities(image, softmax)[0]
    for axis in range(1, probs.ndim):
        cells = min(GRID, probs.shape[axis])
        first = np.arange(cells) * probs.shape[axis] // cells
        counts = np.diff(np.append(first, probs.shape[axis]))
        shape = [-1 if a == axis else 1 for a in range(probs.ndim)]
        probs = np.add.reduceat(probs, first, axis=axis) / counts.reshape(shape)
    return np.asarray(probs.ravel() * (len(probs) / probs.size))


def open_embeddings(source: Any, n_samples: int) -> Any:
    """Return embeddings as rows.

    Raises:
        EvaltoolError: they are not floats [N, d].
    """
    rows = open_rows(source, "embeddings")
    if len(rows.shape) != 2 or rows.shape[0] != n_samples or rows.dtype.kind != "f" or not rows.shape[1]:
        raise EvaltoolError(
            f"there is not one embedding per sample\n  {rows.name}: shape {list(rows.shape)}, dtype {rows.dtype}, "
            f"expected floats [{n_samples}, d], d >= 1\n  Give the embeddings of exactly these samples, in their order."
        )
    return rows


def distinct(rows: Array, vectors: Array, *, cosine: bool) -> Array:
    """Return the places of the candidates that are near no earlier one of the same label, int64, ascending.

    Args:
        rows: candidates, best first.
        vectors: float64 [n, d].
        cosine: they are embeddings of length 1.
    """
    kept: list[int] = []
    by_label: dict[tuple[int, int], list[int]] = {}
    for i, row in enumerate(rows):
        before = by_label.setdefault((int(row["class"]), int(row["label"])), [])
        if before:
            if cosine:
                distance, least = 1 - vectors[before] @ vectors[i], SAME_COSINE
            else:
                distance, least = np.abs(vectors[before] - vectors[i]).sum(1) / 2, SAME
            if distance.min() <= least:
                continue
        before.append(i)
        kept.append(i)
    return np.array(kept, np.int64)


def spread(vectors: Array, count: int) -> Array:
    """Return the places of ``count`` candidates that cover the others: greedy k-center from the first one.

    Each next one is the farthest from those taken, ties by place; int64, in the order they were taken.
    """
    taken: list[int] = []
    nearest = np.full(len(vectors), np.inf)
    for _ in range(min(count, len(vectors))):
        place = int(nearest.argmax())
        taken.append(place)
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[place], axis=1))
        nearest[place] = -np.inf
    return np.array(taken, np.int64)
