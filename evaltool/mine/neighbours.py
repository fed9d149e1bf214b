"""Labels that differ from those of the nearest embeddings."""

from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.readers import as_array

Array = np.ndarray[Any, Any]

NEIGHBOURS = 10
ROWS = 1 << 14  # read at a time


def disagreement(embeddings: Any, labels: Array) -> Array:
    """Return the share of each sample's nearest neighbours with another label, nearer ones counting more.

    Neighbours are the 10 of largest cosine; each counts by that cosine (0 at least).

    Args:
        embeddings: rows [N, d].
        labels: int64 [N], -1 where the sample is left out.

    Returns:
        float64 [N], in [0, 1]; 0 for samples that are left out.

    Raises:
        EvaltoolError: scikit-learn is not installed, or an embedding is not finite.
    """
    try:
        from sklearn.neighbors import NearestNeighbors  # here: an extra
    except ImportError:
        raise EvaltoolError(
            "--embeddings needs scikit-learn\n  sklearn is not installed\n  pip install 'evaltool[mine]'."
        ) from None
    n = embeddings.shape[0]
    held = np.concatenate([as_array(embeddings.read(start, min(start + ROWS, n))) for start in range(0, n, ROWS)])
    there = np.flatnonzero(labels >= 0)
    held = held[there].astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(held).all(1))
    if len(bad):
        raise EvaltoolError(
            f"an embedding is not finite\n  {embeddings.name}: row {there[bad[0]]}, and {len(bad) - 1} more\n"
            "  Leave these samples out, or embed them again."
        )
    held /= np.maximum(np.linalg.norm(held, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    result = np.zeros(n)
    count = min(NEIGHBOURS, len(there) - 1)
    if count < 1:
        return result
    distance, place = NearestNeighbors(n_neighbors=count).fit(held).kneighbors()
    weights = np.maximum(1 - distance.astype(np.float64) ** 2 / 2, 0) + 1e-9
    differs = labels[there][place] != labels[there][:, None]
    result[there] = (weights * differs).sum(1) / weights.sum(1)
    return result


def mean_ranks(*scores: Array) -> Array:
    """Return the mean of each row's ranks by several scores, in (0, 1], highest for the highest; ties share a rank."""
    total = np.zeros(len(scores[0]))
    for values in scores:
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        total += (np.cumsum(counts) - (counts - 1) / 2)[place]
    return np.asarray(total / (len(scores) * max(1, len(total))))
