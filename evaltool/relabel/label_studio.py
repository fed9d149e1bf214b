"""Label Studio's exports: JSON (tasks with annotations) and JSON_MIN (one flat record per annotation)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaltool.errors import EvaltoolError
from evaltool.relabel.decisions import Decision, Stroke
from evaltool.run_lengths import brush_mask

LABEL, UNSURE_NAME, UNSURE = "label", "decision", "unsure"  # names in the label config that evaltool writes


def read_label_studio(path: Path, content: bytes) -> list[Decision]:
    """Return the decisions of an export: each annotation is one; a cancelled one is a skip, an empty one is blank.

    Raises:
        EvaltoolError: it is no export of tasks that evaltool wrote.
    """
    try:
        tasks = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise EvaltoolError(f"this is no JSON\n  {path}: {error}\n  Export as JSON or JSON_MIN.") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise EvaltoolError(
            f"this is no export of Label Studio\n  {path}: {type(tasks).__name__}, expected a list of tasks\n"
            "  Export as JSON or JSON_MIN."
        )
    found: list[Decision] = []
    for number, task in enumerate(tasks, 1):
        try:
            found += _of_task(path, f"task {task.get('id', number)}", task)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise EvaltoolError(
                f"this task is not as Label Studio exports it\n  {path}, task {task.get('id', number)}: "
                f"{type(error).__name__}: {error}\n  Export as JSON or JSON_MIN."
            ) from None
    return found


def _of_task(path: Path, place: str, task: Mapping[str, Any]) -> Iterator[Decision]:
    if "data" not in task:
        said = _decision(path, place, task, _min_results(task), task.get("annotator"), _time(task), cancelled=False)
        yield said if _is_handed_in(task) else replace(said, blank=False)
        return
    for annotation in task.get("annotations") or []:
        who = annotation.get("completed_by")
        cancelled = bool(annotation.get("was_cancelled"))
        results = list(annotation.get("result") or [])
        yield _decision(path, place, task["data"], results, who, _time(annotation), cancelled=cancelled)


def _decision(
    path: Path,
    place: str,
    data: Mapping[str, Any],
    results: list[Mapping[str, Any]],
    who: Any,
    time: str,
    *,
    cancelled: bool,
) -> Decision:
    if "index" not in data and "sample_id" not in data:
        raise EvaltoolError(
            f"a task does not say which sample it is\n  {path}, {place}: no index or sample_id in its data\n"
            "  Import the tasks.json that evaltool mine wrote."
        )
    chosen = [name for r in results if r.get("from_name") == LABEL for name in r["value"].get("choices", [])]
    unsure = any(r.get("from_name") == UNSURE_NAME and UNSURE in r["value"].get("choices", []) for r in results)
    strokes = tuple(_stroke(r) for r in results if r["value"].get("rle") is not None)
    other = next(
        (r for r in results if r.get("from_name") == LABEL and not r["value"].keys() & {"choices", "rle"}), None
    )
    if other is not None:
        raise EvaltoolError(
            f"a region is no brush\n  {path}, {place}: {other.get('type') or ', '.join(other['value'])}\n"
            "  Paint regions with brushes, as in the label config that evaltool wrote."
        )
    if len(chosen) > 1:
        raise EvaltoolError(f"a task has several labels\n  {path}, {place}: {', '.join(chosen)}\n  Leave one of them.")
    decision = "skip" if cancelled else "unsure" if unsure else "relabel" if chosen or strokes else "skip"
    return Decision(
        source=path.name,
        place=place,
        decision=decision,
        index=_text(data.get("index")),
        id=_text(data.get("sample_id")),
        class_=_text(data.get("class")),
        given=_text(data.get("given")),
        suggested=_text(data.get("suggested")),
        new_label=chosen[0] if chosen else "",
        reviewer=_reviewer(who) or str(path),
        time=time,
        strokes=strokes,
        blank=not (cancelled or unsure or chosen or strokes),
    )


def _is_handed_in(record: Mapping[str, Any]) -> bool:
    """Whether somebody handed in a flat record; Label Studio writes no cancelled ones, but tasks without any."""
    return record.get("annotation_id") is not None or record.get("annotator") is not None


def _min_results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of a flat record as those of JSON: choices as text or {"choices": [...]}, brushes as lists."""
    results: list[Mapping[str, Any]] = []
    for name in (LABEL, UNSURE_NAME):
        value = task.get(name)
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            fields = {"choices": [item]} if isinstance(item, str) else item
            sizes = {key: fields[key] for key in ("original_height", "original_width") if key in fields}
            results.append({"from_name": name, "value": fields, **sizes})
    return results


def _stroke(result: Mapping[str, Any]) -> Stroke:
    value, height, width = result["value"], int(result["original_height"]), int(result["original_width"])
    (label,) = value["brushlabels"]
    return Stroke(label, lambda: brush_mask(value["rle"], height, width))


def _reviewer(who: Any) -> str:
    if isinstance(who, dict):
        return _text(who.get("email") or who.get("id"))
    return _text(who)


def _time(record: Mapping[str, Any]) -> str:
    return _text(record.get("updated_at") or record.get("created_at"))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
