"""Decisions in, corrected labels and a record of who changed what out."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaltool.errors import EvaltoolError
from evaltool.partial_files import check_apart, whole_files
from evaltool.readers.side_files import read_ids
from evaltool.relabel.conflicts import chosen_of, latest, named, redrawn
from evaltool.relabel.decisions import Array, Decision, read_decisions
from evaltool.relabel.labels import Labels
from evaltool.relabel.outcome import Applied, outcome_of
from evaltool.relabel.patches import Patches
from evaltool.relabel.votes import REDRAW, Vote, votes_of
from evaltool.run.inputs import files_of
from evaltool.run.reader import open_run
from evaltool.spreadsheets import guarded

ON_CONFLICT = ("error", "majority", "keep")
SHOWN = 20  # indices that a note names
AUDIT_COLUMNS = ("time", "reviewer", "index", "id", "class", "old", "new", "decision", "applied", "source")


def apply(
    run: Any,
    decisions: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    labels: Any = None,
    preds: Any = None,
    ids: Any = None,
    controls: str | Path | None = None,
    on_conflict: str = "error",
    confirmed: bool = False,
    overwrite: bool = False,
) -> Applied:
    """Write the labels of a run with what reviewers changed, and ``<output stem>.audit.csv`` beside it.

    Args:
        run: a run's path or ``Scores``.
        decisions: files of the gallery (.csv), Label Studio (.json) and CVAT (.xml, .zip).
        output: .npy to write, in the dtype and shape of the labels.
        labels: path or array in place of the recorded labels.
        preds: of segmentation, where the model's masks are accepted; in place of the recorded predictions.
        ids: one per sample, as in ``score``; where the run has none.
        controls: the key of the random controls that ``mine`` wrote.
        on_conflict: where reviewers disagree: "error", "majority" (a tie keeps the label) or "keep".
        confirmed: what CVAT exported was reviewed although nobody changed anything.
        overwrite: replace the files that are there.

    Raises:
        EvaltoolError: a decision does not fit the run, reviewers disagree, or nothing can be written.
    """
    if on_conflict not in ON_CONFLICT:
        raise ValueError(f"on_conflict={on_conflict!r}, expected one of {', '.join(ON_CONFLICT)}")
    opened = open_run(run)
    paths = [decisions] if isinstance(decisions, (str, Path)) else list(decisions)
    read = [decision for path in paths for decision in _read(Path(path), confirmed=confirmed)]
    if not read:
        raise EvaltoolError(
            f"there are no decisions\n  {', '.join(map(str, paths))}: nothing was decided\n  Review some rows first."
        )
    held = Labels(opened, labels)
    patches = Patches(opened, held, preds) if opened.task == "segmentation" else None
    known_ids = None if ids is None else read_ids(ids, opened.n_samples)
    votes, superseded = latest(votes_of(opened, held, read, patches=patches, ids=known_ids))
    votes = redrawn(votes)
    chosen, conflicts = chosen_of(votes, on_conflict, held, patches)
    output = Path(output)
    if output.suffix != ".npy":
        raise EvaltoolError(f"labels are written as .npy\n  {output}\n  Name the output .npy.")
    if held.path is not None and output.resolve() == held.path.resolve():
        raise EvaltoolError(f"the output is the old labels\n  {output}\n  Name another file: the old ones stay.")
    audit = output.with_name(f"{output.stem}.audit.csv")
    for path in (output, audit):
        check_apart(path, [*files_of(opened), *map(Path, paths)])
    report = outcome_of(opened, held, len(read), votes, chosen, conflicts, controls, (output, audit))
    if superseded:
        report.notes.append(
            f"Replaced by later ones of the same reviewer: {len(superseded)}, "
            f"of {_indices([vote.index for vote in superseded])}."
        )
    report.notes += _notes_on_masks(held, votes, report.to_redraw)
    if held.numbers_are_names and any(said.new_label.strip().isdecimal() and not said.given for said in read):
        report.notes.append("A number in new_label was read as the name of a class, not as its index.")
    report.notes += _notes_on_cvat(held, read)
    with whole_files([audit, output], overwrite=overwrite) as (audit_to, labels_to):
        _write(held, patches, chosen, labels_to)
        _write_audit(audit_to, held, votes, chosen)
    return report


def _read(path: Path, *, confirmed: bool) -> list[Decision]:
    """Return the decisions of a file.

    Raises:
        EvaltoolError: it cannot be read, or nobody has changed what CVAT was given, which is no review.
    """
    read = read_decisions(path)
    if _is_cvat(path) and read and not confirmed and all(decision.untouched for decision in read):
        n = len({decision.place for decision in read})
        raise EvaltoolError(
            f"nobody has changed this list\n  {path}: no tag or mask that a person made or changed, on any of {n} "
            "images\n  Review it in CVAT and export it again; if all of it was looked at and is right, pass "
            "--confirmed."
        )
    return read


def _is_cvat(path: Path) -> bool:
    return path.suffix.lower() in (".xml", ".zip")


def _notes_on_cvat(labels: Labels, read: Sequence[Decision]) -> list[str]:
    images = {(said.source, said.reviewer, said.place): said for said in read if _is_cvat(Path(said.source))}
    if not images:
        return []
    left = sum(said.untouched for said in images.values())
    notes = [
        "CVAT does not say what was looked at: every tag and mask of its export counts as decided, also on the "
        f"{left} of {len(images)} images that nobody changed."
    ]
    unknown = [said.file_name for said in images.values() if said.decision == "skip" and not said.blank]
    if unknown and labels.task == "segmentation":
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        notes.append(
            f"Without a mask, and undecided: {', '.join(unknown[:SHOWN])}{more}. With the mined.json of the list "
            "beside the export they would be known as emptied."
        )
    return notes


def _notes_on_masks(labels: Labels, votes: Sequence[Vote], to_redraw: Sequence[int]) -> list[str]:
    notes = []
    if to_redraw:
        notes.append(f"To be redrawn, and so far as they were: {_indices(to_redraw)}.")
    blank = [vote.index for vote in votes if labels.task == "segmentation" and vote.decision.blank]
    if blank and labels.foreground:
        notes.append(f"Handed in with nothing painted, which makes all of it background: {_indices(blank)}.")
    elif blank:
        notes.append(
            "Handed in with nothing painted, which decides nothing: what is not painted keeps its class. Paint the "
            f"right class, or take the prediction, for {_indices(blank)}."
        )
    return notes


def _indices(indices: Sequence[int]) -> str:
    shown = sorted(set(indices))
    more = f" and {len(shown) - SHOWN} more, which the audit log has" if len(shown) > SHOWN else ""
    return f"index {', '.join(map(str, shown[:SHOWN]))}{more}"


def _write(labels: Labels, patches: Patches | None, chosen: dict[Any, Vote], path: Path) -> None:
    changed = [vote for vote in chosen.values() if vote.changes and vote.new != REDRAW]
    if patches is None:
        labels.write(path, ((vote.index, vote.class_, int(vote.new or 0)) for vote in changed), ())
        return
    labels.write(path, (), _masks(labels, patches, changed))


def _masks(labels: Labels, patches: Patches, changed: Sequence[Vote]) -> Iterator[tuple[int, Array]]:
    by_index: dict[int, list[Vote]] = {}
    # what is said of one class of a mask goes onto what is said of all of it
    for vote in sorted(changed, key=lambda vote: vote.class_ is not None):
        by_index.setdefault(vote.index, []).append(vote)
    for index, votes in by_index.items():
        mask, _ = labels.mask(index)
        for vote in votes:
            mask = patches.new_mask(vote.decision, index, vote.class_, mask)
        yield index, mask


def _write_audit(path: Path, labels: Labels, votes: Sequence[Vote], chosen: dict[Any, Vote]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(AUDIT_COLUMNS)
        for vote in sorted(votes, key=lambda vote: (vote.index, -1 if vote.class_ is None else vote.class_)):
            winner = chosen.get(vote.key)
            applied = winner is not None and winner.new == vote.new and vote.changes and vote.new != REDRAW
            said = vote.decision
            cells = [
                *(said.time, said.reviewer, vote.index, vote.id),
                "" if vote.class_ is None else labels.names[vote.class_],
                "mask" if vote.old is None else labels.name(vote.old),
                named(labels, vote.new) if vote.new is not None else "",
                *(said.decision, "yes" if applied else "no", f"{said.source}, {said.place}"),
            ]
            writer.writerow([cell if isinstance(cell, int) else guarded(cell) for cell in cells])
