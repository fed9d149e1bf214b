"""A small report to hold gates against, written by hand."""


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def _class(index, name, recall, count, loss):
    return {
        "index": index,
        "name": name,
        "count": count,
        "share": count / 100,
        "predicted": count + 1,
        "recall": estimate(
            recall, None if recall is None else recall - 0.05, None if recall is None else recall + 0.05
        ),
        "precision": estimate(0.5),
        "f1": estimate(0.5),
        "iou": estimate(recall),
        "average_precision": estimate(0.7, 0.6, 0.8),
        "auroc": estimate(0.9),
        "ece": estimate(0.02),
        "losses": {
            name: {"mean": estimate(loss * k), "share": 0.25, "share_ratio": estimate(loss * k * 2)}
            for k, name in enumerate(["ce", "binary_focal"], 1)
        },
    }


def document():
    """Return a report of four classes, one of them without a sample."""
    classes = [
        _class(0, "cat", 0.9, 60, 0.1),
        _class(1, "a, b", 0.6, 30, 0.5),
        _class(2, "min", 0.4, 10, 2.0),
        _class(3, 'q"x', None, 0, 0.0),
    ]
    few = {"name": "few", "classes": [2, 3], "count": 10, "share": 0.1, "recall": estimate(0.4, 0.2, 0.6)}
    return {
        "n_samples": 110,
        "n_scored": 100,
        "rates": {"accuracy": estimate(0.8, 0.75, 0.85), "average_precision": estimate(None), "mcc": estimate(0.5)},
        "losses": {"ce": {"mean": 0.5, "p99": 4.0}, "binary_focal": {"mean": 0.25, "p99": 2.0}},
        "imbalance": {"ratio": 6.0, "prior_shift": 0.1},
        "classes": classes,
        "groups": {"rows": [few | {key: classes[2][key] for key in ("precision", "f1", "losses")}]},
        "calibration": {"ece": estimate(0.12, 0.1, 0.14), "ece_class_wise": estimate(0.03), "brier": 0.2},
        "slices": {
            "column": "light",
            "rows": [
                {"group": "night", "rates": {"accuracy": estimate(0.5)}, "losses": {"ce": estimate(1.5)}},
                {"group": "day", "rates": {"accuracy": estimate(0.9)}, "losses": {"ce": estimate(0.2)}},
            ],
        },
        "comparison": {
            "rates": {"accuracy": {"before": 0.8, "after": 0.75, "difference": estimate(-0.05, -0.08, -0.02)}},
            "losses": {"ce": {"before": 0.5, "after": 0.6, "difference": estimate(0.1, -0.1, 0.3)}},
            "classes": [
                {
                    "index": i,
                    "recall": estimate(change, None if change is None else change - 0.1, None),
                    "precision_before": 0.5,
                    "precision_after": 0.5 + i / 10,
                    "losses": {"ce": estimate(i * 1.0)},
                }
                for i, change in enumerate([0.1, 0.0, -0.3, None])
            ],
            "groups": [{"name": "few", "recall": estimate(-0.3, -0.5, -0.1)}],
        },
        "provenance": {
            "statuses": {"ok": 100, "ignored": 6, "nonfinite": 3, "bad_label": 1, "bad_preds": 0},
            "n_clamped": 2,
            "n_infinite": 0,
            "n_failed": 0,
        },
    }
