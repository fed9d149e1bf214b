"""The sections of a drawn document, each computed from counts or losses (see documents.py)."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def around(value: float | None, width: float = 0.04) -> dict[str, float | None]:
    """Return an estimate with an interval of that half-width, within [0, 1] for values that are."""
    if value is None:
        return {"value": None, "low": None, "high": None}
    high = min(1.0, value + width) if value <= 1 else value + width
    return {"value": value, "low": max(0.0, value - width) if value >= 0 else value - width, "high": high}


def proportion(right: int, n: int) -> dict[str, float | None]:
    """Return right / n with Wilson's interval."""
    if n == 0:
        return {"value": None, "low": None, "high": None}
    z, p = 1.959963984540054, right / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return {"value": p, "low": min(p, max(0.0, low)), "high": max(p, min(1.0, high))}


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def confusion(
    rng: np.random.Generator, n_classes: int, rows: int, *, exponent: float, errors: bool, absent: int
) -> np.ndarray:
    """Return int64 [label, pred] counts of so many rows: Zipf labels, and errors that go to frequent classes."""
    share = np.arange(1.0, n_classes + 1) ** -exponent
    share[n_classes - absent :] = 0
    share /= share.sum()
    labels = rng.multinomial(rows, share)
    counts = np.zeros((n_classes, n_classes), np.int64)
    for label, n in enumerate(labels):
        right = 0.97 - 0.6 * (label / n_classes) ** 0.7 if errors and n_classes > 1 else 1.0
        to = share * rng.gamma(0.5, size=n_classes)
        to[label] = 0
        to = to / to.sum() * (1 - right) if to.sum() else to
        to[label] = 1 - to.sum()
        counts[label] = rng.multinomial(n, to)
    return counts


def classes(
    counts: np.ndarray, class_loss: np.ndarray, names: list[str], losses: list[str], *, per_image: bool
) -> list[dict[str, Any]]:
    """Return the rows of all classes."""
    total, rows = int(counts.sum()), []
    for i, name in enumerate(names):
        n, predicted, right = int(counts[i].sum()), int(counts[:, i].sum()), int(counts[i, i])
        union = n + predicted - right
        f1 = around(2 * right / (n + predicted) if n + predicted else None)
        rows.append(
            {
                "index": i,
                "name": name,
                "group": "many" if n > 100 else "medium" if n > 20 else "few",
                "count": n,
                "train_count": None,
                "share": n / total if total else None,
                "predicted": predicted,
                "predicted_share": predicted / total if total else None,
                "recall": proportion(right, n),
                "precision": proportion(right, predicted),
                "f1": f1,
                "iou": around(right / union if union else None),
                "average_precision": around(None if f1["value"] is None else f1["value"] ** 0.8),
                "auroc": around(None if f1["value"] is None else 0.5 + f1["value"] / 2),
                "ece": around(0.03 if n else None, 0.01),
                "losses": {
                    loss: _class_loss(class_loss[i] / 2**k, class_loss / 2**k, n, total)
                    for k, loss in enumerate(losses)
                },
                "per_image": {"p10": 0.3, "p50": 0.7, "p90": 0.9, "n": min(n, 40)} if per_image else None,
            }
        )
    return rows


def _class_loss(loss: float, all_losses: np.ndarray, n: int, total: int) -> dict[str, Any]:
    whole = float(all_losses.sum())
    share = float(loss) / whole if whole else None
    mean = float(loss) / n if n else None
    ratio = None if share is None or not n else share / (n / total)
    return {
        "mean": around(mean, 0.1),
        "p50": None if mean is None else mean / 2,
        "p90": None if mean is None else mean * 3,
        "p99": None if mean is None else mean * 9,
        "share": share,
        "share_ratio": around(ratio, 0.1),
    }


def groups(rows: list[dict[str, Any]], losses: list[str]) -> dict[str, Any]:
    """Return the many, medium, few split of class rows."""
    rules = {"many": "more than 100 labels", "medium": "21 to 100 labels", "few": "20 labels or fewer"}
    total, found = sum(row["count"] for row in rows), []
    for name, rule in rules.items():
        inside = [row for row in rows if row["group"] == name]
        if not inside:
            continue
        count = sum(row["count"] for row in inside)
        estimates = {key: around(mean_of(row[key]["value"] for row in inside)) for key in ("recall", "precision", "f1")}
        found.append(
            {"name": name, "rule": rule, "classes": [row["index"] for row in inside], "count": count}
            | {
                "share": count / total if total else None,
                "losses": {loss: _group_loss(inside, loss) for loss in losses},
            }
            | estimates
        )
    return {"split": "many-medium-few", "by": "label counts", "rows": found}


