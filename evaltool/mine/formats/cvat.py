"""CVAT for images 1.1: ``annotations.xml``, the pictures, and ``labels.json`` for the raw editor of a task's labels.

Format: docs.cvat.ai, "XML annotation format", version 1.1.
"""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from evaltool.cvat_shapes import STATE, WRITTEN_AS, shapes_digest
from evaltool.errors import EvaltoolError
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
from evaltool.mine.mined import PRESENCE, Masks, Mined, Row
from evaltool.mine.pictures import Pictures
from evaltool.run_lengths import box_of, run_lengths

ANNOTATIONS, LABELS, IMAGES = "annotations.xml", "labels.json", "images"
ATTRIBUTES = ("index", "id", "given", "suggested", "score", "why")


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a folder: a tag per row, or masks.  See ``write_format``."""
    samples = samples_of(mined, pictures)
    labels = _labels(mined)
    root = _head(mined, len(samples), labels)
    masks = mined.masks([s.index for s in samples]) if is_segmentation(mined) else None
    for frame, sample in enumerate(samples):
        _image(root, frame, sample, mined, None if masks is None else next(masks), shown)
    noted = [{"shapes": shapes_digest(image)} for image in root.findall("image")]  # tells what a reviewer changed
    Xml.indent(root)
    with sample_folder(output, "cvat", mined, samples, noted=noted, overwrite=overwrite) as folder:
        place_pictures(samples, folder / IMAGES, link=link)
        write_json(folder / LABELS, labels)
        (folder / ANNOTATIONS).write_bytes(_bytes(root))
    notes = [f"CVAT takes the task's labels from {LABELS} (Raw), the pictures, then {ANNOTATIONS} as CVAT 1.1."]
    if pictures is None or pictures.is_url:
        notes.append("CVAT matches pictures by name: name them as in annotations.xml when you upload them.")
        if not is_segmentation(mined):
            notes.append("Width and height of the pictures are unknown, and CVAT wants them: they are left out.")
    return notes


def _labels(mined: Mined) -> list[dict[str, Any]]:
    """Return the labels as CVAT's raw editor takes them."""
    if is_segmentation(mined):
        return [{"name": name, "type": "mask", "attributes": []} for name in mined.run.class_names]
    attributes = [
        {"name": name, "mutable": True, "input_type": "text", "default_value": "", "values": [""]}
        for name in ATTRIBUTES
    ]
    if mined.run.task == "multilabel":
        state = {"name": STATE, "mutable": True, "input_type": "select", "default_value": PRESENCE[1]}
        attributes.append({**state, "values": list(PRESENCE)})
    return [{"name": name, "type": "tag", "attributes": attributes} for name in mined.run.class_names]


def _head(mined: Mined, size: int, labels: list[dict[str, Any]]) -> Xml.Element:
    root = Xml.Element("annotations")
    _text(root, "version", "1.1")
    task = Xml.SubElement(Xml.SubElement(root, "meta"), "task")
    for name, text in (("name", mined.run.name), ("size", str(size)), ("mode", "annotation"), ("overlap", "0")):
        _text(task, name, text)
    holder = Xml.SubElement(task, "labels")
    for label in labels:
        element = Xml.SubElement(holder, "label")
        _text(element, "name", label["name"])
        _text(element, "type", label["type"])
        attributes = Xml.SubElement(element, "attributes")
        for attribute in label["attributes"]:
            one = Xml.SubElement(attributes, "attribute")
            for key in ("name", "mutable", "input_type", "default_value"):
                _text(one, key, str(attribute[key]))
            _text(one, "values", "\n".join(attribute["values"]))
    return root


def _image(root: Xml.Element, frame: int, sample: Sample, mined: Mined, masks: Masks | None, shown: str) -> None:
    image = Xml.SubElement(root, "image", {"id": str(frame), "name": sample.name})
    size = None if sample.picture is None else sample.picture.size()
    if masks is not None:
        height, width = masks.pred.shape
        if size is not None and size != (width, height):
            raise EvaltoolError(
                f"a picture and its mask differ in size\n  {sample.name}: {size[0]} x {size[1]}, expected "
                f"{width} x {height}\n"
                "  Give the pictures that were segmented."
            )
        size = (width, height)
    if size is not None:
        image.set("width", str(size[0]))
        image.set("height", str(size[1]))
    if masks is not None:
        for k, mask in classes_in(mined, masks, shown):
            _mask(image, mined.run.class_names[k], mask)
        return
    for row in sample.rows:
        _tag(image, mined, row, shown)


def _tag(image: Xml.Element, mined: Mined, row: Row, shown: str) -> None:
    label = label_of(mined, row, shown)
    if label is None:
        return
    several = mined.run.task == "multilabel"
    name = mined.run.class_names[row["class"] if several else label]
    tag = Xml.SubElement(image, "tag", {"label": name, "source": WRITTEN_AS})
    notes = notes_of(mined, row)
    for key in ATTRIBUTES:
        _text(tag, "attribute", str(notes.get(key, ""))).set("name", key)
    if several:
        _text(tag, "attribute", PRESENCE[label]).set("name", STATE)


def _mask(image: Xml.Element, name: str, mask: Any) -> None:
    left, top, width, height = box_of(mask)
    counts = run_lengths(mask[top : top + height, left : left + width].ravel())
    where = {"left": left, "top": top, "width": width, "height": height, "z_order": 0}
    known = {"label": name, "source": WRITTEN_AS, "occluded": "0", "rle": ", ".join(str(count) for count in counts)}
    Xml.SubElement(image, "mask", known | {key: str(value) for key, value in where.items()})


def _text(parent: Xml.Element, name: str, text: str) -> Xml.Element:
    element = Xml.SubElement(parent, name)
    element.text = "".join(char for char in text if ord(char) >= 32 or char in "\t\n\r")
    return element


def _bytes(root: Xml.Element) -> bytes:
    content: bytes = Xml.tostring(root, "utf-8", xml_declaration=True)
    try:
        Xml.fromstring(content)
    except Xml.ParseError as error:
        raise EvaltoolError(
            f"XML cannot hold a class or file name\n  {ANNOTATIONS}: {error}\n  Rename what has control characters."
        ) from None
    return content
