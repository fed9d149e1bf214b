"""CVAT's export "CVAT for images 1.1": annotations.xml, or the .zip with it."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as Xml

import numpy as np

from evaltool.cvat_shapes import STATE, is_untouched, shapes_digest
from evaltool.errors import EvaltoolError
from evaltool.relabel.decisions import Array, Decision, Stroke
from evaltool.run_lengths import mask_of_runs

ANNOTATIONS = "annotations.xml"
LARGEST = 1 << 30  # bytes of XML
MARK = "mined.json"  # what mine puts beside its export: which file shows which sample, and what stood on it


def read_cvat(path: Path, content: bytes) -> list[Decision]:
    """Return the decisions of an export: each tag of an image is one, all masks of an image are one.

    An image without a tag or mask is a skip, and blank where ``MARK`` lies beside the export and has the image.  CVAT
    does not say who drew what: the reviewer is the task's assignee, else its owner.

    Raises:
        EvaltoolError: it is no such export.
    """
    document = _unzipped(path, content) if path.suffix.lower() == ".zip" else content
    if b"<!DOCTYPE" in document[:4096] or b"<!ENTITY" in document:
        raise EvaltoolError(f"this XML defines entities\n  {path}\n  Export it from CVAT again.")
    try:
        root = Xml.fromstring(document)
    except Xml.ParseError as error:
        raise EvaltoolError(f"this is no XML\n  {path}: {error}\n  Export as CVAT for images 1.1.") from None
    if root.tag != "annotations" or root.find("track") is not None:
        found = root.tag if root.tag != "annotations" else "tracks of a video"
        raise EvaltoolError(
            f"this is no export of CVAT for images\n  {path}: {found}, expected annotations of images\n"
            "  Export as CVAT for images 1.1."
        )
    people = (root.findtext(f"meta/{what}/{who}/username") for what in ("task", "job") for who in ("assignee", "owner"))
    reviewer = next((name for name in people if name), str(path))
    time = root.findtext("meta/task/updated") or root.findtext("meta/dumped") or ""
    listed = _listed(path)
    found_in_images: list[Decision] = []
    for image in root.findall("image"):
        try:
            known = listed.get(Path(image.attrib["name"]).name)
            same = known is None or known.shapes in (None, shapes_digest(image))
            found_in_images += (
                replace(
                    seen,
                    index=seen.index or (known.number if known else ""),
                    untouched=same and is_untouched(image),
                    blank=known is not None and known.shapes is not None and seen.decision == "skip",
                )
                for seen in _of_image(path, image, reviewer, time)
            )
        except (TypeError, ValueError, KeyError) as error:
            raise EvaltoolError(
                f"this image is not as CVAT exports it\n  {path}, image {image.get('name')}: {error}\n"
                "  Export as CVAT for images 1.1."
            ) from None
    return found_in_images


class Known(NamedTuple):
    """What ``mine`` noted of an image."""

    number: str  # of the sample
    shapes: str | None  # digest; None of lists that do not have it


def _listed(path: Path) -> dict[str, Known]:
    """Return what ``mine`` noted beside the XML, by the name of each file; nothing where it did not."""
    beside = path.parent / MARK
    try:
        samples = json.loads(beside.read_bytes())["samples"]
        return {Path(s["name"]).name: Known(str(int(s["index"])), s.get("shapes")) for s in samples}
    except OSError:
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise EvaltoolError(
            f"the list of samples is damaged\n  {beside}: {error!r}\n  Export the samples again with evaltool mine."
        ) from None


def _of_image(path: Path, image: Xml.Element, reviewer: str, time: str) -> Iterator[Decision]:
    name = image.attrib["name"]
    file_name = Path(name).name
    seen = Decision(path.name, f"image {name}", "skip", file_name=file_name, reviewer=reviewer, time=time)
    tags, masks = image.findall("tag"), image.findall("mask")
    other = next((shape.tag for shape in image if shape.tag not in ("tag", "mask")), None)
    if other is not None:
        raise EvaltoolError(
            f"a shape is neither tag nor mask\n  {path}, image {name}: {other}\n"
            "  Draw masks, or convert the shapes to masks in CVAT."
        )
    if masks:
        size = int(image.attrib["height"]), int(image.attrib["width"])
        strokes = tuple(
            Stroke(mask.attrib["label"], partial(_mask, mask, size))
            for mask in sorted(masks, key=lambda mask: int(mask.get("z_order", 0)))
        )
        yield replace(seen, decision="relabel", strokes=strokes)
        return
    if not tags:
        yield seen
        return
    attributes = [{a.attrib["name"]: a.text or "" for a in tag.findall("attribute")} for tag in tags]
    several = any(STATE in held for held in attributes)
    if len(tags) > 1 and not several:
        raise EvaltoolError(
            f"an image has several labels\n  {path}, image {name}: {', '.join(tag.attrib['label'] for tag in tags)}\n"
            "  Leave one of them."
        )
    for tag, held in zip(tags, attributes, strict=True):
        label = tag.attrib["label"]
        yield replace(
            seen,
            decision="relabel",
            index=held.get("index", ""),
            id=held.get("id", ""),
            class_=label if several else "",
            given=held.get("given", ""),
            suggested=held.get("suggested", ""),
            new_label=held[STATE] if several else label,
        )


def _mask(element: Xml.Element, size: tuple[int, int]) -> Array:
    left, top, width, height = (int(element.attrib[key]) for key in ("left", "top", "width", "height"))
    flat = mask_of_runs([int(count) for count in element.attrib["rle"].split(",")])
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1] or len(flat) != height * width:
        raise ValueError(
            f"a mask of {len(flat)} pixels at {left}, {top} of {width} x {height} in {size[1]} x {size[0]}"
        )
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = flat.reshape(height, width)
    return mask


def _unzipped(path: Path, content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = archive.getinfo(ANNOTATIONS).file_size
            if size > LARGEST:
                raise EvaltoolError(f"the XML is too large\n  {path}: {size} bytes\n  Export fewer images at once.")
            return archive.read(ANNOTATIONS)
    except (KeyError, zipfile.BadZipFile) as error:
        raise EvaltoolError(
            f"this is no export of CVAT\n  {path}: {str(error).strip(chr(39))}\n  Export as CVAT for images 1.1."
        ) from None
