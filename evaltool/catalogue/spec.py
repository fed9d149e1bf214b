"""The SPEC that names a loss with its parameters, and the module built from it."""

import difflib
import importlib
import inspect
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evaltool.catalogue.entries import CATALOGUE, LossEntry
from evaltool.catalogue.names import unknown_loss
from evaltool.errors import EvaltoolError
from evaltool.schema import COLUMN_MEANINGS

if TYPE_CHECKING:
    from torch import nn

# what the scorer sets for every loss alike
SET_BY_SCORER = ("ignore_index", "preds_are", "reduction", "activation", "form")


@dataclass(frozen=True)
class LossSpec:
    """A loss by name, its parameters, and the column it fills."""

    column: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    text: str = ""  # as the user wrote it

    @property
    def entry(self) -> LossEntry:
        """The catalogue's row of this loss."""
        return CATALOGUE[self.name]


def parse_spec(text: str) -> LossSpec:
    """Return the loss that a SPEC names: ``focal``, ``focal:gamma=2,alpha=0.25`` or ``hard=focal:gamma=5``.

    A list is written with or without brackets: ``focal:alpha=0.25,0.5,1`` or ``focal:alpha=[0.25,0.5,1],gamma=2``.

    Raises:
        EvaltoolError: the loss or a parameter is unknown, or the column's name is not one.
    """
    where = f"--loss {text}"
    column, name, tail = split_spec(text)
    if name not in CATALOGUE:
        raise unknown_loss(name, where)
    check_column_name(column, where)
    spec = LossSpec(column, name, spec_parameters(name, tail, where), text)
    _check_parameters(spec)
    return spec


def split_spec(text: str) -> tuple[str, str, str]:
    """Return the column or artifact that a SPEC names, the loss or metric, and its parameters as text."""
    head, _, tail = text.partition(":")
    column, equals, name = head.rpartition("=")
    name = name.strip()
    return column.strip() if equals else name.replace("-", "_"), name, tail


def check_column_name(column: str, where: str) -> None:
    """Raise EvaltoolError if column cannot name a loss column; ``where`` is what the user wrote."""
    check_plain_name(column, "a column", where)
    if column in COLUMN_MEANINGS or column == "id":
        raise EvaltoolError(f"the column {column!r} is taken\n  {where}\n  Choose another name.")


def check_plain_name(name: str, what: str, where: str) -> None:
    """Raise EvaltoolError if a name is more than lower-case letters, digits and _."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise EvaltoolError(
            f"{name!r} cannot name {what}\n  {where}\n  Use lower-case letters, digits and _, a letter first."
        )


def loss_class(name: str) -> type["nn.Module"]:
    """Return the class of a loss of the catalogue."""
    losses = importlib.import_module("evaltool.losses")  # here: it takes torch
    found: type[nn.Module] = getattr(losses, CATALOGUE[name].class_name)
    return found


def entry_of(module: "nn.Module") -> LossEntry | None:
    """Return the catalogue's row of a module; None if its class is none of evaltool's, whatever it is called."""
    called = type(module).__name__
    names = [name for name, entry in CATALOGUE.items() if entry.class_name == called]
    return CATALOGUE[names[0]] if names and type(module) is loss_class(names[0]) else None


def build_loss(spec: LossSpec, **set_by_scorer: Any) -> "nn.Module":
    """Return the module of a spec; of ``set_by_scorer`` it gets what it takes.

    Raises:
        EvaltoolError: a parameter is outside its range.
    """
    cls = loss_class(spec.name)
    accepted, known = inspect.signature(cls).parameters, spec.entry.parameters
    arguments = {name: value for name, value in set_by_scorer.items() if name in accepted}
    try:
        return cls(**arguments, **spec.parameters)
    except ValueError as error:
        raise EvaltoolError(f"bad parameter of the loss {spec.name}\n  {error}\n  {takes(known)}") from None


def takes(parameters: Collection[str]) -> str:
    """Return the sentence that says what parameters there are."""
    return f"It takes {', '.join(parameters)}." if parameters else "It takes none."


def _check_parameters(spec: LossSpec) -> None:
    for name in spec.parameters:
        if name in SET_BY_SCORER:
            raise EvaltoolError(
                f"{name} is no parameter of a single loss\n  --loss {spec.text}\n  It is the same for every loss and "
                "follows from the task, the kind of the predictions and --ignore-index."
            )
    check_known(spec.parameters, spec.entry.parameters, spec.name, f"--loss {spec.text}")


def check_known(given: Collection[str], known: Collection[str], name: str, where: str) -> None:
    """Raise EvaltoolError if a loss or metric has no parameter of a given name."""
    for parameter in given:
        if parameter not in known:
            near = difflib.get_close_matches(parameter, known, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise EvaltoolError(f"{name} has no parameter {parameter!r}\n  {where}\n  {meant}{takes(known)}")


def spec_parameters(name: str, tail: str, where: str) -> dict[str, Any]:
    """Return the parameters that follow a name in a SPEC: numbers, lists, words, None, True and False.

    Raises:
        EvaltoolError: one is given twice, or is not written parameter=value; ``where`` is what the user wrote.
    """
    parameters: dict[str, Any] = {}
    key = ""
    for piece in re.split(r",(?![^\[]*\])", tail) if tail.strip() else []:
        left, equals, right = piece.partition("=")
        if equals:
            key = left.strip()
            if key in parameters:
                raise EvaltoolError(f"the parameter {key!r} is given twice\n  {where}\n  Give it once.")
            parameters[key] = _value(right.strip())
        elif key and not isinstance(parameters[key], (str, bool)) and parameters[key] is not None:
            before = parameters[key] if isinstance(parameters[key], list) else [parameters[key]]
            parameters[key] = [*before, _value(piece.strip())]
        else:
            raise EvaltoolError(
                f"{piece.strip()!r} is not parameter=value\n  {where}\n  Write {name}:parameter=value,..."
            )
    return parameters


def _value(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [_value(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    words: dict[str, Any] = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return float(text)
    except ValueError:
        return text
