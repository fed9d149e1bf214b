"""What people type for a loss, and which one they mean."""

import difflib
import re
from collections.abc import Mapping

from evaltool.catalogue.entries import CATALOGUE
from evaltool.catalogue.metric_entries import METRICS
from evaltool.errors import EvaltoolError

# what the literature and other libraries call them; written alike are Focal_Loss, focal-loss and FocalLoss
OTHER_NAMES = {
    "ce": ("cross-entropy", "categorical-cross-entropy", "softmax-cross-entropy", "cce", "xent", "log-loss", "nll"),
    "bce": ("binary-cross-entropy", "sigmoid-cross-entropy", "bce-with-logits"),
    "binary-focal": ("sigmoid-focal", "focal-binary"),
    "ova-focal": ("one-vs-all", "one-vs-rest-focal", "ovr-focal"),
    "balanced-ce": ("hed", "balanced-bce", "class-balanced-ce"),
    "ohem-ce": ("ohem", "ohem-bce", "hard-negative-mining"),
    "dice": ("soft-dice", "f1", "sorensen"),
    "generalized-dice": ("gdl", "generalised-dice"),
    "dice-ce": ("ce-dice", "dice-bce", "bce-dice", "combo"),
    "dice-focal": ("focal-dice",),
    "focal-tversky": ("ftl", "tversky-focal"),
    "jaccard": ("iou", "soft-iou", "soft-jaccard", "jaccard-index"),
    "lovasz": ("lovasz-softmax", "lovasz-hinge", "lovasz-jaccard"),
    "asymmetric": ("asl",),
    "poly": ("poly1", "poly-ce", "poly-focal"),
    "gce": ("generalized-ce", "generalised-cross-entropy", "q-loss", "lq"),
    "logit-adjusted": ("logit-adjustment", "la", "balanced-softmax"),
    "ldam": ("label-distribution-aware-margin",),
    "quality-focal": ("qfl", "generalized-focal"),
    "varifocal": ("vfl",),
    "l1": ("mae", "absolute-error", "mean-absolute-error"),
    "smooth-l1": ("huber",),
    "mse": ("l2", "squared-error", "mean-squared-error"),
}

OTHER_METRIC_NAMES = {
    "confusion-matrix": ("confusion", "cm"),
    "accuracy": ("acc", "top-k-accuracy"),
    "f1": ("f-score", "f-measure"),
    "matthews-corrcoef": ("mcc", "phi"),
    "cohen-kappa": ("kappa",),
    "calibration-error": ("ece", "expected-calibration-error"),
    "auroc": ("auc", "roc-auc"),
    "average-precision": ("ap", "map", "auprc", "pr-auc"),
    "loss-histogram": ("histogram",),
    "loss-quantiles": ("quantiles",),
}


def unknown_loss(name: str, where: str) -> EvaltoolError:
    """Return the error for a name that is no loss's; ``where`` is what the user wrote."""
    return EvaltoolError(f"no loss is called {name!r}\n  {where}\n  {_meant(name)}`evaltool losses` lists them.")


def unknown_metric(name: str, where: str) -> EvaltoolError:
    """Return the error for a name that is no metric's; ``where`` is what the user wrote."""
    meant = _did_you_mean(name, _metric_names())
    return EvaltoolError(f"no metric is called {name!r}\n  {where}\n  {meant}`evaltool losses --metrics` lists them.")


def unknown_subject(name: str, where: str) -> EvaltoolError:
    """Return the error for a name that is neither a loss's nor a metric's; ``where`` is what the user wrote."""
    meant = _did_you_mean(name, _metric_names() | _loss_names())
    return EvaltoolError(
        f"no loss or metric is called {name!r}\n  {where}\n  {meant}`evaltool losses` lists losses, `evaltool losses "
        "--metrics` metrics."
    )


def _meant(name: str) -> str:
    parts = re.split(r"[,\s]+", name)
    if len(parts) > 1 and all(part in CATALOGUE for part in parts):
        return f"Repeat the option: {' '.join(f'--loss {part}' for part in parts)}. "
    return _did_you_mean(name, _loss_names())


def _loss_names() -> dict[str, str]:
    return _names({loss: entry.class_name for loss, entry in CATALOGUE.items()}, OTHER_NAMES)


def _metric_names() -> dict[str, str]:
    return _names({metric: entry.class_name for metric, entry in METRICS.items()}, OTHER_METRIC_NAMES)


def _names(classes: Mapping[str, str], others: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return what each plain word means: class names, other names, and the names themselves."""
    known = {_plain(class_name): name for name, class_name in classes.items()}
    known |= {_plain(other): name for name, words in others.items() for other in words}
    return known | {_plain(name): name for name in classes}


def _did_you_mean(name: str, known: Mapping[str, str]) -> str:
    plain = _plain(name)
    near = [plain] if plain in known else difflib.get_close_matches(plain, known, n=3, cutoff=0.75)
    meant = dict.fromkeys(known[word] for word in near)
    return f"Did you mean {' or '.join(meant)}? " if meant else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("loss")
