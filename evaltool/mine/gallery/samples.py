"""What the page holds of each mined row, and no more: the rest of the table stays out of its source."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaltool.mine.gallery.linked import shown
from evaltool.mine.gallery.masks import overlay_of
from evaltool.mine.gallery.texts import Texts
from evaltool.mine.mined import Masks, Mined, Row
from evaltool.mine.pictures import Pictures

KNOWN = ("index", "id", "class", "label")
# A reviewer who must not be led sees none of these: each is the model's opinion, or (group) may be a column of it.
OPINIONS = ("suggested", "pred", "p_wrong", "p_label", "p_pred", "p_suggested", "why", "group")
DIGITS = 6  # of numbers that are only shown


class Material(NamedTuple):
    """What the samples are shown with."""

    pictures: Pictures | None
    texts: Texts | None
    masks: bool  # draw label and prediction of a segmentation run
    blind: bool  # leave out what the model thinks
    side: int  # pixels that a picture in the page is no larger than
    folder: Path | None  # where the page lies, to link picture files from it; None puts them inside


def values_of(mined: Mined) -> str:
    """Return what a label of the list is: ``class``, ``presence`` (of one class), ``number``, or ``whole`` (no value).

    Where there is no value to correct (a mask, several labels at once), a reviewer can only say whether it is right.
    """
    kinds = {"multiclass": "class", "binary": "class", "multilabel": "presence", "regression": "number"}
    needs = {"label", "class"} if mined.run.task == "multilabel" else {"label"}
    table = mined.table
    known = {name for name in needs & set(table.schema.names) if table[name].null_count < len(table)}
    return kinds.get(mined.run.task, "whole") if known == needs else "whole"


def is_by_class(mined: Mined) -> bool:
    """Return whether ``class`` is what a row asks about; else it is the model's opinion: the worst one."""
    index = mined.table["index"]
    return values_of(mined) == "presence" or len(index.unique()) < len(index)


def run_digest(mined: Mined) -> str:
    """Return what tells decisions on this run from those on others: a digest of what was scored, and of the scores."""
    inputs = [[record["role"], record.get("digest"), record.get("shape")] for record in mined.run.manifest["inputs"]]
    scored = json.dumps([inputs, mined.run.class_names, mined.run.summary], sort_keys=True, default=str)
    return hashlib.sha256(scored.encode()).hexdigest()


def losses_of(mined: Mined) -> list[str]:
    """Return the loss columns that the list has."""
    return [name for name in mined.run.losses if name in mined.table.schema.names]


def samples_of(mined: Mined, material: Material) -> Iterator[dict[str, Any]]:
    """Yield each sample for the page.

    The order is the list's; blind, it is one that tells nothing, the same for the same run.

    Raises:
        EvaltoolError: a picture is missing or cannot be read.
    """
    rows = mined.rows()
    losses = losses_of(mined)
    if material.blind:
        mined, rows = _shuffled(mined, rows)
    drawn = mined.masks() if material.masks else None
    by_class = is_by_class(mined)
    for row in rows:
        sample = _facts(row, losses, blind=material.blind)
        if material.blind and not by_class:
            sample.pop("class", None)
        if material.texts is not None:
            sample["text"] = material.texts[row["index"]]
        picture = None
        if material.pictures is not None:
            picture = shown(material.pictures, row, folder=material.folder, side=material.side)
            sample["picture"] = picture.source
        masks = next(drawn) if drawn is not None else None
        size = picture.size if picture is not None else None
        if masks is not None:
            sample |= _drawn(masks, row, row.get("class") if by_class else None, size, material)
            size = size or (masks.label.shape[1], masks.label.shape[0])
        if size is not None:
            sample["size"] = list(size)
        yield sample


def _shuffled(mined: Mined, rows: Sequence[Row]) -> tuple[Mined, list[Row]]:
    digest = run_digest(mined)
    keys = [hashlib.sha256(f"{digest} {row['index']} {row.get('class')}".encode()).digest() for row in rows]
    order = sorted(range(len(rows)), key=lambda at: keys[at])
    return mined._replace(table=mined.table.take(order)), [rows[at] for at in order]


def _facts(row: Row, losses: Sequence[str], *, blind: bool) -> dict[str, Any]:
    sample = {name: _plain(row.get(name)) for name in (KNOWN if blind else KNOWN + OPINIONS)}
    # as text: JavaScript's numbers would round a large id
    sample["id"] = None if sample["id"] is None else str(sample["id"])
    if not blind and sample["group"] is not None:
        sample["group"] = str(sample["group"])
    facts = {name: value for name, value in sample.items() if value is not None}
    if losses and not blind:
        facts["losses"] = [_plain(row.get(name)) for name in losses]
    return facts


def _plain(value: Any) -> Any:
    """Return a value for JSON: numbers short, infinities as text, NaN as none."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None if math.isnan(value) else "∞" if value > 0 else "-∞"
    return float(f"{value:.{DIGITS}g}")


def _drawn(
    masks: Masks, row: Row, only: int | None, size: tuple[int, int] | None, material: Material
) -> dict[str, Any]:
    height, width = masks.label.shape
    around = size or (width, height)
    # as large as the picture is shown, in its shape: a model may have seen it in another
    scale = material.side / max(around)
    drawn_size = (max(1, round(around[0] * scale)), max(1, round(around[1] * scale)))
    overlay = overlay_of(masks, only, drawn_size, blind=material.blind)
    drawn: dict[str, Any] = {"overlays": overlay.images, "classes": overlay.classes}
    if row.get("box") is not None and not material.blind:
        top, left, tall, wide = (float(side) for side in np.asarray(row["box"]))
        drawn["box"] = [_plain(part) for part in (left / width, top / height, wide / width, tall / height)]
    return drawn
