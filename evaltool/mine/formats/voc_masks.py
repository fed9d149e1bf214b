"""Pascal VOC's masks: JPEGImages, SegmentationClass (PNG with VOC's palette), ImageSets and labelmap.txt.

Palette: the devkit's ``VOClabelcolormap.m``; 255 is ignored.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.mine.formats.samples import (
    Sample,
    mask_of,
    place_picture,
    sample_folder,
    samples_of,
)
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures, pillow

VOID = 255
JPEG_SUFFIXES = (".jpg", ".jpeg")
JPEG_QUALITY = 95


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a VOC folder of a segmentation run.  See ``write_format``."""
    names = mined.run.class_names
    if len(names) > VOID:
        raise EvaltoolError(
            f"VOC's masks cannot hold these classes\n  {mined.run.name}: {len(names)} classes, expected at most "
            f"{VOID}\n  Choose coco or datumaro."
        )
    samples = samples_of(mined, pictures)
    palette = _palette()
    with sample_folder(output, "voc-masks", mined, samples, overwrite=overwrite) as folder:
        masks_folder, sets = folder / "SegmentationClass", folder / "ImageSets" / "Segmentation"
        masks_folder.mkdir()
        sets.mkdir(parents=True)
        masks = mined.masks([sample.index for sample in samples])
        for sample, found in zip(samples, masks, strict=True):
            image = pillow().fromarray(np.where(found.valid, mask_of(found, shown), VOID).astype(np.uint8))
            image.putpalette(palette.ravel().tolist())
            image.save(masks_folder / f"{sample.stem}.png")
        (sets / "mined.txt").write_text("".join(f"{sample.stem}\n" for sample in samples), "utf-8")
        lines = [_line(name, palette[k]) for k, name in enumerate(names)]
        ignored = next(name for name in ("ignored", "void", "ignored label") if name not in names)
        lines.append(_line(ignored, palette[VOID]))
        (folder / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines), "utf-8")
        encoded = _place(samples, folder / "JPEGImages", link=link)
    notes = [f"VOC's masks carry no scores; they are the {'predictions' if shown == 'suggested' else 'labels'}."]
    if pictures is None or pictures.is_url:
        notes.append("JPEGImages is left out: pass --images DIR for it.")
    if encoded:
        notes.append(f"{encoded} pictures were encoded as JPEG (quality {JPEG_QUALITY}), which VOC's folder holds.")
    return notes


def _place(samples: list[Sample], folder: Path, *, link: bool) -> int:
    """Put the pictures into a folder as JPEG; return how many had to be encoded."""
    encoded = 0
    for sample in samples:
        if sample.picture is None or sample.picture.url is not None:
            continue
        folder.mkdir(exist_ok=True)
        target = folder / f"{sample.stem}.jpg"
        if sample.picture.path is not None and sample.picture.path.suffix.lower() in JPEG_SUFFIXES:
            place_picture(sample.picture, target, link=link)
            continue
        encoded += 1
        with pillow().open(io.BytesIO(sample.picture.png())) as image:
            image.convert("RGB").save(target, "JPEG", quality=JPEG_QUALITY)
    return encoded


def _line(name: str, colour: np.ndarray[Any, Any]) -> str:
    """Return a line of labelmap.txt; a colon or line break in a name would end it."""
    plain = "".join("_" if char in ":\r\n#" else char for char in name)
    return f"{plain}:{','.join(str(int(part)) for part in colour)}::\n"


def _palette() -> np.ndarray[Any, Any]:
    """Return VOC's colours, uint8 [256, 3]: the bits of the index dealt to red, green and blue by turns."""
    index = np.arange(256)
    colours = np.zeros((256, 3), np.int64)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * place + channel)) & 1) << (7 - place)
    return colours.astype(np.uint8)
