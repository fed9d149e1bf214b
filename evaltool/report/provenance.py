"""Where a report comes from: the commands to repeat it, the inputs, what was decided, the versions."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import evaltool
from evaltool.report.document import Provenance
from evaltool.run.reader import Run
from evaltool.schema import BAD_STATUSES, STATUSES

# arguments of `evaltool score` that stand at their default; run.json names all of them
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("task", "preds_are", "engine", "device"), "auto"),
    "ignore_index": -100,
    "max_bad": 0.01,
}
NOT_SHOWN = ("progress",)  # changes nothing in a run
REPEATED = {"losses": "--loss", "module": "--module", "preds": "--preds"}
RENAMED = {"output": "-o", "compare": "--compare"}


def provenance_of(run: Run, *, report_command: str, notes: Sequence[str]) -> Provenance:
    """Return the section.

    Args:
        run: the run.
        report_command: that makes the report.
        notes: what could not be computed and why.
    """
    manifest, summary = run.manifest, run.summary
    decisions = manifest["decisions"]
    return {
        "evaltool": evaltool.__version__,
        "command": score_command(manifest),
        "report_command": report_command,
        "inputs": list(manifest["inputs"]),
        "decisions": [*decisions["reasons"], *(f"doubt: {doubt}" for doubt in decisions["doubts"])],
        "statuses": {name: int(count) for name, count in zip(STATUSES, run.state["status"], strict=True)},
        "n_clamped": summary["n_clamped"],
        "n_infinite": summary["n_infinite"],
        "n_failed": summary["n_failed"],
        "losses": [{"column": name, "formula": formula} for name, formula in formulas(run).items()],
        "versions": {name: str(version) for name, version in manifest["versions"].items()},
        "engine": manifest["engine"],
        "device": manifest["device"],
        "started": manifest["started"],
        "seconds": manifest["seconds"],
        "failure": manifest["failure"],
        "notes": list(notes),
    }


def formulas(run: Run) -> dict[str, str]:
    """Return the formula of each loss by its column."""
    known = json.loads((run.schema.metadata or {}).get(b"evaltool.formulas", b"{}"))
    return {name: known.get(name, "") for name in run.losses}


def score_command(manifest: Mapping[str, Any], *, preds: Any = None, labels: Any = None, output: Any = None) -> str:
    """Return the command line of a run; what came from memory in Python stands there in angle brackets.

    Args:
        manifest: of the run.
        preds: path of the predictions, of averaged ones a list; None for the recorded ones.
        labels: path of other labels to score against.
        output: another run to write; nothing is then replaced.
    """
    arguments = dict(manifest["arguments"])
    if output is not None:
        arguments |= {"output": output, "overwrite": False}
    if isinstance(arguments.get("ids"), (list, tuple)):
        arguments["ids"] = "<ids>"
    records = {record["role"]: record for record in manifest["inputs"]}
    words = ["evaltool", "score"]
    feeds = [role for role in records if role.startswith("input ")]
    if "model" in records:
        named = len(feeds) > 1
        inputs = [_source(records[role], role.removeprefix("input ") if named else None) for role in feeds]
        words += [
            inputs[0],
            labels or _source(records["labels"]),
            *(word for more in inputs[1:] for word in ("--input", more)),
        ]
    else:
        parts = records["preds"].get("average", [records["preds"]])
        given = [preds] if isinstance(preds, (str, os.PathLike)) else preds
        words += [*map(str, given or map(_source, parts)), labels or _source(records["labels"])]
    return shlex.join([*words, *options(arguments)])


def _source(record: Mapping[str, Any], name: str | None = None) -> str:
    text = record["path"] or f"<{record['name']}>"
    return text if name is None else f"{name}={text}"


def report_command(run: Run, arguments: Mapping[str, Any]) -> str:
    """Return the command line of a report; of scores in memory the call in Python.

    Args:
        run: the run.
        arguments: by their names in Python.
    """
    if run.path is not None:
        return shlex.join(["evaltool", "report", str(run.path), *options(arguments)])
    given = [f"{name}={value!r}" for name, value in arguments.items() if value not in (None, False, ())]
    return f"evaltool.report({', '.join(['scores', *given])})"


def options(arguments: Mapping[str, Any]) -> list[str]:
    """Return arguments as options of the command line, without those that stand at their default."""
    words: list[str] = []
    for name, value in arguments.items():
        if name in NOT_SHOWN or value in (None, False, (), [], {}) or (name in DEFAULTS and value == DEFAULTS[name]):
            continue
        option = REPEATED.get(name) or RENAMED.get(name) or f"--{name.replace('_', '-')}"
        if name in REPEATED or name == "fail_if":
            for item in _items(value):
                words += [option, item]
        elif value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words += [option, ",".join(map(str, value))]
        else:
            words += [option, str(value)]
    return words


def _items(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{column}={spec}" for column, spec in value.items()]
    return [value] if isinstance(value, str) else list(map(str, value))


def bad_row_notes(run: Run) -> list[str]:
    """Return a note on the rows that could not be scored, none where there are none."""
    counts = {name: int(run.state["status"][STATUSES.index(name)]) for name in BAD_STATUSES}
    if not any(counts.values()):
        return []
    kinds = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    bad = sum(counts.values())
    return [f"{bad:,} of {run.n_samples:,} rows could not be scored ({kinds}), and nothing here counts them"]
