"""Every metric by name, with all that is known of it without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CLASSIFICATION = ("multiclass", "binary", "multilabel", "segmentation")
ONE_LABEL = ("multiclass", "binary", "segmentation")
# what a job knows of its predictions; every other parameter is the metric's own
SET_BY_TASK = ("num_classes", "task", "ignore_index", "preds_are", "tolerance")


@dataclass(frozen=True)
class MetricEntry:
    """One metric.

    A segmentation is multiclass to it or, for one foreground class, binary.

    Attributes:
        class_name: the class in ``evaltool.metrics``.
        formula: the value, in one line of plain text: n counted, h hits of a class, t labelled and p predicted as it.
        source: author and year of the paper, and its arXiv id; "" where the formula is common property.
        tasks: the tasks it fits.
        parameters: its own, with the defaults.
        of_loss: it is built with a loss, (preds, labels) -> [N].
    """

    class_name: str
    formula: str
    source: str
    tasks: tuple[str, ...] = CLASSIFICATION
    parameters: Mapping[str, Any] = field(default_factory=dict)
    of_loss: bool = False


DECISION = {"threshold": 0.5}
RATE = {"average": "auto", **DECISION}
RANKING = {"average": "macro", "num_bins": 4096}
CALIBRATION = {"form": "auto", "binning": "equal-width", "num_bins": 15, "norm": "l1"}

METRICS = {
    "confusion-matrix": MetricEntry(
        "ConfusionMatrix", "counts of [label, prediction]; multilabel: of each class", "", parameters=DECISION
    ),
    "accuracy": MetricEntry(
        "Accuracy", "sum h / n, h the labels among the top_k classes", "", parameters={"top_k": 1, **DECISION}
    ),
    "precision": MetricEntry("Precision", "h / p, averaged over classes", "", parameters=RATE),
    "recall": MetricEntry("Recall", "h / t, averaged over classes", "", parameters=RATE),
    "f1": MetricEntry("F1Score", "2 h / (t + p), averaged over classes", "", parameters=RATE),
    "dice-score": MetricEntry("DiceScore", "2 h / (t + p), averaged over classes", "", parameters=RATE),
    "jaccard-index": MetricEntry("JaccardIndex", "h / (t + p - h), averaged over classes", "", parameters=RATE),
    "balanced-accuracy": MetricEntry(
        "BalancedAccuracy", "mean of h / t over the classes that occur", "", parameters=DECISION
    ),
    "matthews-corrcoef": MetricEntry(
        "MatthewsCorrCoef",
        "(n sum h - sum t p) / sqrt(sum t (n - t) sum p (n - p))",
        "Gorodkin 2004",
        ONE_LABEL,
        DECISION,
    ),
    "cohen-kappa": MetricEntry(
        "CohenKappa",
        "1 - n sum w c / sum w t p, c the confusion matrix, w 0 where right and else 1 or by distance",
        "Cohen 1960; Cohen 1968",
        ONE_LABEL,
        {"weights": "none", **DECISION},
    ),
    "brier": MetricEntry("BrierScore", "mean of sum over c of (p_c - y_c)^2; sigmoid: of (p - y)^2", "Brier 1950"),
    "calibration-error": MetricEntry(
        "CalibrationError",
        "sum over bins of n_b / n |share right - mean confidence|; norm l2 or max instead of the mean",
        "Naeini 2015; Kull 2019, arXiv:1910.12656",
        parameters=CALIBRATION,
    ),
    "auroc": MetricEntry(
        "AUROC",
        "share of (positive, negative) pairs in the right order, from bins of the log-odds",
        "",
        parameters=RANKING,
    ),
    "average-precision": MetricEntry(
        "AveragePrecision",
        "sum over bins b of (recall_b - recall_above) precision_b, bins of the log-odds",
        "",
        parameters=RANKING,
    ),
    "loss-histogram": MetricEntry(
        "LossHistogram",
        "counts of the losses in bins of float32, 16 per octave",
        "",
        (*CLASSIFICATION, "regression"),
        of_loss=True,
    ),
    "loss-quantiles": MetricEntry(
        "LossQuantiles",
        "loss at rank floor(q (n - 1)), within 1/32 of itself",
        "",
        (*CLASSIFICATION, "regression"),
        {"at": (0.5, 0.9, 0.99)},
        of_loss=True,
    ),
    "loss-share": MetricEntry("LossShare", "loss at the labels of a class / loss at all labels", "", of_loss=True),
}
