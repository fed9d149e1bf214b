"""Segmentation: how well each image's mask and prediction overlap, and where they differ most."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.run.inputs import Inputs, Predictions

Array = np.ndarray[Any, Any]

IMAGE_NUMBERS = 1 << 22  # predictions of images read together: 32 MB of float64
SMOOTH = 1.0  # position, as in DiceLoss


class Region(NamedTuple):
    """The largest disagreement of one image."""

    box: list[int]  # first position along each axis, then the extent along each: top, left, height, width
    positions: int
    label: int  # of the most frequent pair of label and prediction
    pred: int


def probabilities(block: Predictions, softmax: bool) -> Array:
    """Return probabilities [n, C, *S]; of one foreground class, background and foreground."""
    if softmax:
        return np.exp(block.odds)
    there = np.exp(-np.logaddexp(0, -block.odds))
    return np.stack([1 - there, there], 1)


def dice_by_class(block: Predictions, softmax: bool) -> Array:
    """Return the soft Dice loss of each image and class, float64 [n, C]; NaN where the label has no such class.

    Of one foreground class the background counts for nothing: its column is NaN. A class that only the prediction has
    shows in the loss of the classes it takes positions from.
    """
    probs = probabilities(block, softmax)
    n, classes = probs.shape[:2]
    probs = np.where(block.valid[:, None], probs, 0).reshape(n, classes, -1)
    labels = np.where(block.valid, block.labels, -1).reshape(n, -1)
    losses = np.full((n, classes), np.nan)
    for c in range(classes) if softmax else (1,):
        given = labels == c
        both = np.where(given, probs[:, c], 0).sum(1)
        loss = 1 - (2 * both + SMOOTH) / (probs[:, c].sum(1) + given.sum(1) + SMOOTH)
        losses[:, c] = np.where(given.any(1), loss, np.nan) if softmax else loss
    return losses


def dice_of_images(block: Predictions, softmax: bool) -> tuple[Array, Array]:
    """Return the soft Dice loss of each image and its worst class.

    Returns:
        float64 [n], the mean over the classes in the image's label, NaN where it is not ok; int64 [n].
    """
    losses = dice_by_class(block, softmax)
    known = ~np.isnan(losses)
    mean = np.where(known, losses, 0).sum(1) / np.maximum(known.sum(1), 1)
    seen = block.ok & known.any(1) & block.valid.reshape(len(mean), -1).any(1)
    return np.where(seen, mean, np.nan), np.where(known, losses, -np.inf).argmax(1)


def images(inputs: Inputs, index: Array) -> Iterator[Predictions]:
    """Yield the images of some rows one by one, in the order of ``np.unique(index)``."""
    places = np.unique(index)
    step = max(1, IMAGE_NUMBERS // max(1, int(np.prod(inputs.preds.shape[1:], dtype=np.int64))))
    for start in range(0, len(places), step):
        block = inputs.rows(places[start : start + step])
        for i in range(len(block.ok)):
            yield Predictions(0, *(part[i : i + 1] for part in block[1:]))


def regions_of(inputs: Inputs, index: Array) -> list[Region | None]:
    """Return the worst region of some rows, in their order."""
    found = [worst_region(image, inputs.softmax) for image in images(inputs, index)]
    return [found[place] for place in np.searchsorted(np.unique(index), index)]


def worst_region(block: Predictions, softmax: bool) -> Region | None:
    """Return the largest disagreement of the one image in a block, None where label and prediction agree.

    Regions are connected along the axes; the largest is the one whose positions' labels lack most probability.

    Raises:
        EvaltoolError: SciPy is not installed.
    """
    ndimage = _ndimage()
    probs = probabilities(block, softmax)[0]
    labels, valid = block.labels[0], block.valid[0]
    preds = probs.argmax(0)
    regions, count = ndimage.label((preds != labels) & valid)
    if not count:
        return None
    missing = 1 - np.take_along_axis(probs, labels[None], 0)[0]
    weights = np.bincount(regions.ravel(), missing.ravel(), minlength=count + 1)
    worst = int(weights[1:].argmax()) + 1
    place = ndimage.find_objects(regions)[worst - 1]
    inside = regions == worst
    box = [int(axis.start) for axis in place] + [int(axis.stop - axis.start) for axis in place]
    pairs, counts = np.unique(np.stack([labels[inside], preds[inside]]), axis=1, return_counts=True)
    label, pred = pairs[:, counts.argmax()].tolist()
    return Region(box, int(inside.sum()), label, pred)


def _ndimage() -> Any:
    try:
        from scipy import ndimage
    except ImportError:
        raise EvaltoolError(
            "the regions of masks need SciPy\n  scipy is not installed\n  pip install 'evaltool[mine]'."
        ) from None
    return ndimage
