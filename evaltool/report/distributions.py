"""How per-sample columns are spread: what segmentation has per image, and the residuals of regression."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.numerics.float_bits import ordered_bits
from evaltool.report.document import Distribution
from evaltool.report.scan import floats
from evaltool.run.quantiles import exact_quantiles
from evaltool.run.reader import Run, ok_rows
from evaltool.run.state import HISTOGRAM_BINS, LOW_BITS

Array = np.ndarray[Any, Any]
Column = Callable[[pa.RecordBatch], Array]

BINS = 20
QUANTILES = {"p01": 0.01, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99}


def distributions_of(run: Run) -> dict[str, Distribution]:
    """Return the section: iou, accuracy and dice of images, residual (pred - label) and its size; else empty.

    Dice is 1 - the plain Dice loss, where that was scored. Quantiles are exact.
    """
    return {name: _distribution(run, needed, column) for name, needed, column in _columns(run)}


def _columns(run: Run) -> list[tuple[str, Sequence[str], Column]]:
    present = run.schema.names
    if run.task == "segmentation":
        dice = [record["column"] for record in run.manifest["losses"] if record.get("loss") == "dice"]
        shown = [(name, [name], partial(floats, name=name)) for name in ("iou", "accuracy") if name in present]
        return [*shown, *(("dice", [name], partial(_dice, name=name)) for name in dice[:1])]
    if run.task == "regression" and {"label", "pred"} <= set(present):
        return [
            ("residual", ["label", "pred"], _residual),
            ("abs_residual", ["label", "pred"], lambda batch: np.abs(_residual(batch))),
        ]
    return []


def _dice(batch: pa.RecordBatch, name: str) -> Array:
    return 1 - floats(batch, name)


def _residual(batch: pa.RecordBatch) -> Array:
    return floats(batch, "pred") - floats(batch, "label")


def _distribution(run: Run, needed: Sequence[str], column: Column) -> Distribution:
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    total, low, high = 0.0, np.inf, -np.inf
    for values in _chunks(run, needed, column):
        counts += np.bincount(ordered_bits(values) >> LOW_BITS, minlength=HISTOGRAM_BINS)
        total += values.sum(dtype=np.float64)
        low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    n = int(counts.sum())
    bars = np.zeros(BINS, np.int64)
    ends = _ends(float(low), float(high)) if n else np.zeros(0)

    def chunks() -> Iterator[Array]:
        for values in _chunks(run, needed, column):
            bars[:] += np.histogram(values, ends)[0]
            yield values

    p01, p10, p50, p90, p99 = exact_quantiles(counts, chunks, list(QUANTILES.values()))
    rows = zip(ends[:-1].tolist(), ends[1:].tolist(), bars.tolist(), strict=True) if n else ()
    return {
        "count": n,
        "mean": float(total) / n if n else None,
        "p01": p01,
        "p10": p10,
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "histogram": [{"low": a, "high": b, "count": count} for a, b, count in rows],
    }


def _ends(low: float, high: float) -> Array:
    if low >= 0 and high <= 1:
        return np.linspace(0.0, 1.0, BINS + 1)
    ends = np.linspace(low, high, BINS + 1)
    return ends if (np.diff(ends) > 0).all() else low + np.linspace(-1, 1, BINS + 1) * max(abs(low), 1.0) * 1e-3


def _chunks(run: Run, needed: Sequence[str], column: Column) -> Iterator[Array]:
    for batch in run.batches([*needed, "status"]):
        ok = ok_rows(batch)
        with np.errstate(all="ignore"):  # differences of infinite numbers, or beyond float32
            values = column(batch)[ok].astype(np.float32)
        yield values[np.isfinite(values)]
