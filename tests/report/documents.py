"""Documents of reports nobody ran: counts are drawn, everything else is computed from them, so that the numbers agree.

``document("multiclass", 10)`` is one; ``HOSTILE`` are class names that break what does not escape.
"""

import math
from typing import Any

import numpy as np

from tests.report import document_parts as parts

TASKS = ("multiclass", "binary", "multilabel", "segmentation", "regression")
GAMMAS = (0, 0.5, 1, 2, 3, 5)
HOSTILE = [
    "<script>alert(1)</script>",
    "a,b; c",
    "\"quoted\" & 'single'",
    "pipe | in | name",
    "`code` **bold** [link](javascript:alert(1))",
    "中文类别 ελληνικά العربية",
    "x" * 200,
    "",
    "<img src=x onerror=alert(2)>",
    "</script><!-- {{ 7*7 }} ${1}",
    "line\nbreak\ttab",
    "\ud800 lone surrogate",
]


def class_names(n_classes: int, *, hostile: bool) -> list[str]:
    """Return names of classes; hostile ones first."""
    plain = [f"class {i}" for i in range(n_classes)]
    if not hostile:
        return plain
    return [HOSTILE[i] if i < len(HOSTILE) else f"{'<b>長い名前&' * 30}"[:190] + str(i) for i in range(n_classes)]


def document(
    task: str = "multiclass",
    n_classes: int = 10,
    *,
    seed: int = 0,
    rows: int | None = None,
    exponent: float = 1.2,
    errors: bool = True,
    hostile: bool = False,
    absent: int = 0,
    slices: bool = False,
    comparison: bool = False,
    predictions: bool = True,
) -> dict[str, Any]:
    """Return a document.

    Args:
        task: one of TASKS.
        n_classes: C.
        seed: of all draws.
        rows: scored rows; by default enough for every class.
        exponent: of Zipf's law of the label counts; 0 is balanced.
        errors: whether any prediction is wrong.
        hostile: names from HOSTILE.
        absent: so many of the last classes have no label.
        slices: with --group-by.
        comparison: with --compare.
        predictions: whether predictions were at hand (calibration and advice are None without).
    """
    rng = np.random.default_rng(seed)
    rows = 400 * n_classes + 600 if rows is None else rows
    names = [] if task == "regression" else class_names(n_classes, hostile=hostile)
    losses = {"regression": ["l1", "mse"], "binary": ["bce", "binary_focal"]}.get(task, ["ce", "focal", "dice"])
    found = _frame(task, names, losses, rows)
    sample_losses = rng.lognormal(-2.5, 2.0, rows)
    found["losses"] = {name: _stats(sample_losses / 2**i) for i, name in enumerate(losses)}
    found["hardness"] = {name: parts.hardness(sample_losses / 2**i) for i, name in enumerate(losses)}
    if slices:
        found["slices"] = parts.slices(rng, rows, losses, hostile=hostile, rated=task != "regression")
    if task == "regression":
        found["distributions"] = {name: parts.distribution(rng.normal(0, 2, rows)) for name in ("residual", "l1")}
        found["hardest"] = [
            {"index": i, "label": 1.5, "pred": 9.25, "status": "ok", "l1": 7.75} for i in range(min(rows, 5))
        ]
        found["verdict"]["sentences"] = [
            "The mean absolute error is 1.59 over all rows.",
            "",
            "Look at the tail first.",
        ]
        if comparison:
            found["comparison"] = parts.comparison(rng, [], losses, rows)
        return found
    counts = parts.confusion(rng, n_classes, rows, exponent=exponent, errors=errors, absent=absent)
    _add_classes(found, counts, names, losses, task, rng)
    found["hardest"] = [
        {"index": i, "id": f"img_{i:05d}.png", "label": i % n_classes, "pred": (i + 1) % n_classes, "status": "ok"}
        | dict.fromkeys(losses, 9.5 - i)
        | {"p_label": 1e-4 * (i + 1), "p_pred": 0.99, "margin": -0.98, "entropy": 0.05}
        for i in range(min(rows, 10))
    ]
    found["focusing"] = parts.focusing(sample_losses, GAMMAS)
    if predictions:
        found["calibration"] = parts.calibration(rng, rows, n_classes)
        found["advice"] = parts.advice(counts.sum(1), names, task)
    if task == "segmentation":
        found["distributions"] = {
            name: parts.distribution(rng.beta(6, 2, rows)) for name in ("iou", "accuracy", "dice")
        }
    if comparison:
        found["comparison"] = parts.comparison(rng, names, losses, rows)
    return found


