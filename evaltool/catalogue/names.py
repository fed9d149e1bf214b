"""What people type for a loss, and which one they mean."""

import difflib
import re

from evaltool.catalogue.entries import CATALOGUE
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


def unknown_loss(name: str, where: str) -> EvaltoolError:
    """Return the error for a name that is no loss's; ``where`` is what the user wrote."""
    return EvaltoolError(f"no loss is called {name!r}\n  {where}\n  {_meant(name)}`evaltool losses` lists them.")


def _meant(name: str) -> str:
    parts = re.split(r"[,\s]+", name)
    if len(parts) > 1 and all(part in CATALOGUE for part in parts):
        return f"Repeat the option: {' '.join(f'--loss {part}' for part in parts)}. "
    known = {_plain(entry.class_name): loss for loss, entry in CATALOGUE.items()}
    known |= {_plain(other): loss for loss, others in OTHER_NAMES.items() for other in others}
    known |= {_plain(loss): loss for loss in CATALOGUE}
    plain = _plain(name)
    near = [plain] if plain in known else difflib.get_close_matches(plain, known, n=3, cutoff=0.75)
    meant = dict.fromkeys(known[word] for word in near)
    return f"Did you mean {' or '.join(meant)}? " if meant else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("loss")
