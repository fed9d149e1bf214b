"""``report``: put a run's sections together, hold them against the gates, and write what was asked for."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaltool.errors import EvaltoolError
from evaltool.progress import Watcher, opened_progress
from evaltool.readers.side_files import read_counts
from evaltool.report.document import FORMAT
from evaltool.report.files import check_files, write_files
from evaltool.report.gate import GateResult, read_gates
from evaltool.report.gate_names import GROUPS, Subject
from evaltool.report.junit import junit_xml
from evaltool.report.provenance import bad_row_notes, provenance_of, report_command
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run, open_run
from evaltool.run.writer import json_bytes
from evaltool.schema import PROGRESS

if TYPE_CHECKING:
    from evaltool.report.document import Report

SPLIT = "many-medium-few"  # unless another is asked for
FILES = ("output", "json", "md", "junit")


class ReportResult:
    """A report.

    Attributes:
        document: every number, as ``--json`` writes it.
        gates: what came of each ``fail_if``, in order.
        files: where the report was written, by kind: "output" (HTML), "json", "md", "junit".
    """

    def __init__(
        self, document: "Report", gates: Sequence[GateResult], *, run: str, started: float, seconds: float
    ) -> None:
        self.document = document
        self.gates = list(gates)
        self.files: dict[str, Path] = {}
        self._run, self._started, self._seconds = run, started, seconds

    @property
    def failed(self) -> list[GateResult]:
        """The gates that failed."""
        return [gate for gate in self.gates if gate.failed]

    @property
    def path(self) -> Path | None:
        """The page, None where none was written."""
        return self.files.get("output")

    def content(self, kind: str) -> bytes:
        """Return the report as a file holds it.

        Args:
            kind: "output" (HTML), "json", "md" or "junit".
        """
        # here: charts and templates take a while to import, and a gate needs neither
        if kind == "output":
            from evaltool.report.page import page_of

            return page_of(self.document).encode()
        if kind == "md":
            from evaltool.report.markdown import markdown_of

            return f"<!-- evaltool report -->\n{markdown_of(self.document)}".encode("utf-8", "replace")
        if kind == "json":
            return json_bytes(dict(self.document))
        started = datetime.fromtimestamp(self._started, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        return junit_xml(self.gates, run=self._run, started=started, seconds=self._seconds)


def report(
    run: Any,
    *,
    output: str | Path | None = None,
    json: str | Path | None = None,
    md: str | Path | None = None,
    train_counts: str | Path | Sequence[float] | None = None,
    split: str = SPLIT,
    group_by: Any = None,
    fail_if: str | Sequence[str] = (),
    junit: str | Path | None = None,
    compare: Any = None,
    preds: Any = None,
    labels: Any = None,
    title: str | None = None,
    overwrite: bool = False,
    progress: str | None = None,
) -> ReportResult:
    """Return what class imbalance does to a model, and what to do about it.

    Args:
        run: a run's path, or what ``evaltool.score`` returned.
        output: write the page (HTML, one file) there; an earlier report is replaced.
        json: write every number there.
        md: write Markdown there, for a pull request.
        train_counts: labels of each class in the training data, in numbers, as a file's path or "1,2,3"; they group
            the classes, by default the labels of the run do.
        split: "many-medium-few" (above 100 and 20) or "lvis" (frequent, common, rare: above 100 and 10).
        group_by: one group per sample, as a sequence or ``FILE[:COLUMN]``; the same numbers by group.
        fail_if: conditions such as ``"recall[few] < 0.5"`` under which the result's ``failed`` lists them.
        junit: write what came of ``fail_if`` there, as JUnit XML.
        compare: a second run of the same samples, to put beside this one.
        preds: the predictions that were scored (path, array or tensor), where they are no longer at their place.
        labels: likewise the labels.
        title: heading, by default the run's name.
        overwrite: replace files that no report wrote.
        progress: what stderr shows: None nothing, "none" warnings, "plain" lines as well, "rich" a bar, "auto" a bar
            on a terminal and lines elsewhere.

    Returns:
        ReportResult: ``document`` with every number, ``gates``, ``failed``, ``files``.

    Raises:
        EvaltoolError: the run or a file cannot be used, a condition cannot be read, or an argument would have no
            effect; nothing has been written.
    """
    if split not in GROUPS:
        raise ValueError(f"split={split!r}, expected one of {', '.join(GROUPS)}")
    if progress not in (None, *PROGRESS):
        raise ValueError(f"progress={progress!r}, expected one of {', '.join(map(str, (None, *PROGRESS)))}")
    started = time.time()
    expressions = [fail_if] if isinstance(fail_if, str) else list(fail_if)
    source = open_run(run)
    _check_fitting(source, train_counts, split, junit, expressions)
    other = None if compare is None else open_run(compare)
    subject = Subject(
        names=source.class_names,
        losses=source.losses,
        task=source.task,
        split=split,
        sliced=group_by is not None,
        compared=other is not None,
    )
    gates = read_gates(expressions, subject)
    files = {kind: Path(path) for kind, path in zip(FILES, (output, json, md, junit), strict=True) if path is not None}
    check_files(files, overwrite=overwrite, inputs=_inputs(source, other))
    counts = None if train_counts is None else read_counts(train_counts)
    shown = {
        **dict(zip(FILES, (output, json, md, junit), strict=True)),
        "train_counts": train_counts,
        "split": None if split == SPLIT else split,
        "group_by": group_by,
        "fail_if": expressions,
        "compare": compare if other is None or other.path else other.name,
        "preds": preds,
        "labels": labels,
        "title": title,
        "overwrite": overwrite,
    }
    command = report_command(source, {name: _recorded(value) for name, value in shown.items()})
    with opened_progress(progress, doing="reading", done="read") as watcher:
        document = _document(
            source,
            other,
            counts,
            split,
            group_by=group_by,
            preds=preds,
            labels=labels,
            command=command,
            watcher=watcher,
        )
    if title is not None:
        document["name"] = title
    results = [gate.result(document) for gate in gates]
    document["gates"] = [
        {"expression": r.expression, "values": dict(r.values), "failed": r.failed, "known": r.known} for r in results
    ]
    result = ReportResult(document, results, run=source.name, started=started, seconds=time.time() - started)
    write_files({path: result.content(kind) for kind, path in files.items()})
    result.files = files
    return result


def _check_fitting(run: Run, train_counts: Any, split: str, junit: Any, expressions: Sequence[str]) -> None:
    """Refuse what would have no effect."""
    if junit is not None and not expressions:
        raise EvaltoolError(
            f"--junit holds what came of --fail-if\n  {junit}: no condition was given\n"
            "  Add one, as --fail-if 'accuracy < 90%', or leave --junit out."
        )
    for name, given in (("train-counts", train_counts is not None), ("split", split != SPLIT)):
        if given and run.task == "regression":
            raise EvaltoolError(
                f"--{name} groups classes\n  {run.name}: task regression, which has none\n  Leave --{name} out."
            )


def _document(
    run: Run,
    other: Run | None,
    train_counts: Sequence[float] | None,
    split: str,
    *,
    group_by: Any,
    preds: Any,
    labels: Any,
    command: str,
    watcher: Watcher,
) -> "Report":
    # here: they compute, and a condition that cannot be read is answered before
    from evaltool.report.class_losses import infinite_notes
    from evaltool.report.class_table import class_table
    from evaltool.report.comparison import comparison_of
    from evaltool.report.numbers import numbers_of
    from evaltool.report.predictions import predictions_of, with_predictions
    from evaltool.report.verdict import verdict_of

    if preds is not None or labels is not None:
        Inputs(run, preds=preds, labels=labels)  # what is given and does not fit is an error, and no note
    numbers = numbers_of(run, train_counts=train_counts, split=split)
    found = predictions_of(run, numbers, preds=preds, labels=labels, watcher=watcher)
    document: Any = {"format": FORMAT, **with_predictions(numbers, found)}
    document["slices"] = None
    if group_by is not None:
        from evaltool.report.slices import slices_of

        document["slices"] = slices_of(run, group_by)
    document["comparison"] = None
    if other is not None:
        groups = (document["groups"] or {"rows": []})["rows"]
        document["comparison"] = comparison_of(run, other, groups=groups, watcher=watcher)
    notes = [*bad_row_notes(run), *found["notes"], *infinite_notes(run, class_table(run))]
    document["provenance"] = provenance_of(run, report_command=command, notes=notes)
    document["verdict"] = verdict_of(document)
    document["gates"] = []
    return {key: document[key] for key in _KEYS}  # type: ignore[return-value]


_KEYS = (
    *("format", "name", "task", "preds_are", "n_samples", "n_scored", "names", "rates", "losses", "verdict", "gates"),
    *("imbalance", "classes", "groups", "confusions", "hardness", "focusing", "calibration", "advice", "slices"),
    *("distributions", "hardest", "comparison", "provenance"),
)


def _inputs(run: Run, other: Run | None) -> list[Path]:
    """Return the files and folders that a report reads."""
    folders = [r.path for r in (run, other) if r is not None and r.path is not None]
    return [*folders, *(Path(record["path"]) for record in run.manifest["inputs"] if record["path"] is not None)]


def _recorded(value: Any) -> Any:
    """Return an argument as a command line can hold it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)) and len(value) <= 1000 and all(isinstance(v, (str, int, float)) for v in value):
        return list(value)
    return f"<{type(value).__name__}>"
