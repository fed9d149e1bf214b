"""Mined rows in the files of annotation tools: one file per format, each of which says what it cannot carry."""

import importlib
from collections.abc import Callable
from pathlib import Path

from evaltool.errors import EvaltoolError
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.run.reader import Run

Writer = Callable[..., list[str]]

FORMATS = {
    "label-studio": "label_studio",
    "cvat": "cvat",
    "coco": "coco",
    "datumaro": "datumaro",
    "fiftyone": "fiftyone",
    "imagenet": "imagenet",
    "voc-masks": "voc_masks",
}
FILE_FORMATS = {"coco": ".json"}  # the others are folders
SHOWN = ("suggested", "given")
WITH_CLASSES = ("multiclass", "binary", "multilabel", "segmentation")
TASKS = {"imagenet": ("multiclass", "binary"), "voc-masks": ("segmentation",)}  # the others hold all with classes


def check_task(name: str, run: Run) -> None:
    """Raise EvaltoolError unless a format can hold a run's task."""
    tasks = TASKS.get(name, WITH_CLASSES)
    if run.task not in tasks:
        raise EvaltoolError(
            f"{name} cannot hold this task\n  {run.name}: task {run.task}, expected {' or '.join(tasks)}\n"
            "  Choose another format, such as csv."
        )


def write_format(
    name: str,
    mined: Mined,
    output: Path,
    pictures: Pictures | None,
    *,
    shown: str = "suggested",
    link: bool = False,
    overwrite: bool = False,
) -> list[str]:
    """Write mined rows in a format.

    Args:
        name: one of ``FORMATS``.
        mined: what to write; opened ``inputs`` where the run is a segmentation.
        output: the folder, or the file of ``FILE_FORMATS``.
        pictures: of the samples.
        shown: the labels and masks to put in: "suggested" (else the given one) or "given".
        link: make symbolic links to picture files in place of copies.
        overwrite: replace an output that evaltool wrote.

    Returns:
        What the format cannot carry, and what its tool has to be told: sentences.

    Raises:
        EvaltoolError: the format cannot hold these rows at all, a picture is missing, or nothing can be written.
    """
    check_task(name, mined.run)
    writer: Writer = importlib.import_module(f"evaltool.mine.formats.{FORMATS[name]}").write
    return writer(mined, output, pictures, shown=shown, link=link, overwrite=overwrite)
