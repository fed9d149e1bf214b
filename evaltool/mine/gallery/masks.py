"""The masks of a sample as pictures to lay over its own: label, prediction, and where they differ."""

import base64
import io
from typing import Any, NamedTuple

import numpy as np

from evaltool.mine.mined import Masks
from evaltool.mine.pictures import pillow

Array = np.ndarray[Any, Any]

# of neighbouring classes clearly different, also for most who confuse colours (Okabe and Ito 2008, without black)
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#cc79a7", "#d55e00", "#9a6bd1")
DISAGREEMENT = "#ff2020"
HATCH = 6  # pixels from one stripe of the disagreement to the next; between them the masks show through


class Overlay(NamedTuple):
    """What is laid over one picture."""

    images: dict[str, str]  # label, prediction, disagreement -> data URI of a PNG
    classes: list[int]  # that are coloured in one of them


def overlay_of(masks: Masks, only: int | None, size: tuple[int, int], *, blind: bool) -> Overlay:
    """Return the masks of a sample in the shape of its picture.

    Class 0 shows the picture itself, and so do positions that are ignored.

    Args:
        masks: label and prediction [H, W].
        only: the one class in question, None for all.
        size: width and height to draw.
        blind: the label alone.
    """
    label = np.where(masks.valid, masks.label, 0)
    pred = np.where(masks.valid, masks.pred, 0)
    if only is not None:
        label, pred = (np.where(mask == only, only, -1) for mask in (label, pred))
    # class c is drawn as 1 + c modulo the colours; 0 is transparent
    coloured = {"label": _numbers(label, only), "prediction": _numbers(pred, only)}
    if blind:
        del coloured["prediction"]
    images = {name: _png(_nearest(numbers, size), COLOURS) for name, numbers in coloured.items()}
    if not blind:
        differs = _any(label != pred, size)
        stripes = np.add.outer(np.arange(size[1]), np.arange(size[0])) % HATCH < HATCH // 2
        images["disagreement"] = _png((differs & stripes).astype(np.uint8), (DISAGREEMENT,))
    seen = np.unique(np.concatenate([label.ravel(), np.zeros(0, np.int64) if blind else pred.ravel()]))
    return Overlay(images, [int(c) for c in seen if c > 0 or c == only])


def _numbers(mask: Array, only: int | None) -> Array:
    shown = mask >= 0 if only is not None else mask > 0
    return np.where(shown, 1 + mask % len(COLOURS), 0).astype(np.uint8)


def _nearest(mask: Array, size: tuple[int, int]) -> Array:
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(np.int64), of - 1)
        for to, of in zip((size[1], size[0]), mask.shape, strict=True)
    )
    return np.asarray(mask[rows[:, None], columns])


def _any(mask: Array, size: tuple[int, int]) -> Array:
    """Shrink a bool mask so that a single pixel is not lost."""
    for axis, to in enumerate((size[1], size[0])):
        of = mask.shape[axis]
        if of <= to:
            continue
        starts = (np.arange(to) * of // to).astype(np.int64)
        mask = np.logical_or.reduceat(mask, starts, axis=axis)
    return _nearest(mask, size)


def _png(numbers: Array, colours: tuple[str, ...]) -> str:
    """Return a data URI of a picture whose number k has the colour k - 1, and 0 none."""
    image = pillow().fromarray(numbers)
    image.putpalette([0, 0, 0, *(int(colour[at : at + 2], 16) for colour in colours for at in (1, 3, 5))])
    packed = io.BytesIO()
    image.save(packed, "PNG", transparency=0, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"
