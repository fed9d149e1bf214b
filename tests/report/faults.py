"""Predictions with known faults, and a report's document of them by plain NumPy."""

import numpy as np

import evaltool
from evaltool.report.intervals import estimate, wilson
from evaltool.run.reader import open_run


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def gaussian(rng, counts, *, distance=3.0, prior=None, flips=0.0, weak=(), weak_distance=0.5):
    """Return the logits of the best classifier of unit Gaussians at ``distance`` from the origin, and labels.

    ``prior`` is what the classifier believes (None: the counts' own); ``flips`` of the labels are changed to any other;
    the classes ``weak`` stand nearer to the origin.
    """
    classes = len(counts)
    means = distance * np.eye(classes)
    for c in weak:
        means[c, c] = weak_distance
    labels = np.repeat(np.arange(classes), counts)
    labels = labels[rng.permutation(len(labels))]
    x = means[labels] + rng.standard_normal((len(labels), classes))
    believed = np.asarray(counts, float) if prior is None else np.asarray(prior, float)
    logits = x @ means.T - 0.5 * (means**2).sum(1) + np.log(believed / believed.sum())
    flipped = rng.random(len(labels)) < flips
    noisy = (labels + rng.integers(1, classes, len(labels))) % classes
    return logits.astype(np.float32), np.where(flipped, noisy, labels)


def scored(preds, labels, **options):
    """Return the run of predictions in memory."""
    return open_run(evaltool.score(preds, labels, **options))


def document_of(run, *, train_counts=None):
    """Return what verdict and advice read of a report's document, from the summary alone."""
    summary, rows = run.summary, []
    first = run.losses[0]
    total = max(1, sum(row["count"] for row in summary["classes"]))
    predicted = predictions_per_class(run)
    for row in summary["classes"]:
        c, n = row["class"], row["count"]
        right = round((row["recall"] or 0.0) * n)
        rows.append(
            {
                "index": c,
                "name": row["name"],
                "count": n,
                "train_count": None if train_counts is None else float(train_counts[c]),
                "share": n / total,
                "predicted": int(predicted[c]),
                "recall": wilson(right, n),
                "precision": wilson(min(right, predicted[c]), predicted[c]),
                "losses": {first: {"share": row["loss_share"].get(first)}},
            }
        )
    counts = np.array([row["count"] for row in rows], float)
    shift = 0.5 * np.abs(counts / counts.sum() - predicted / predicted.sum()).sum() if rows and counts.sum() else None
    return {
        "task": run.task,
        "n_scored": summary["n_scored"],
        "names": run.class_names,
        "losses": summary["losses"],
        "rates": {"accuracy": estimate(summary.get("accuracy"))},
        "classes": rows,
        "groups": None,
        "imbalance": {"prior_shift": shift} if rows else None,
        "confusions": None,
        "hardness": {},
        "focusing": None,
        "calibration": None,
        "advice": None,
    }


def predictions_per_class(run):
    pairs = run.state.get("confusion")
    if pairs is None or not pairs.size:
        return np.zeros(run.num_classes)
    return pairs[:, :, 1].sum(1) if run.task == "multilabel" else pairs.sum(0)
