"""COCO: one instances JSON; masks as compressed run lengths, a label as an annotation that covers its picture.

Format: cocodataset.org/#format-data, read by pycocotools.
"""

import json
import os
from pathlib import Path
from typing import Any

from evaltool.mine.formats.samples import (
    Sample,
    classes_in,
    is_segmentation,
    label_of,
    notes_of,
    samples_of,
)
from evaltool.mine.mined import Mined, Row
from evaltool.mine.pictures import Pictures
from evaltool.partial_files import whole_file
from evaltool.run_lengths import box_of, coco_string


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write one JSON file; category ids are class indices plus 1, image ids are indices.  See ``write_format``."""
    samples = samples_of(mined, pictures)
    images = [_image(sample, pictures) for sample in samples]
    if is_segmentation(mined):
        annotations = _masks(mined, samples, images, shown)
        absent = 0
    else:
        found = [(sample, image, row) for sample, image in zip(samples, images, strict=True) for row in sample.rows]
        labelled = [_label(mined, row, image, shown) for _, image, row in found]
        annotations = [label for label in labelled if label is not None]
        absent = len(labelled) - len(annotations)
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number  # from 1: COCO's evaluation takes 0 for no match
    content = {
        "info": {"description": f"mined from {mined.run.name}", "version": "1.0"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": n, "supercategory": ""} for k, n in enumerate(mined.run.class_names)],
    }
    with whole_file(output, overwrite=overwrite) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    folder = None if pictures is None else pictures.folder
    where = f"file_name is relative to {folder}" if folder else "file_name is the sample's id, else its index"
    notes = [f"COCO names pictures and does not hold them: {where}."]
    if link:
        notes.append("COCO holds no pictures, so none are linked.")
    if absent:
        notes.append(f"COCO cannot say that a class is absent, or that there is no label: {absent} rows have none.")
    if any("width" not in image for image in images):
        notes.append("Sizes of the pictures are unknown: width, height and boxes are left out.")
    return notes


def _image(sample: Sample, pictures: Pictures | None) -> dict[str, Any]:
    image: dict[str, Any] = {"id": sample.index, "file_name": sample.name}
    if pictures is not None and pictures.folder is not None and sample.picture is not None and sample.picture.path:
        image["file_name"] = Path(os.path.relpath(sample.picture.path, pictures.folder)).as_posix()
    size = None if sample.picture is None else sample.picture.size()
    if size is not None:
        image["width"], image["height"] = size
    if sample.picture is not None and sample.picture.url is not None:
        image["coco_url"] = sample.picture.url
    return image | ({} if sample.id is None else {"sample_id": sample.id})


def _label(mined: Mined, row: Row, image: dict[str, Any], shown: str) -> dict[str, Any] | None:
    label = label_of(mined, row, shown)
    if mined.run.task == "multilabel":
        label = row["class"] if label == 1 else None
    if label is None:
        return None
    annotation = {"image_id": image["id"], "category_id": label + 1, "iscrowd": 0, "attributes": notes_of(mined, row)}
    if "width" in image:
        width, height = image["width"], image["height"]
        annotation |= {"bbox": [0, 0, width, height], "area": width * height}
        annotation["segmentation"] = [[0, 0, width, 0, width, height, 0, height]]
    return annotation


def _masks(mined: Mined, samples: list[Sample], images: list[dict[str, Any]], shown: str) -> list[dict[str, Any]]:
    annotations = []
    masks = mined.masks([sample.index for sample in samples])
    for sample, image, found in zip(samples, images, masks, strict=True):
        image["height"], image["width"] = found.pred.shape
        for k, mask in classes_in(mined, found, shown):
            size = list(mask.shape)
            annotations.append(
                {
                    "image_id": sample.index,
                    "category_id": k + 1,
                    "segmentation": {"size": size, "counts": coco_string(mask)},
                    "area": int(mask.sum()),
                    "bbox": list(box_of(mask)),
                    "iscrowd": 0,
                    "attributes": notes_of(mined, sample.rows[0]),
                }
            )
    return annotations
