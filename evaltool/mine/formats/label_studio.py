"""Label Studio: ``tasks.json`` with predictions, ``label_config.xml`` beside it, and the pictures.

Tasks: labelstud.io/guide/task_format; predictions: labelstud.io/guide/predictions; brushes: ``evaltool.run_lengths``.
"""

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

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
)
from evaltool.mine.mined import Masks, Mined, Row
from evaltool.mine.pictures import Pictures
from evaltool.run_lengths import brush_rle

TASKS, CONFIG, IMAGES = "tasks.json", "label_config.xml", "images"
LOCAL_FILES = "/data/local-files/?d="
UNSURE = "unsure"


def write(
    mined: Mined, output: Path, pictures: Pictures | None, *, shown: str, link: bool, overwrite: bool
) -> list[str]:
    """Write a folder to import: one task per row, per sample where there are masks.  See ``write_format``."""
    if is_segmentation(mined) and pictures is None:
        raise EvaltoolError(
            f"brushes need a picture to lie on\n  {mined.run.name}: segmentation, and no pictures\n"
            "  Pass --images DIR, a pattern, an address or images.npy."
        )
    samples = samples_of(mined, pictures)
    with sample_folder(output, "label-studio", mined, samples, overwrite=overwrite) as folder:
        place_pictures(samples, folder / IMAGES, link=link)
        (folder / CONFIG).write_text(_config(mined, pictures is not None), "utf-8")
        with (folder / TASKS).open("w", encoding="utf-8") as file:  # task by task: brushes are long
            file.write("[\n")
            for number, task in enumerate(_tasks(mined, samples, output.absolute().name, shown)):
                file.write(",\n" if number else "")
                json.dump(task, file, ensure_ascii=False, allow_nan=False)
            file.write("\n]\n")
    return _notes(mined, output.absolute(), pictures)


def _notes(mined: Mined, output: Path, pictures: Pictures | None) -> list[str]:
    notes = []
    if pictures is not None and not pictures.is_url:
        notes.append(
            "Label Studio shows these pictures when it is started with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={output.parent} and the project has a Local Files source storage "
            f"of {output / IMAGES}."
        )
    if pictures is not None and is_segmentation(mined):
        notes.append("Label Studio has no label for a box of the worst region: it is left out.")
    if any(name.startswith("$") for name in mined.label_names):
        notes.append("Label Studio reads a class name that starts with $ as a field of the task: rename those classes.")
    return notes


def _tasks(mined: Mined, samples: list[Sample], folder: str, shown: str) -> Iterator[dict[str, Any]]:
    if is_segmentation(mined):
        masks = mined.masks([sample.index for sample in samples])
        for sample, found in zip(samples, masks, strict=True):
            yield _task(mined, sample, sample.rows[0], folder, _brushes(mined, found, shown))
        return
    by_index = {sample.index: sample for sample in samples}
    for row in mined.rows():
        yield _task(mined, by_index[int(row["index"])], row, folder, _choice(mined, row, shown))


def _task(mined: Mined, sample: Sample, row: Row, folder: str, result: list[dict[str, Any]]) -> dict[str, Any]:
    notes = notes_of(mined, row)
    data = {"index": sample.index, "run": mined.run.name, **notes, "note": _note(notes)}
    if sample.id is not None:
        data["sample_id"] = data.pop("id")  # Label Studio's JSON_MIN has the task's number as id
    if sample.picture is None:
        data["text"] = str(row.get("text") or f"sample {sample.name}")
    elif sample.picture.url is not None:
        data["image"] = sample.picture.url
    else:
        data["image"] = LOCAL_FILES + urllib.parse.quote(f"{folder}/{IMAGES}/{sample.name}")
    prediction = {"model_version": mined.run.name, "result": result}
    if "score" in notes:
        prediction["score"] = notes["score"]
    return {"data": data, "predictions": [prediction] if result else []}


def _note(notes: dict[str, Any]) -> str:
    """Return the line above a task."""
    about = f"{notes['class']}: " if "class" in notes else ""
    given = f"given label: {notes['given']}" if "given" in notes else ""
    return f"{about}{given}" + (f" ({notes['why']})" if "why" in notes else "") or "look at this sample"


def _choice(mined: Mined, row: Row, shown: str) -> list[dict[str, Any]]:
    label = label_of(mined, row, shown)
    if label is None:
        return []
    result: dict[str, Any] = {
        "id": f"row{row['index']}",
        "type": "choices",
        "from_name": "label",
        "to_name": "sample",
        "value": {"choices": [mined.name_of(label)]},
    }
    sure = notes_of(mined, row).get("p_suggested")
    if sure is not None and label == row.get("suggested"):
        result["score"] = sure
    return [result]


def _brushes(mined: Mined, masks: Masks, shown: str) -> list[dict[str, Any]]:
    height, width = masks.pred.shape
    return [
        {
            "id": f"class{k}",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "sample",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [mined.run.class_names[k]]},
        }
        for k, mask in classes_in(mined, masks, shown)
    ]


def _config(mined: Mined, has_pictures: bool) -> str:
    tag, item = ("BrushLabels", "Label") if is_segmentation(mined) else ("Choices", "Choice")
    sample = '<Image name="sample" value="$image"/>' if has_pictures else '<Text name="sample" value="$text"/>'
    lines = [f"    <{item} value={quoteattr(_in_xml(name))}/>" for name in mined.label_names]
    options = "" if is_segmentation(mined) else ' choice="single" showInline="true"'
    return "\n".join(
        [
            "<View>",
            '  <Header value="$note"/>',
            f"  {sample}",
            f'  <{tag} name="label" toName="sample"{options}>',
            *lines,
            f"  </{tag}>",
            '  <Choices name="decision" toName="sample" choice="single" showInline="true">',
            f'    <Choice value="{UNSURE}"/>',
            "  </Choices>",
            "</View>",
            "",
        ]
    )


def _in_xml(name: str) -> str:
    """Return a class name, which XML has to be able to hold."""
    if any(ord(char) < 32 and char not in "\t\n\r" for char in name):
        raise EvaltoolError(
            f"XML cannot hold a class name\n  {name!r}: a control character\n  Rename the class, and score again."
        )
    return name