def _group_loss(inside: list[dict[str, Any]], loss: str) -> dict[str, Any]:
    own = [row["losses"][loss] for row in inside]
    share = sum(one["share"] or 0.0 for one in own)
    size = sum(row["share"] or 0.0 for row in inside)
    return {
        "mean": around(mean_of(one["mean"]["value"] for one in own), 0.1),
        "p50": mean_of(one["p50"] for one in own),
        "p90": mean_of(one["p90"] for one in own),
        "p99": mean_of(one["p99"] for one in own),
        "share": share,
        "share_ratio": around(share / size if size else None, 0.1),
    }


def imbalance(counts: np.ndarray, counted: str) -> dict[str, Any]:
    """Return the imbalance of the label counts."""
    labels, predicted = counts.sum(1), counts.sum(0)
    total, n_classes = int(labels.sum()), len(labels)
    found: dict[str, Any] = dict.fromkeys(
        ("ratio", "entropy", "entropy_share", "effective_classes", "lrid", "gini", "prior_shift")
    )
    found |= {"counted": counted, "n_absent": int((labels == 0).sum()), "lorenz": []}
    if not total:
        return found
    p, present = labels / total, labels[labels > 0]
    entropy = max(0.0, float(-(p[p > 0] * np.log(p[p > 0])).sum()))
    ranks = np.arange(1, n_classes + 1)
    curve = np.concatenate([[0.0], np.cumsum(np.sort(p))])
    every = np.unique(np.linspace(0, n_classes, min(n_classes + 1, 200)).astype(int)).tolist()
    return found | {
        "ratio": float(present.max() / present.min()),
        "entropy": entropy,
        "entropy_share": entropy / math.log(n_classes) if n_classes > 1 else None,
        "effective_classes": math.exp(entropy),
        "lrid": float(-2 * (present * np.log(total / (n_classes * present))).sum()),
        "gini": float((2 * ranks - n_classes - 1) @ np.sort(p) / n_classes),
        "lorenz": [[i / n_classes, min(1.0, float(curve[i]))] for i in every],
        "prior_shift": float(np.abs(p - predicted / total).sum() / 2),
    }


def confusions(counts: np.ndarray, class_loss: np.ndarray, loss: str | None) -> dict[str, Any]:
    """Return the dearest pairs, and the block that they join."""
    whole, pairs = float(class_loss.sum()), []
    for label, pred in zip(*np.nonzero(counts), strict=True):
        if label != pred:
            n, carried = int(counts[label, pred]), 3.2 * float(counts[label, pred]) * (1 + 0.01 * int(label))
            pairs.append(
                {
                    "label": int(label),
                    "pred": int(pred),
                    "count": n,
                    "share_of_label": n / int(counts[label].sum()),
                    "loss": carried if loss else 0.0,
                    "loss_share": min(1.0, carried / whole) if loss and whole else None,
                    "mean_loss": carried / n if loss else None,
                }
            )
    pairs.sort(key=lambda pair: (-pair["loss"], -pair["count"]))
    block = (
        list(range(len(counts)))
        if len(counts) <= 25
        else list(dict.fromkeys(i for pair in pairs for i in (pair["label"], pair["pred"])))[:25]
    )
    return {
        "loss": loss,
        "pairs": pairs[:50],
        "n_pairs": len(pairs),
        "block": block,
        "counts": counts[np.ix_(block, block)].tolist(),
    }


def hardness(losses: np.ndarray) -> dict[str, Any]:
    """Return histogram and Lorenz curve of losses."""
    if not len(losses):
        return {"histogram": [], "lorenz": []} | dict.fromkeys(
            ("easy_half_share", "hardest_tenth_share", "hardest_hundredth_share")
        )
    edges = 2.0 ** np.arange(math.floor(math.log2(losses.min())), math.ceil(math.log2(losses.max())) + 1.01, 0.25)
    count, _ = np.histogram(losses, edges)
    carried, _ = np.histogram(losses, edges, weights=losses)
    curve = np.concatenate([[0], np.cumsum(np.sort(losses))]) / losses.sum()
    at = np.linspace(0, 1, 101)
    shares = np.interp(at, np.linspace(0, 1, len(curve)), curve)
    return {
        "histogram": [
            {"low": float(low), "high": float(high), "count": int(n), "loss": float(loss)}
            for low, high, n, loss in zip(edges[:-1], edges[1:], count, carried, strict=True)
        ],
        "lorenz": [[float(x), float(y)] for x, y in zip(at, shares, strict=True)],
        "easy_half_share": float(shares[50]),
        "hardest_tenth_share": float(1 - shares[90]),
        "hardest_hundredth_share": float(1 - shares[99]),
    }


