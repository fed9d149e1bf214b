"""The catalogue: every loss by name, with all that is known of it without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evaltool.schema import is_softmax

# read with the formulas
NOTATION = (
    "y is the label and p the probability of label 1; t is the class of the label and p_t its probability; w and w_t "
    "are the weight of the class. What has a value per position is averaged over the sample's valid positions."
)


@dataclass(frozen=True)
class LossEntry:
    """One row of the catalogue.

    A loss is given the classes as one of four ``outputs``: a "softmax" over all of them, one "sigmoid" whose classes
    are the negatives and the positives, "sigmoids" (one per class), or "real" numbers.

    Attributes:
        class_name: the class in ``evaltool.losses``.
        kind: "softmax", "sigmoid", "either" or "real".
        formula: the value, in one line of plain text.
        source: author and year of the paper, and its arXiv id; "" where the formula is common property.
        tasks: the tasks it fits; a sigmoid loss fits a segmentation of one foreground class only.
        parameters: what a SPEC may set, with the defaults.
        soft_labels: a softmax of it takes labels that are shares of the classes.
        zero_or_one: sigmoids of it take no label between 0 and 1.
        class_weights: by outputs, the parameter that takes one weight per class, or two for negatives and positives.
        pairs: parameters that are (negatives, positives); in a loss of either kind under sigmoids only.
        counted: parameters that stand for the label counts where they are None.
        needs: by task, a parameter without which every value is 0.
        with_background: in a loss of either kind, one foreground class is given with the background as a softmax.
    """

    class_name: str
    kind: str
    formula: str
    source: str
    tasks: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    soft_labels: bool = False
    zero_or_one: bool = False
    class_weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    with_background: bool = False

    @property
    def takes_two_classes(self) -> bool:
        """Whether one foreground class is given as the two classes background and foreground."""
        return self.kind == "softmax" or self.with_background

    @property
    def from_labels(self) -> dict[str, tuple[str, ...]]:
        """The parameters that label counts can fill in, and the outputs where they can; () where always."""
        given = {self.outputs(task, False) for task in self.tasks}
        found: dict[str, tuple[str, ...]] = {}
        for name in self.parameters:
            takers = {outputs for outputs, names in self.class_weights.items() if names == (name,)}
            takers |= {outputs for outputs in given if self.is_pair(name, outputs)}
            if name in self.counted or takers >= given:
                found[name] = ()
            elif takers:
                found[name] = tuple(sorted(takers & given))
        return found

    def outputs(self, task: str, foreground: bool) -> str:
        """Return as what the loss is given the classes of a task: "softmax", "sigmoid", "sigmoids" or "real"."""
        if task == "regression":
            return "real"
        if is_softmax(task, foreground) or (foreground and self.takes_two_classes):
            return "softmax"
        return "sigmoids" if task == "multilabel" else "sigmoid"

    def fits(self, task: str, foreground: bool) -> bool:
        """Whether the loss is one of a task."""
        several_classes = task == "segmentation" and not foreground
        return task in self.tasks and not (several_classes and self.kind == "sigmoid")

    def is_pair(self, parameter: str, outputs: str) -> bool:
        """Whether a parameter is (negatives, positives)."""
        return parameter in self.pairs and not (self.kind == "either" and outputs == "softmax")


SOFTMAX_TASKS = ("multiclass", "segmentation")
SIGMOID_TASKS = ("binary", "multilabel", "segmentation")
EITHER_TASKS = ("multiclass", "binary", "multilabel", "segmentation")
REGIONS = {"smooth_nr": 1.0, "smooth_dr": 1.0}
DICE = {**REGIONS, "squared": False, "classes": "present"}

CATALOGUE = {
    "ce": LossEntry(
        "CrossEntropyLoss",
        "softmax",
        "-w_t log p_t",
        "",
        SOFTMAX_TASKS,
        {"weight": None, "label_smoothing": 0.0},
        soft_labels=True,
        class_weights={"softmax": ("weight",)},
    ),
    "bce": LossEntry(
        "BinaryCrossEntropyLoss",
        "sigmoid",
        "-w (pos_weight y log p + neg_weight (1 - y) log(1 - p))",
        "",
        SIGMOID_TASKS,
        {"pos_weight": None, "neg_weight": None, "weight": None},
        class_weights={"sigmoid": ("neg_weight", "pos_weight"), "sigmoids": ("weight",)},
    ),
    "focal": LossEntry(
        "FocalLoss",
        "softmax",
        "alpha_t (1 - p_t)^gamma (-log p_t)",
        "Lin 2017, arXiv:1708.02002",
        SOFTMAX_TASKS,
        {"gamma": 2.0, "alpha": None},
        class_weights={"softmax": ("alpha",)},
    ),
    "binary-focal": LossEntry(
        "BinaryFocalLoss",
        "sigmoid",
        "w alpha_t (1 - p_t)^gamma (-log p_t), p_t = p if y else 1 - p",
        "Lin 2017, arXiv:1708.02002",
        SIGMOID_TASKS,
        {"gamma": 2.0, "alpha": None, "weight": None},
        class_weights={"sigmoid": ("alpha",), "sigmoids": ("weight",)},
        pairs=("alpha",),
    ),
    "ova-focal": LossEntry(
        "OneVsAllFocalLoss",
        "softmax",
        "mean over all classes c of w_c binary-focal(p_c), y = 1 where c = t, else 0",
        "Lin 2017, arXiv:1708.02002",
        SOFTMAX_TASKS,
        {"gamma": 2.0, "alpha": None, "weight": None},
        class_weights={"softmax": ("weight",)},
        pairs=("alpha",),
    ),
    "balanced-ce": LossEntry(
        "BalancedCrossEntropyLoss",
        "sigmoid",
        "-(b y log p + (1 - b) (1 - y) log(1 - p)), b = beta, or 1 - mean(y) over the sample where beta is none",
        "Xie 2015, arXiv:1504.06375",
        SIGMOID_TASKS,
        {"beta": None},
        needs={"binary": "beta"},
    ),
    "ohem-ce": LossEntry(
        "OhemCrossEntropyLoss",
        "sigmoid",
        "(sum of bce over the k positives and the m negatives where it is largest) / (k + m + eps), "
        "m = min(negatives, negative_ratio k)",
        "Liao 2020, arXiv:1911.08947",
        ("multilabel", "segmentation"),
        {"negative_ratio": 3.0, "eps": 0.0},
        zero_or_one=True,
    ),
    "dice": LossEntry(
        "DiceLoss",
        "either",
        "1 - (2 sum(p y) + smooth_nr) / (sum(p^k) + sum(y^k) + smooth_dr), k = 2 if squared else 1; "
        "sums over positions, mean over classes; without positions, sums over classes",
        "Milletari 2016, arXiv:1606.04797; Li 2020, arXiv:1911.02855",
        EITHER_TASKS,
        DICE,
        soft_labels=True,
    ),
    "generalized-dice": LossEntry(
        "GeneralizedDiceLoss",
        "either",
        "1 - (2 sum_c w_c sum(p y) + smooth_nr) / (sum_c w_c sum(p + y) + smooth_dr), w_c = 1 / sum(y_c)^2; "
        "a class without a label has the largest w_c of the others",
        "Sudre 2017, arXiv:1707.03237",
        ("multiclass", "multilabel", "segmentation"),
        {"smooth_nr": 0.0, "smooth_dr": 0.0},
        soft_labels=True,
        with_background=True,
    ),
    "dice-ce": LossEntry(
        "DiceCELoss",
        "either",
        "lambda_dice dice + lambda_ce ce; of sigmoids, lambda_dice dice + lambda_ce bce",
        "Isensee 2018, arXiv:1809.10486",
        EITHER_TASKS,
        {"lambda_dice": 1.0, "lambda_ce": 1.0, "weight": None, **DICE},
        soft_labels=True,
        class_weights={"softmax": ("weight",), "sigmoids": ("weight",)},
    ),
    "dice-focal": LossEntry(
        "DiceFocalLoss",
        "either",
        "lambda_dice dice + lambda_focal focal; of sigmoids, lambda_dice dice + lambda_focal binary-focal",
        "Zhu 2018, arXiv:1808.05238",
        EITHER_TASKS,
        {"lambda_dice": 1.0, "lambda_focal": 1.0, "gamma": 2.0, "alpha": None, **DICE},
        class_weights={"softmax": ("alpha",), "sigmoid": ("alpha",)},
        pairs=("alpha",),
    ),
    "tversky": LossEntry(
        "TverskyLoss",
        "either",
        "1 - (2 TP + smooth_nr) / (2 TP + 2 alpha FP + 2 beta FN + smooth_dr), TP = sum(p y), FP = sum(p (1 - y)), "
        "FN = sum((1 - p) y); classes as in dice",
        "Salehi 2017, arXiv:1706.05721",
        EITHER_TASKS,
        {"alpha": 0.3, "beta": 0.7, **REGIONS, "classes": "present"},
        soft_labels=True,
    ),
    "focal-tversky": LossEntry(
        "FocalTverskyLoss",
        "either",
        "tversky^(1 / gamma) of each class; classes as in dice",
        "Abraham 2018, arXiv:1810.07842",
        EITHER_TASKS,
        {"alpha": 0.3, "beta": 0.7, "gamma": 4 / 3, **REGIONS, "classes": "present"},
        soft_labels=True,
    ),
    "jaccard": LossEntry(
        "JaccardLoss",
        "either",
        "1 - (2 I + smooth_nr) / (2 U + smooth_dr), I = sum(p y), U = sum(p) + sum(y) - I; classes as in dice",
        "Rahman 2016",
        EITHER_TASKS,
        {**REGIONS, "classes": "present"},
        soft_labels=True,
    ),
    "log-cosh-dice": LossEntry(
        "LogCoshDiceLoss",
        "either",
        "log(cosh(dice))",
        "Jadon 2020, arXiv:2006.14822",
        EITHER_TASKS,
        DICE,
        soft_labels=True,
    ),
    "lovasz": LossEntry(
        "LovaszLoss",
        "either",
        "Lovasz extension of the Jaccard loss at the errors |y_c - p_c|, mean over classes; of sigmoids, at "
        "max(0, 1 - x (2 y - 1)), x the logit",
        "Berman 2018, arXiv:1705.08790",
        ("multiclass", "multilabel", "segmentation"),
        {"classes": "present"},
        zero_or_one=True,
    ),
    "asymmetric": LossEntry(
        "AsymmetricLoss",
        "sigmoid",
        "w (y (1 - p)^gamma_pos (-log p) + (1 - y) q^gamma_neg (-log(1 - q))), q = max(p - clip, 0)",
        "Ridnik 2021, arXiv:2009.14119",
        SIGMOID_TASKS,
        {"gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.05, "weight": None},
        class_weights={"sigmoids": ("weight",)},
    ),
    "poly": LossEntry(
        "PolyLoss",
        "softmax",
        "alpha_t ((1 - p_t)^gamma (-log p_t) + eps (1 - p_t)^(gamma + 1))",
        "Leng 2022, arXiv:2204.12511",
        SOFTMAX_TASKS,
        {"eps": 1.0, "gamma": 0.0, "alpha": None},
        class_weights={"softmax": ("alpha",)},
    ),
    "gce": LossEntry(
        "GeneralizedCrossEntropyLoss",
        "softmax",
        "w_t (1 - p_t^q) / q",
        "Zhang 2018, arXiv:1805.07836",
        SOFTMAX_TASKS,
        {"q": 0.7, "weight": None},
        class_weights={"softmax": ("weight",)},
    ),
    "logit-adjusted": LossEntry(
        "LogitAdjustedLoss",
        "softmax",
        "ce of the logits + tau log(prior), prior as shares",
        "Menon 2021, arXiv:2007.07314",
        SOFTMAX_TASKS,
        {"prior": None, "tau": 1.0, "weight": None},
        soft_labels=True,
        class_weights={"softmax": ("weight",)},
        counted=("prior",),
    ),
    "ldam": LossEntry(
        "LDAMLoss",
        "softmax",
        "ce of scale times the logits, the label's less m_t; m_c = max_margin (min(counts) / counts_c)^(1/4)",
        "Cao 2019, arXiv:1906.07413",
        SOFTMAX_TASKS,
        {"counts": None, "max_margin": 0.5, "scale": 1.0, "weight": None},
        class_weights={"softmax": ("weight",)},
        counted=("counts",),
    ),
    "quality-focal": LossEntry(
        "QualityFocalLoss",
        "sigmoid",
        "w |y - p|^beta (-(y log p + (1 - y) log(1 - p)))",
        "Li 2020, arXiv:2006.04388",
        SIGMOID_TASKS,
        {"beta": 2.0, "weight": None},
        class_weights={"sigmoids": ("weight",)},
    ),
    "varifocal": LossEntry(
        "VarifocalLoss",
        "sigmoid",
        "w y (-(y log p + (1 - y) log(1 - p))) where y > 0, else w alpha p^gamma (-log(1 - p))",
        "Zhang 2021, arXiv:2008.13367",
        SIGMOID_TASKS,
        {"alpha": 0.75, "gamma": 2.0, "weight": None},
        class_weights={"sigmoids": ("weight",)},
    ),
    "seesaw": LossEntry(
        "SeesawLoss",
        "softmax",
        "-w_t log(e^z_t / (e^z_t + sum_c S_c e^z_c)), c other than t, "
        "S_c = min(1, counts_c / counts_t)^p max(1, p_c / p_t)^q, z the logits",
        "Wang 2021, arXiv:2008.10032",
        SOFTMAX_TASKS,
        {"counts": None, "p": 0.8, "q": 2.0, "constant_factors": False, "weight": None},
        class_weights={"softmax": ("weight",)},
        counted=("counts",),
    ),
    "l1": LossEntry("L1Loss", "real", "|p - y|", "", ("regression",)),
    "smooth-l1": LossEntry(
        "SmoothL1Loss",
        "real",
        "(p - y)^2 / (2 beta) where |p - y| < beta, else |p - y| - beta / 2",
        "Girshick 2015, arXiv:1504.08083",
        ("regression",),
        {"beta": 1.0},
    ),
    "mse": LossEntry("MSELoss", "real", "(p - y)^2", "", ("regression",)),
}
