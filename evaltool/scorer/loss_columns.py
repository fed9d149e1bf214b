"""From what the user asks for (SPECs, modules, files, class weights) to loss columns.

The modules are built when an engine asks for them: kernels need their parameters alone, and no torch.
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaltool.artifacts.trust import manifest_of
from evaltool.catalogue import LossSpec, build_loss, check_column_name, entry_of
from evaltool.detect import Decision
from evaltool.errors import EvaltoolError
from evaltool.kernels.job import KernelLoss
from evaltool.run.manifest import file_record
from evaltool.schema import DEFAULT_LOSSES, DEFAULT_LOSSES_OF_SHARES
from evaltool.scorer.label_counts import LabelCounts
from evaltool.scorer.spec_check import check_fits, check_lengths
from evaltool.scorer.spec_fill import filled
from evaltool.scorer.spec_values import are_plain

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LossColumn:
    """A loss column."""

    build: Callable[[], Any]  # gives the module
    formula: str  # with the parameters' values
    record: dict[str, Any]  # in run.json
    two_classes: bool = False  # one foreground class is given to it as background and foreground
    weighted: bool = False  # its values are weighted by class
    loss: KernelLoss | None = (
        None  # what a kernel is told of it; None of a module or file that is none of the catalogue
    )

    @cached_property
    def module(self) -> Any:
        """The module (preds, labels) -> [N]."""
        return self.build()


def loss_columns(
    asked: Mapping[str, Any],
    files: Sequence[str | Path],
    *,
    decision: Decision,
    ignore_index: int,
    counts: LabelCounts,
    class_weights: Sequence[float] | None,
    trust: bool,
    device: str,
) -> dict[str, LossColumn]:
    """Return the loss columns of a job; a file replaces the default loss of its name.

    Raises:
        EvaltoolError: a loss does not fit the task, a parameter is wrong, or a file is not trusted.
    """
    wanted = dict(asked)  # by column: a LossSpec or a module
    if not asked:
        names = DEFAULT_LOSSES_OF_SHARES if decision.soft_labels else DEFAULT_LOSSES[decision.task]
        wanted = {name.replace("-", "_"): LossSpec(name.replace("-", "_"), name) for name in names}
    columns = {
        column: column_from_spec(item, decision, ignore_index, counts, class_weights)
        if isinstance(item, LossSpec)
        else _from_module(column, item, decision, ignore_index)
        for column, item in wanted.items()
    }
    from_files: set[str] = set()
    for file in files:
        column, path = _file_column(str(file))
        if column in asked or column in from_files:
            raise EvaltoolError(f"two losses fill the column {column!r}\n  Name the file's: --module other={path}")
        from_files.add(column)
        module = _opened(path, trust, device)
        _check_settings(column, module, decision, ignore_index)
        kind = getattr(module, "format", "TorchScript")
        columns[column] = LossColumn(
            partial(_same, module), f"{kind} {path.name}", {"column": column, **file_record(path)}
        )
    return columns


def _same(module: Any) -> Any:
    return module


def _opened(path: Path, trust: bool, device: str) -> Any:
    # here: they take torch
    from evaltool.artifacts.loss_files import open_loss
    from evaltool.devices import chosen_device

    return open_loss(path, trust=trust, device=chosen_device(device))


def _file_column(text: str) -> tuple[str, Path]:
    name, equals, rest = text.partition("=")
    if equals and not Path(text).exists():
        check_column_name(name, f"--module {text}")
        return name, Path(rest)
    path = Path(text)
    manifest = manifest_of(path) if path.is_file() else None
    named = (manifest or {}).get("name")
    column = re.sub(r"[^a-z0-9]+", "_", (named if isinstance(named, str) else path.stem).lower()).strip("_")
    check_column_name(column, f"--module {text}")
    return column, path


def _from_module(column: str, module: Any, decision: Decision, ignore_index: int) -> LossColumn:
    """Return the column of a caller's module; a copy, for it is moved to the device and set to evaluate."""
    from torch import nn  # here: only a caller with torch has modules

    if not isinstance(module, nn.Module):
        raise EvaltoolError(
            f"this is no loss\n  the column {column!r}: {type(module).__name__}, expected a SPEC or a torch.nn.Module\n"
            '  Write for instance losses=["ce", "focal:gamma=2"].'
        )
    _check_settings(column, module, decision, ignore_index)
    name = type(module).__name__
    two_classes = decision.foreground and _takes_two_classes(module)
    return LossColumn(partial(copy.deepcopy, module), name, {"column": column, "module": name}, two_classes)


def _takes_two_classes(module: "nn.Module") -> bool:
    """Whether one foreground class is given to a module as a softmax of background and foreground."""
    entry = entry_of(module)
    if entry is None:
        return False
    chosen = getattr(module, "activation", getattr(module, "form", "auto"))
    return entry.takes_two_classes if chosen == "auto" else bool(chosen == "softmax")


def _check_settings(column: str, module: Any, decision: Decision, ignore_index: int) -> None:
    """Raise EvaltoolError if a module says it takes another kind of predictions, or ignores another label."""
    settings: dict[str, int | str] = {"ignore_index": ignore_index}
    if decision.preds_are:
        settings["preds_are"] = decision.preds_are
    for name, value in settings.items():
        built = getattr(module, name, value)
        if isinstance(built, (int, str)) and built != value:
            raise EvaltoolError(
                f"the module of the column {column!r} was built for other input\n  it has {name}={built!r}, this job "
                f"has {value!r}\n  Build it with {name}={value!r}."
            )


def column_from_spec(
    spec: LossSpec,
    decision: Decision,
    ignore_index: int,
    counts: LabelCounts,
    class_weights: Sequence[float] | None,
) -> LossColumn:
    """Return the column of a SPEC: the module, with class weights and label counts filled in.

    Raises:
        EvaltoolError: the loss does not fit the task, or a parameter is wrong.
    """
    check_fits(spec, decision)
    entry = spec.entry
    outputs = entry.outputs(decision.task, decision.foreground)
    softmax = outputs == "softmax"
    given = filled(spec, outputs, class_weights, counts)
    build = partial(
        build_loss,
        replace(spec, parameters=given),
        ignore_index=ignore_index,
        preds_are=decision.preds_are or "logits",
        activation="softmax" if softmax else "sigmoid",
        form="softmax" if softmax else "hinge",
    )
    column = LossColumn(build, "", {})
    if not are_plain(given, spec.name, decision.num_classes):
        _ = column.module  # its constructor checks the parameters
    check_lengths(spec, given, decision)
    values = {name: given.get(name, default) for name, default in entry.parameters.items()}
    told = ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())
    formula = f"{entry.formula}; {told}" if told else entry.formula
    return replace(
        column,
        formula=formula,
        record={"column": spec.column, "loss": spec.name, "parameters": values, "formula": formula},
        two_classes=decision.foreground and softmax,
        weighted=any(values[name] is not None for name in entry.class_weights.get(outputs, ())),
        loss=KernelLoss(spec.column, spec.name, values),
    )


def _shown(value: Any) -> str:
    return f"[{len(value)} numbers]" if isinstance(value, list) and len(value) > 20 else str(value)
