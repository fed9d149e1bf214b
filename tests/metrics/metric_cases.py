"""Every metric under a name, on every form of input it takes."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from evaltool import metrics
from evaltool.artifacts.signature import ELEMENTS, REAL, SOFTMAX, Signature
from evaltool.losses import BinaryCrossEntropyLoss, CrossEntropyLoss, DiceLoss, FocalLoss, L1Loss
from evaltool.metrics import Metric

CLASSES = 4
SPACES = {"multiclass": (), "image": (5, 6), "binary": (), "mask": (5, 6), "multilabel": (CLASSES,), "real": ()}
TASKS = {"multiclass": "multiclass", "image": "multiclass", "binary": "binary", "mask": "binary"}


@dataclass(frozen=True)
class MetricCase:
    """A metric, a form of input, and what it is built with."""

    metric: str
    form: str
    arguments: dict[str, Any] = field(default_factory=dict)
    loss: type[torch.nn.Module] | None = None
    undefined: float = torch.nan  # the value where nothing is counted
    fixed_classes: bool = True

    @property
    def task(self) -> str:
        return TASKS.get(self.form, self.form)

    def build(self, **more: Any) -> Metric:
        """Return the metric; a loss takes ``ignore_index`` and ``preds_are`` in its stead."""
        arguments = {**self.arguments}
        made = getattr(metrics, self.metric)
        if self.loss is not None:
            if self.metric == "LossShare":
                arguments |= {"task": self.task, "num_classes": None if self.task == "binary" else CLASSES}
            return made(self.loss(**more), **arguments)
        if self.fixed_classes and self.task != "binary":
            arguments["num_classes"] = CLASSES
        return made(task=self.task, **arguments, **more)

    @property
    def signature(self) -> Signature:
        """What it takes, for an export; sizes are fixed where the metric has numbers per class."""
        layout = SOFTMAX if self.task == "multiclass" else REAL if self.form == "real" else ELEMENTS
        rank = len(SPACES[self.form]) + 1 + (layout == SOFTMAX)
        classes = CLASSES if self.fixed_classes and self.task in ("multiclass", "multilabel") else None
        return Signature(layout, rank, classes, "float32", "float32" if self.form == "real" else "int64")


CONFUSION = ("multiclass", "image", "binary", "mask", "multilabel")


def _cases() -> dict[str, MetricCase]:
    found = {}
    for form in CONFUSION:
        found[f"confusion-{form}"] = MetricCase("ConfusionMatrix", form, undefined=0.0)
        found[f"balanced-accuracy-{form}"] = MetricCase("BalancedAccuracy", form)
        found[f"f1-{form}"] = MetricCase("F1Score", form, undefined=0.0)
        found[f"accuracy-{form}"] = MetricCase("Accuracy", form, fixed_classes=False)
        found[f"brier-{form}"] = MetricCase("BrierScore", form, fixed_classes=False)
        found[f"auroc-{form}"] = MetricCase("AUROC", form)
        found[f"average-precision-{form}"] = MetricCase("AveragePrecision", form, {"average": "micro"})
        found[f"class-wise-{form}"] = MetricCase("CalibrationError", form, {"form": "class-wise", "norm": "l2"})
        share = CrossEntropyLoss if form in ("multiclass", "image") else BinaryCrossEntropyLoss
        found[f"loss-share-{form}"] = MetricCase("LossShare", form, loss=share)
    for form in ("multiclass", "mask"):
        found[f"mcc-{form}"] = MetricCase("MatthewsCorrCoef", form, undefined=0.0)
        found[f"kappa-{form}"] = MetricCase("CohenKappa", form, {"weights": "quadratic"})
        found[f"top-label-{form}"] = MetricCase("CalibrationError", form, fixed_classes=False)
        found[f"equal-mass-{form}"] = MetricCase(
            "CalibrationError", form, {"binning": "equal-mass", "norm": "max"}, fixed_classes=False
        )
    of_all = {"undefined": 0.0}
    return found | {
        "top-2": MetricCase("Accuracy", "image", {"top_k": 2}, fixed_classes=False),
        "precision-none": MetricCase("Precision", "multiclass", {"average": "none"}, **of_all),
        "recall-weighted": MetricCase("Recall", "image", {"average": "weighted"}, **of_all),
        "jaccard-micro": MetricCase("JaccardIndex", "mask", {"average": "micro"}, **of_all),
        "dice-macro": MetricCase("DiceScore", "multilabel", {"average": "macro"}, **of_all),
        "auroc-none": MetricCase("AUROC", "multiclass", {"average": "none", "num_bins": 100}),
        "class-wise-mass": MetricCase(
            "CalibrationError", "multiclass", {"form": "class-wise", "binning": "equal-mass", "num_bins": 7}
        ),
        "histogram": MetricCase("LossHistogram", "multiclass", loss=FocalLoss, fixed_classes=False, **of_all),
        "histogram-dice": MetricCase("LossHistogram", "image", loss=DiceLoss, fixed_classes=False, **of_all),
        "quantiles": MetricCase("LossQuantiles", "multiclass", loss=CrossEntropyLoss, fixed_classes=False),
        "quantiles-real": MetricCase("LossQuantiles", "real", {"at": [0.0, 1.0]}, loss=L1Loss, fixed_classes=False),
    }


CASES = _cases()
CLASSIFICATION = [name for name, case in CASES.items() if case.form != "real"]
OF_PREDS = [name for name in CLASSIFICATION if CASES[name].loss is None]  # a loss takes preds as they come
# in the next bin a number may land for its last digit
BINNED = [
    name
    for name, case in CASES.items()
    if case.metric in ("AUROC", "AveragePrecision", "LossHistogram", "LossQuantiles")
    or case.arguments.get("binning") == "equal-mass"
]
KINDS = ("logits", "probs", "log-probs")


def sample(case: MetricCase, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits and labels of a form."""
    generator = torch.Generator().manual_seed(seed)
    space = SPACES[case.form]
    if case.task == "multiclass":
        logits = torch.randn((n, CLASSES, *space), generator=generator) * 2
        labels = torch.randint(0, CLASSES, (n, *space), generator=generator)
        return logits.scatter_add(
            1, labels.unsqueeze(1), torch.full_like(labels, 1.5, dtype=torch.float32)[:, None]
        ), labels
    labels = torch.randint(0, 2, (n, *space), generator=generator)
    logits = torch.randn((n, *space), generator=generator) * 2 + labels * 1.5
    return logits, torch.randn((n,), generator=generator) if case.form == "real" else labels


def of_kind(logits: Tensor, case: MetricCase, kind: str) -> Tensor:
    """Return logits as probabilities or their logarithms."""
    if case.task == "multiclass":
        return {"logits": logits, "probs": logits.softmax(1), "log-probs": logits.log_softmax(1)}[kind]
    return {"logits": logits, "probs": logits.sigmoid(), "log-probs": torch.nn.functional.logsigmoid(logits)}[kind]


def same(a: Tensor, b: Tensor) -> bool:
    """Return whether two values are equal bit for bit, NaN too."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
