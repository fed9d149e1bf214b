"""Datumaro's own dataset: ``annotations/mined.json`` and the pictures in ``images/mined``.

Format: openvinotoolkit.github.io/datumaro, "Datumaro", version 1.0.
"""

from pathlib import Path
from typing import Any

from evaltool.mine.formats.samples import (
    Sample,
    classes_in,
    is_segmentation,
    label_of,
    notes_of,
    place_pictures,
    sample_folder,
    samples_of,
    write_json,
)
from evaltool.mine.mined import Masks, Mined
from evaltool.mine.pictures import Pictures
from evaltool.run_lengths import coco_string

SUBSET = "mined"
IMAGE = 2  # datumaro.components.media.MediaType


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a folder: a label per row, or masks.  See ``write_format``."""
    samples = samples_of(mined, pictures)
    with sample_folder(output, "datumaro", mined, samples, overwrite=overwrite) as folder:
        place_pictures(samples, folder / "images" / SUBSET, link=link)
        masks = mined.masks([s.index for s in samples]) if is_segmentation(mined) else None
        items = [_item(mined, sample, None if masks is None else next(masks), shown) for sample in samples]
        labels = [{"name": name, "parent": "", "attributes": []} for name in mined.run.class_names]
        content = {
            "dm_format_version": "1.0",
            "media_type": IMAGE,
            "infos": {"run": mined.run.name},
            "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
            "items": items,
        }
        write_json(folder / "annotations" / f"{SUBSET}.json", content)
    notes = []
    if pictures is None or pictures.is_url:
        notes.append("Datumaro reads pictures from its folder: there are none, the items have ids and labels only.")
    elif link:
        notes.append("Datumaro refuses links that lead out of its folder unless external media are allowed.")
    if mined.run.task == "multilabel":
        notes.append("Datumaro cannot say that a class is absent: such rows are labels with the attribute state.")
    return notes


def _item(mined: Mined, sample: Sample, masks: Masks | None, shown: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": sample.stem,
        "annotations": _labels(mined, sample, shown) if masks is None else _masks(mined, masks, shown),
        "attr": {"index": sample.index} | ({} if sample.id is None else {"sample_id": sample.id}),
    }
    if sample.picture is not None and sample.picture.url is None:
        item["image"] = {"path": sample.name}
        width, height = sample.picture.size() or (0, 0)
        item["image"]["size"] = [height, width]
    return item


def _labels(mined: Mined, sample: Sample, shown: str) -> list[dict[str, Any]]:
    found = []
    for number, row in enumerate(sample.rows):
        label = label_of(mined, row, shown)
        if label is None:
            continue
        several = mined.run.task == "multilabel"
        state = {"state": mined.name_of(label)} if several else {}
        found.append(
            {
                "id": number,
                "type": "label",
                "group": 0,
                "label_id": row["class"] if several else label,
                "attributes": notes_of(mined, row) | state,
            }
        )
    return found


def _masks(mined: Mined, masks: Masks, shown: str) -> list[dict[str, Any]]:
    return [
        {
            "id": k,
            "type": "mask",
            "group": 0,
            "label_id": k,
            "z_order": 0,
            "attributes": {},
            "rle": {"counts": coco_string(mask), "size": list(mask.shape)},
        }
        for k, mask in classes_in(mined, masks, shown)
    ]