def focusing(losses: np.ndarray, gammas: tuple[float, ...]) -> dict[str, Any]:
    """Return what each gamma does to the easy half's share."""
    if len(losses) < 2:
        return {"rows": [], "suggested": None, "reason": "too few rows to tell"}
    rows = []
    for gamma in gammas:
        focal = np.sort(losses * (-np.expm1(-losses)) ** gamma)
        whole = float(focal.sum())
        rows.append(
            {
                "gamma": float(gamma),
                "easy_half_share": float(focal[: len(focal) // 2].sum()) / whole,
                "hardest_tenth_share": float(focal[len(focal) * 9 // 10 :].sum()) / whole,
                "effective_samples": whole**2 / float((focal**2).sum()),
            }
        )
    return {
        "rows": rows,
        "suggested": 1.0,
        "reason": "the easy half carries little already; more focusing would leave too few samples",
    }


def calibration(rng: np.random.Generator, rows: int, n_classes: int) -> dict[str, Any]:
    """Return 15 bins of an overconfident model."""
    counts = rng.multinomial(rows, np.linspace(0.2, 3, 15) / np.linspace(0.2, 3, 15).sum()).tolist()
    bins = []
    for i, n in enumerate(counts):
        confidence = (i + 0.5) / 15
        right = int(rng.binomial(n, 0.1 + 0.8 * confidence))
        bins.append(
            {
                "low": i / 15,
                "high": (i + 1) / 15,
                "count": n,
                "confidence": confidence if n else None,
                "accuracy": proportion(right, n),
            }
        )
    known = rows > 10
    return {
        "ece": around(0.072 if rows else None, 0.01),
        "ece_class_wise": around(0.021 if rows else None, 0.004),
        "brier": 0.143 if rows else None,
        "bins": bins,
        "temperature": {
            "value": 1.62 if known else None,
            "nll_before": 0.61 if known else None,
            "nll_after": 0.52 if known else None,
            "ece_before": 0.072 if known else None,
            "ece_after": 0.018 if known else None,
            "n_rows": rows // 2,
            "reason": "" if known else "fewer than 10 rows",
        },
    }


def advice(counts: np.ndarray, names: list[str], task: str) -> dict[str, Any]:
    """Return actions and code to paste."""
    weights = [float(w) for w in counts.sum() / np.maximum(counts, 1) / len(counts)]
    tensor = f"torch.tensor([{', '.join(f'{w:.4g}' for w in weights)}])"
    known = int(counts.sum()) > 10
    sigmoid = task in ("binary", "multilabel")
    return {
        "actions": [
            {
                "title": "Adjust the logits by the prior",
                "why": "balanced accuracy rises by 6.1 points on the held-out half",
                "command": "logits = logits - 1.0 * torch.log(prior)",
            },
            {
                "title": f"Relabel the hardest samples of {names[-1]}",
                "why": "they carry 31% of the loss",
                "command": "evaltool mine preds.run --by ce --top 500",
            },
            {"title": "Collect more samples of the few classes", "why": "recall there is 41%", "command": ""},
        ],
        "weights": [
            {"rule": rule, "weights": weights, "torch": f"weight = {tensor}", "option": f"--class-weights {rule}"}
            for rule in ("inverse", "sqrt-inverse", "median-frequency", "enet", "effective-number")
        ],
        "alpha": {"values": weights, "torch": f"alpha = {tensor}", "option": "--loss focal:gamma=2,alpha=..."},
        "prior_bias": {"values": weights, "torch": f"layer.bias.data = {tensor}"},
        "adjustment": {
            "tau": 1.0 if known else None,
            "balanced_accuracy_before": 0.61 if known else None,
            "balanced_accuracy_after": 0.67 if known else None,
            "gain": around(0.06 if known else None, 0.02),
            "accuracy_before": 0.88 if known else None,
            "accuracy_after": 0.86 if known else None,
            "n_rows": int(counts.sum()) // 2,
            "torch": "logits = logits - 1.0 * torch.log(prior)" if known else "",
            "reason": "" if known else "fewer than 10 rows",
        },
        "correction": {
            "values": weights if known else [],
            "accuracy_before": 0.88 if known else None,
            "accuracy_after": 0.89 if known else None,
            "balanced_accuracy_before": 0.61 if known else None,
            "balanced_accuracy_after": 0.6 if known else None,
            "gain": around(0.01 if known else None, 0.005),
            "n_rows": int(counts.sum()) // 2,
            "torch": "logits = logits + bias" if known else "",
            "reason": "" if known else "fewer than 10 rows",
        },
        "thresholds": [
            {
                "index": i,
                "threshold": 0.31,
                "f1_before": 0.5,
                "f1_after": 0.58,
                "recall_after": 0.6,
                "precision_after": 0.56,
            }
            if n
            else {"index": i} | dict.fromkeys(("threshold", "f1_before", "f1_after", "recall_after", "precision_after"))
            for i, n in enumerate(counts.tolist())
        ]
        if sigmoid
        else [],
    }


def slices(rng: np.random.Generator, rows: int, losses: list[str], *, hostile: bool, rated: bool) -> dict[str, Any]:
    """Return groups of a column, worst first."""
    names = ["<b>night</b>", "rain, fog", "(none)"] if hostile else ["night", "rain", "fog", "day", "(none)"]
    found = []
    for i, name in enumerate(names):
        n, loss = rows // (i + 2), 0.9 - 0.15 * i
        found.append(
            {
                "group": name,
                "count": n,
                "rates": {"accuracy": proportion(int(n * (0.6 + 0.05 * i)), n)} if rated else {},
                "losses": {name: around(loss if n else None, 0.05) for name in losses},
                "difference": {"value": 0.3 - 0.15 * i, "low": 0.2 - 0.15 * i, "high": 0.4 - 0.15 * i},
                "p_value": 10.0 ** (-6 + 2 * i) if n else None,
                "q_value": min(1.0, 10.0 ** (-5.5 + 2 * i)) if n else None,
                "significant": n > 0 and i < 2,
                "worst_class": 0 if n and rated else None,
            }
        )
    return {"column": "weather | <i>", "n_missing": rows // 6, "rows": found, "n_groups": len(found)}


def distribution(values: np.ndarray) -> dict[str, Any]:
    """Return quantiles and 20 bins."""
    keys = ("p01", "p10", "p50", "p90", "p99")
    if not len(values):
        return {"count": 0, "mean": None, "histogram": []} | dict.fromkeys(keys)
    count, edges = np.histogram(values, 20)
    quantiles = np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99]).tolist()
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), count.tolist(), strict=True)
    return (
        {"count": len(values), "mean": float(values.mean())}
        | dict(zip(keys, quantiles, strict=True))
        | {"histogram": [{"low": low, "high": high, "count": n} for low, high, n in bins]}
    )


def comparison(rng: np.random.Generator, names: list[str], losses: list[str], rows: int) -> dict[str, Any]:
    """Return a second run that helps the later classes and hurts the first."""
    changed = []
    for i, name in enumerate(names):
        gain = 0.2 * (i / len(names)) - 0.04
        before = 0.5 + 0.3 * float(rng.random())
        changed.append(
            {
                "index": i,
                "name": name,
                "recall_before": before,
                "recall_after": before + gain,
                "recall": {"value": gain, "low": gain - 0.03, "high": gain + 0.03},
                "precision_before": before,
                "precision_after": before + gain / 2,
                "losses": {loss: {"value": -gain, "low": -gain - 0.02, "high": -gain + 0.02} for loss in losses},
                "gained": 9 + i,
                "lost": 7,
            }
        )
    change = {"before": 0.81, "after": 0.84, "difference": {"value": 0.03, "low": 0.01, "high": 0.05}}
    return {
        "other": "weighted <run>",
        "paired_by": "index",
        "n_paired": rows,
        "n_only_first": 2,
        "n_only_second": 0,
        "n_label_changed": 1,
        "rates": {"accuracy": change, "balanced_accuracy": change} if names else {},
        "losses": {
            loss: {"before": 0.5, "after": 0.44, "difference": {"value": -0.06, "low": -0.08, "high": -0.04}}
            for loss in losses
        },
        "classes": changed,
        "sentences": ["Accuracy rose by 3.0 points (1.0 to 5.0)."],
    }


def provenance(losses: list[str], rows: int) -> dict[str, Any]:
    """Return where it all would come from."""
    return {
        "evaltool": "0.1.0",
        "command": "evaltool score preds.npy labels.npy --class-names 'a,<b>'",
        "report_command": "evaltool report preds.run",
        "inputs": [
            {
                "role": role,
                "path": f"/data/{role}.npy",
                "size": 123456789,
                "mtime": 1.7e9,
                "digest": "sha256-blocks:" + "0123456789abcdef" * 4,
                "shape": [rows, 10],
                "dtype": "float32",
            }
            for role in ("preds", "labels")
        ],
        "decisions": ["task multiclass: preds [N, 10], integer labels [N]", "preds are logits: rows do not sum to 1"],
        "statuses": {"ok": rows, "ignored": 4, "nonfinite": 1, "bad_label": 2, "bad_preds": 0},
        "n_clamped": 3,
        "n_infinite": 1,
        "n_failed": 0,
        "losses": [{"column": loss, "formula": "-w_t log p_t"} for loss in losses],
        "versions": {"evaltool": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.6"},
        "engine": "torch",
        "device": "cpu",
        "started": "2026-01-31T12:00:00+00:00",
        "seconds": 1.25,
        "failure": None,
        "notes": ["no --train-counts: groups follow the label counts"],
    }
