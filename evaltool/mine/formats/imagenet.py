"""ImageNet's layout: a folder per class that holds its pictures, as torchvision's ImageFolder reads it."""

from pathlib import Path

from evaltool.errors import EvaltoolError
from evaltool.mine.formats.samples import (
    check_files,
    label_of,
    place_picture,
    sample_folder,
    samples_of,
)
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures

PICTURES = "pictures"  # a folder in the output: readers take no other files beside the classes


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a folder per suggested or given class.  See ``write_format``."""
    check_files(pictures, "imagenet")
    folders = _folders(mined.run.class_names)
    left_out = 0
    used: set[int] = set()
    samples = samples_of(mined, pictures)
    with sample_folder(output, "imagenet", mined, samples, overwrite=overwrite) as folder:
        for sample in samples:
            label = label_of(mined, sample.rows[0], shown)
            assert sample.picture is not None
            if label is None:
                left_out += 1
            else:
                used.add(label)
                place_picture(sample.picture, folder / PICTURES / folders[label] / sample.name, link=link)
    notes = [
        f"Folders of pictures carry no scores; the folder of a picture in {output / PICTURES} is its {shown} class.",
    ]
    if len(used) < len(folders):
        empty = len(folders) - len(used)
        notes.append(
            f"{empty} class{' has' if empty == 1 else 'es have'} no picture and no folder, which readers refuse: they "
            "number the folders, not the classes of the run."
        )
    if left_out:
        notes.append(f"{left_out} sample{' has' if left_out == 1 else 's have'} no label: left out.")
    return notes


def _folders(names: list[str]) -> list[str]:
    """Return class names as folder names.

    Raises:
        EvaltoolError: two of them would be one folder.
    """
    folders = [name.replace("/", "_").replace("\\", "_").replace("\0", "_").strip(". ") or "_" for name in names]
    seen: dict[str, str] = {}
    for name, folder in zip(names, folders, strict=True):
        if folder.lower() in seen:
            raise EvaltoolError(
                f"two classes would share a folder\n  {seen[folder.lower()]!r} and {name!r}: both {folder!r}\n"
                "  Rename one with --class-names, and score again."
            )
        seen[folder.lower()] = name
    return folders