def _frame(task: str, names: list[str], losses: list[str], rows: int) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "preds.run",
        "task": task,
        "preds_are": None if task == "regression" else "logits",
        "n_samples": rows + 7,
        "n_scored": rows,
        "names": names,
        "rates": {},
        "losses": {},
        "gates": [],
        "verdict": {
            "imbalance": "unknown",
            "sentences": ["There is too little to tell."],
            "classes": [],
            "evidence": {},
        },
        "imbalance": None,
        "classes": [],
        "groups": None,
        "confusions": None,
        "hardness": {},
        "focusing": None,
        "calibration": None,
        "advice": None,
        "slices": None,
        "distributions": {},
        "hardest": [],
        "comparison": None,
        "provenance": parts.provenance(losses, rows),
    }


def _add_classes(
    found: dict[str, Any], counts: np.ndarray, names: list[str], losses: list[str], task: str, rng: np.random.Generator
) -> None:
    """Everything that follows from the confusion matrix."""
    class_loss = counts.sum(1) * rng.uniform(0.3, 0.6, len(counts)) + 3.0 * (counts.sum(1) - np.diag(counts))
    found["classes"] = parts.classes(counts, class_loss, names, losses, per_image=task == "segmentation")
    found["groups"] = parts.groups(found["classes"], losses)
    found["imbalance"] = parts.imbalance(
        counts, {"multilabel": "positives", "segmentation": "positions"}.get(task, "samples")
    )
    found["confusions"] = parts.confusions(counts, class_loss, None if task == "multilabel" else losses[0])
    right, total = int(np.diag(counts).sum()), int(counts.sum())
    recalls = [row["recall"]["value"] for row in found["classes"] if row["recall"]["value"] is not None]
    balanced = parts.around(float(np.mean(recalls)) if recalls else None)
    found["rates"] = {
        "accuracy": parts.proportion(right, total),
        "balanced_accuracy": balanced,
        "macro_f1": parts.around(parts.mean_of(row["f1"]["value"] for row in found["classes"])),
        "mcc": parts.around(None if total == 0 else 0.7),
    }
    rows = [row for row in found["groups"]["rows"] if row["recall"]["value"] is not None]
    if len(rows) > 1 and total > 100:
        found["verdict"] = _verdict(found, rows[0], rows[-1], names)


def _verdict(found: dict[str, Any], head: dict[str, Any], tail: dict[str, Any], names: list[str]) -> dict[str, Any]:
    gap = head["recall"]["value"] - tail["recall"]["value"]
    worst = sorted(tail["classes"], key=lambda i: found["classes"][i]["recall"]["value"] or 0)[:3]
    called = ", ".join(names[i] or "(no name)" for i in worst)
    return {
        "imbalance": "problem" if gap > 0.1 else "none",
        "sentences": [
            f"Imbalance {'is' if gap > 0.1 else 'is not'} your problem: recall is {head['recall']['value']:.1%} on the "
            f"{head['name']} classes and {tail['recall']['value']:.1%} on the {tail['name']} ones.",
            f"The classes that suffer most: {called}.",
            "Try logit adjustment first: it costs no training.",
        ],
        "classes": worst,
        "evidence": {
            "head_recall": head["recall"]["value"],
            "tail_recall": tail["recall"]["value"],
            "recall_gap": gap,
            "recall_gap_low": gap - 0.05,
            "prior_shift": found["imbalance"]["prior_shift"],
        },
    }


def _stats(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("mean", "sum", "p50", "p90", "p99", "max"))
    p50, p90, p99 = np.quantile(values, [0.5, 0.9, 0.99]).tolist()
    return {
        "mean": float(values.mean()),
        "sum": math.fsum(values),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": float(values.max()),
    }
