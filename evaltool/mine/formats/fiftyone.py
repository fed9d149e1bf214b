"""FiftyOne: a FiftyOneImageClassificationDataset, of masks an ImageSegmentationDirectory.

Formats: docs.voxel51.com, "Importing data", by these names.  ``labels.json`` maps the name of a picture to its label (a
list of them in multilabel runs), each with a confidence and attributes.
"""

from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.mine.formats.samples import (
    check_files,
    is_segmentation,
    label_of,
    mask_of,
    notes_of,
    place_pictures,
    sample_folder,
    samples_of,
    write_json,
)
from evaltool.mine.mined import Mined, Row
from evaltool.mine.pictures import Pictures, pillow

VOID = 255  # where the labels are ignored


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a folder: ``data`` with the pictures, ``labels.json`` or ``labels`` with masks.  See ``write_format``."""
    check_files(pictures, "fiftyone")
    samples = samples_of(mined, pictures)
    with sample_folder(output, "fiftyone", mined, samples, overwrite=overwrite) as folder:
        place_pictures(samples, folder / "data", link=link)
        if is_segmentation(mined):
            (folder / "labels").mkdir()
            masks = mined.masks([sample.index for sample in samples])
            for sample, found in zip(samples, masks, strict=True):
                pixels = np.where(found.valid, mask_of(found, shown), VOID)
                if len(mined.run.class_names) > VOID:
                    raise EvaltoolError(
                        f"a PNG of 8 bits cannot hold these classes\n  {mined.run.name}: "
                        f"{len(mined.run.class_names)} classes, expected at most {VOID}\n  Choose coco or datumaro."
                    )
                pillow().fromarray(pixels.astype(np.uint8)).save(folder / "labels" / f"{sample.stem}.png")
            return [
                "FiftyOne reads this as fo.types.ImageSegmentationDirectory; it carries no scores, and "
                f"{VOID} where the label is ignored."
            ]
        targets = {s.stem: [t for t in (_target(mined, r, shown) for r in s.rows) if t] for s in samples}
        several = mined.run.task == "multilabel"
        labels = {name: found if several else (found[0] if found else None) for name, found in targets.items()}
        write_json(folder / "labels.json", {"classes": mined.run.class_names, "labels": labels})
    notes = ["FiftyOne reads this as fo.types.FiftyOneImageClassificationDataset."]
    if several:
        notes.append("FiftyOne cannot say that a class is absent: such labels have the attribute state.")
    return notes


def _target(mined: Mined, row: Row, shown: str) -> dict[str, Any] | None:
    label = label_of(mined, row, shown)
    if label is None:
        return None
    several = mined.run.task == "multilabel"
    attributes = notes_of(mined, row)
    if "id" in attributes:
        attributes["sample_id"] = attributes.pop("id")  # a label's own id is an ObjectId
    if several:
        attributes["state"] = mined.name_of(label)
    target: dict[str, Any] = {"label": row["class"] if several else label, "attributes": attributes}
    if label == row.get("suggested") and "p_suggested" in attributes:
        target["confidence"] = attributes["p_suggested"]
    return target
