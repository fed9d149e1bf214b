"""Which number of a report a name of ``--fail-if`` means.

What can be known before there is a report (metrics, classes, losses, groups) is checked then: see ``bound``.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from evaltool.report.formats import printable
from evaltool.report.gate_tree import Name, Selector, refuse

Value = Mapping[str, Any] | float | None  # an Estimate, or a number without an interval
Lookup = Callable[[Any], Value]

GROUPS = {"many-medium-few": ("many", "medium", "few"), "lvis": ("frequent", "common", "rare")}
STATISTICS = ("min", "max", "mean")  # over classes
MOST_NAMES = 12  # classes in a message
WORST = "worst"  # over slices

RATES = (
    *("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "mcc", "kappa", "auroc", "average_precision"),
    *("exact_match", "mean_iou", "image_iou"),
)
CALIBRATION = ("ece", "ece_class_wise", "brier")
IMBALANCE = {
    "imbalance_ratio": "ratio",
    **{name: name for name in ("entropy", "entropy_share", "effective_classes", "lrid", "gini", "n_absent")},
    "prior_shift": "prior_shift",
}
COUNTS = ("n_samples", "n_scored", "n_ignored", "n_nonfinite", "n_bad_label", "n_bad_preds", "n_clamped", "n_infinite")
LOSS = ("mean", "sum", "p50", "p90", "p99", "max")
CLASS = ("recall", "precision", "f1", "iou", "average_precision", "auroc", "ece", "count", "share", "predicted")
CLASS_LOSS = {"mean_loss": "mean", "loss_share": "share", "loss_share_ratio": "share_ratio"}
WITHOUT_INTERVAL = {*CALIBRATION[2:], *IMBALANCE, *COUNTS, *LOSS, "n_bad", "bad_share", "n_failed", "count", "share"}
WORDS = sorted(
    {*RATES, *CALIBRATION, *IMBALANCE, *COUNTS, *LOSS, *CLASS, *CLASS_LOSS, "n_bad", "bad_share", "n_failed"}
)
# tasks that have a name, where not all classifications do
TASKS_OF = {
    **dict.fromkeys(("mean_iou", "image_iou"), ("segmentation",)),
    "exact_match": ("multilabel",),
    **dict.fromkeys(("mcc", "kappa"), ("multiclass", "binary", "segmentation")),
}
SLICE_RATES = ("accuracy", "balanced_accuracy", "iou", "exact_match")
SIGNED = ("mcc", "kappa")  # lie in -1..1
SHARES = {
    *({*RATES, *CALIBRATION} - {*SIGNED, "brier"}),
    *("recall", "precision", "f1", "iou", "share", "loss_share"),
    *("entropy_share", "gini", "prior_shift", "bad_share"),
}
CHANGES = ("accuracy", "balanced_accuracy", "image_iou", "mean", "recall", "precision", "mean_loss")


@dataclass(frozen=True)
class Subject:
    """What is known of a report before it is computed."""

    names: Sequence[str]  # of the classes
    losses: Sequence[str]  # columns, the one that ranks first
    task: str | None = None  # None: any
    split: str = "many-medium-few"
    sliced: bool = False  # --group-by was given
    compared: bool = False  # --compare was given


def bound(name: Name, expression: str, subject: Subject) -> Lookup:
    """Return what looks a name up in a report.

    Raises:
        EvaltoolError: there is no such number; the place is marked.
    """
    return _Binding(name, expression, subject).lookup()


class _Binding:
    """One name on its way to a number."""

    def __init__(self, name: Name, expression: str, subject: Subject) -> None:
        self.name, self.expression, self.subject = name, expression, subject
        self.loss: str | None = None
        self.who: Selector | None = None
        self.slice: Selector | None = None

    def lookup(self) -> Lookup:
        word = self.name.word
        if word not in WORDS:
            self._unknown(self.name.at, f"there is no number {word!r}", word, WORDS, "The README lists the names.")
        self._check_task()
        if self.name.part in ("low", "high") and word in WITHOUT_INTERVAL and not self.name.change:
            self._refuse(self.name.at, f"{word} has no interval", f"Write {word} without .{self.name.part}.")
        for selector in self.name.selectors:
            self._take(selector)
        if self.name.change:
            return self._changed()
        if self.slice is not None:
            return self._sliced()
        if word in CLASS_LOSS or (word in CLASS and (self.who or word not in (*RATES, *CALIBRATION))):
            return self._of_classes()
        if self.who is not None:
            self._refuse(
                self.who.at, f"{word} has no classes", f"Write {word} alone; of classes there are {_and(CLASS)}."
            )
        return self._overall()

    def _check_task(self) -> None:
        word, task = self.name.word, self.subject.task
        if task == "regression":
            known = {*LOSS, *COUNTS, "n_bad", "bad_share", "n_failed"}
        elif task is not None:
            known = {name for name in WORDS if task in TASKS_OF.get(name, (task,))}
        if task is not None and word not in known:
            there_are = [name for name in WORDS if name in known and (task == "regression" or name in RATES)]
            self._refuse(self.name.at, f"the run is {task}, which has no {word}", f"It has {_and(there_are)}.")

    def _take(self, selector: Selector) -> None:
        """Sort a selector: a slice, a loss, or which classes."""
        word = self.name.word
        slot = "who"
        if selector.key is not None:
            if selector.key != "group":
                self._refuse(
                    selector.at, f"there is no selector {selector.key!r}", 'Write a slice as in group="night".'
                )
            slot = "slice"
        elif selector.text == WORST and not selector.quoted:
            slot = "slice"
        elif not selector.quoted and selector.text.replace("-", "_") in self.subject.losses and self._of_a_loss():
            slot = "loss"
        if getattr(self, slot) is not None:
            self._refuse(
                selector.at, f"{word} has two selectors of a kind", "Leave one out, or quote a name that has a comma."
            )
        if slot == "slice" and not self.subject.sliced:
            self._refuse(selector.at, "the report has no slices", "Pass --group-by FILE[:COLUMN].")
        if slot == "who" and word in LOSS:
            what = f"there is no loss {selector.text!r}"
            self._unknown(selector.at, what, selector.text, self.subject.losses, "The run's losses")
        setattr(self, slot, selector.text.replace("-", "_") if slot == "loss" else selector)

    def _of_a_loss(self) -> bool:
        return self.name.word in LOSS or self.name.word in CLASS_LOSS

    def _loss(self) -> str:
        return self.loss or self.subject.losses[0]

    def _overall(self) -> Lookup:
        word = self.name.word
        if word in LOSS:
            loss = self._loss()
            return lambda report: report["losses"].get(loss, {}).get(word)
        if word in RATES:
            return lambda report: report["rates"].get(word)
        if word in CALIBRATION:
            return lambda report: (report["calibration"] or {}).get(word)
        if word in IMBALANCE:
            return lambda report: (report["imbalance"] or {}).get(IMBALANCE[word])
        return lambda report: _counts(report)[word]

    def _of_classes(self) -> Lookup:
        word = self.name.word
        value: Lookup = lambda row: row[word]  # noqa: E731
        if word in CLASS_LOSS:
            loss, key = self._loss(), CLASS_LOSS[word]
            value = lambda row: row["losses"].get(loss, {}).get(key)  # noqa: E731
        return self._over(
            value, lambda report: report["classes"], lambda report: (report["groups"] or {"rows": []})["rows"]
        )

    def _over(self, value: Lookup, rows: Callable[[Any], Any], groups: Callable[[Any], Any]) -> Lookup:
        """Return the lookup of a class, of a group, or of a statistic over the classes."""
        who, word = self.who, self.name.word
        if who is None:
            self._refuse(self.name.at, f"{word} is one number per class", f"Write {word}[min], {word}[few] or a class.")
        if not who.quoted and who.text in STATISTICS:
            if who.text == "mean":
                self._no_interval(who)
            return lambda report: _statistic(who.text, [value(row) for row in rows(report)])
        if not who.quoted and who.text in GROUPS[self.subject.split]:
            return lambda report: _of_group(who.text, value, rows(report), groups(report))
        index = self._class(who)
        return lambda report: next((value(row) for row in rows(report) if row["index"] == index), None)

    def _class(self, who: Selector) -> int:
        names = list(self.subject.names)
        if not who.quoted and who.text.isdecimal() and int(who.text) < len(names):
            return int(who.text)
        if names.count(who.text) > 1:
            self._refuse(who.at, f"several classes are called {who.text!r}", "Give the class's index, as in recall[3].")
        if who.text not in names:
            self._no_class(who)
        return names.index(who.text)

    def _no_class(self, who: Selector) -> NoReturn:
        others = [group for split, groups in GROUPS.items() if split != self.subject.split for group in groups]
        if who.text in others and not who.quoted:
            split = next(split for split, groups in GROUPS.items() if who.text in groups)
            to_do = f"Write {_or(GROUPS[self.subject.split])}, or pass --split {split}."
            self._refuse(who.at, f"the classes are split {self.subject.split}", to_do)
        what = f"there is no class, group or statistic {who.text!r}"
        close = difflib.get_close_matches(who.text, [*self.subject.names, *self._words()], n=3, cutoff=0.65)
        if close:
            shown = [name if name in self._words() else _quoted(name) for name in close]
            self._refuse(who.at, what, f"Did you mean {' or '.join(shown)}?")
        some = [_quoted(name) for name in self.subject.names[:MOST_NAMES]]
        more = ", ..." if len(self.subject.names) > MOST_NAMES else ""
        to_do = f"Write {_or(self._words())}, or a class by name or index: {', '.join(some)}{more}."
        self._refuse(who.at, what, to_do)

    def _words(self) -> tuple[str, ...]:
        return *STATISTICS, *GROUPS[self.subject.split]

    def _sliced(self) -> Lookup:
        word, which = self.name.word, self.slice
        assert which is not None
        if self.who is not None:
            self._refuse(self.who.at, "slices have no numbers per class", "Leave the class out.")
        loss = self._loss() if self.subject.losses else ""
        if word == "mean":
            value: Lookup = lambda row: row["losses"].get(loss)  # noqa: E731
        elif word in SLICE_RATES:
            value = lambda row: row["rates"].get(word)  # noqa: E731
        else:
            sliced = f"{', '.join(SLICE_RATES)} and mean[LOSS]"
            self._refuse(self.name.at, f"slices have no {word}", f"They have {sliced}.")
        if which.key is None:
            worst = "max" if word == "mean" else "min"
            return lambda report: _statistic(worst, [value(row) for row in report["slices"]["rows"]])
        return lambda report: value(self._slice_row(report["slices"], which))

    def _slice_row(self, slices: Any, which: Selector) -> Any:
        groups = {row["group"]: row for row in slices["rows"]}
        if which.text not in groups:
            self._unknown(
                which.at, f"there is no slice {which.text!r}", which.text, groups, f"Slices by {slices['column']}"
            )
        return groups[which.text]

    def _changed(self) -> Lookup:
        word = self.name.word
        if word not in CHANGES:
            self._unknown(self.name.at, f"change() of {word} is not known", word, CHANGES, "Changes are known of")
        if not self.subject.compared:
            self._refuse(self.name.at, "the report compares no runs", "Pass --compare RUN2.")
        if self.slice is not None:
            self._refuse(self.slice.at, "slices are not compared", "Leave the slice out.")
        if word == "mean":
            loss = self._loss()
            return lambda report: report["comparison"]["losses"].get(loss, {}).get("difference")
        if word in RATES:
            return lambda report: report["comparison"]["rates"].get(word, {}).get("difference")
        if word == "precision":
            self._no_interval(self.name)
            value: Lookup = lambda row: _difference(row["precision_before"], row["precision_after"])  # noqa: E731
        elif word == "mean_loss":
            loss = self._loss()
            value = lambda row: row["losses"].get(loss)  # noqa: E731
        else:
            value = lambda row: row["recall"]  # noqa: E731
        return self._over(value, lambda report: report["comparison"]["classes"], lambda report: _group_changes(report))

    def _no_interval(self, where: "Name | Selector") -> None:
        if self.name.part in ("low", "high"):
            self._refuse(where.at, "this number has no interval", f"Leave .{self.name.part} out.")

    def _unknown(self, at: int, what: str, word: str, known: Iterable[str], are: str) -> NoReturn:
        names = list(known)
        close = difflib.get_close_matches(word, names, n=3, cutoff=0.65)
        if close:
            to_do = f"Did you mean {' or '.join(close)}?"
        else:
            to_do = are if are.endswith(".") else f"{are}: {', '.join(names[:12])}{', ...' if len(names) > 12 else '.'}"
        self._refuse(at, what, to_do)

    def _refuse(self, at: int, what: str, to_do: str) -> NoReturn:
        refuse(self.expression, at, what, to_do)


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def range_of(name: Name) -> tuple[float, float] | None:
    """Return where a number can only lie, None where it may be any."""
    if name.change and name.word in SHARES:
        return -1.0, 1.0
    if name.word in SHARES:
        return 0.0, 1.0
    return (-1.0, 1.0) if name.word in SIGNED and not name.change else None


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _quoted(name: str) -> str:
    """Return a name as it may stand between brackets."""
    escaped = re.sub(r'(["\\])', r"\\\1", printable(name))
    return f'"{escaped}"'


def number_of(value: Value, part: str | None) -> float | None:
    """Return the number that a name with a part (.low, .high) means of what was looked up."""
    if isinstance(value, Mapping):
        number: float | None = value[part or "value"]
        return number
    return None if part in ("low", "high") else value


def _statistic(which: str, values: Sequence[Value]) -> Value:
    known = [value for value in values if number_of(value, None) is not None]
    if not known:
        return None
    if which == "mean":
        return sum(number_of(value, None) or 0.0 for value in known) / len(known)
    return (min if which == "min" else max)(known, key=lambda value: number_of(value, None) or 0.0)


def _of_group(group: str, value: Lookup, rows: Iterable[Any], groups: Iterable[Any]) -> Value:
    """Return a group's own number, or the mean over its classes where the report has none."""
    row = next((row for row in groups if row["name"] == group), None)
    if row is None:
        return None
    try:
        return value(row)
    except KeyError:
        members = {*row["classes"]}
        return _statistic("mean", [value(of) for of in rows if of["index"] in members])


def _group_changes(report: Any) -> list[Any]:
    changes = {row["name"]: row for row in report["comparison"].get("groups", [])}
    return [
        {"name": row["name"], "classes": row["classes"], **changes.get(row["name"], {})}
        for row in (report["groups"] or {"rows": []})["rows"]
    ]


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _counts(report: Any) -> dict[str, float | None]:
    provenance = report["provenance"]
    statuses = provenance["statuses"]
    bad = sum(statuses.get(name, 0) for name in ("nonfinite", "bad_label", "bad_preds"))
    return {
        "n_samples": report["n_samples"],
        "n_scored": report["n_scored"],
        **{f"n_{name}": statuses.get(name, 0) for name in ("ignored", "nonfinite", "bad_label", "bad_preds")},
        **{f"n_{name}": provenance[f"n_{name}"] for name in ("clamped", "infinite", "failed")},
        "n_bad": bad,
        "bad_share": bad / report["n_samples"] if report["n_samples"] else None,
    }
