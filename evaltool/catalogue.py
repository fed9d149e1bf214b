"""The registry of losses by name, and the SPEC that names one with its parameters.

Nothing here imports torch before a loss is built, so that a misspelt name is answered at once.
"""

import difflib
import importlib
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evaltool.errors import EvaltoolError
from evaltool.schema import COLUMN_MEANINGS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LossEntry:
    """One row of the catalogue."""

    class_name: str
    formula: str
    source: str
    tasks: tuple[str, ...]


CATALOGUE = {
    "ce": LossEntry(
        "CrossEntropyLoss",
        "-w_t log p_t",
        "",
        ("multiclass", "segmentation"),
    ),
    "bce": LossEntry(
        "BinaryCrossEntropyLoss",
        "-(pos_weight y log p + neg_weight (1 - y) log(1 - p))",
        "",
        ("binary", "multilabel", "segmentation"),
    ),
    "focal": LossEntry(
        "FocalLoss",
        "alpha_t (1 - p_t)^gamma (-log p_t)",
        "Lin 2017, arXiv:1708.02002",
        ("multiclass", "segmentation"),
    ),
    "binary-focal": LossEntry(
        "BinaryFocalLoss",
        "alpha_t (1 - p_t)^gamma (-log p_t), p_t = p if y else 1 - p",
        "Lin 2017, arXiv:1708.02002",
        ("binary", "multilabel", "segmentation"),
    ),
    "dice": LossEntry(
        "DiceLoss",
        "1 - (2 sum(p y) + smooth_nr) / (sum(p^k) + sum(y^k) + smooth_dr), k = 2 if squared else 1; "
        "sums over positions, mean over classes; without positions, sums over classes",
        "Milletari 2016, arXiv:1606.04797; Li 2020, arXiv:1911.02855",
        ("multiclass", "binary", "multilabel", "segmentation"),
    ),
    "l1": LossEntry("L1Loss", "|p - y|", "", ("regression",)),
    "smooth-l1": LossEntry(
        "SmoothL1Loss",
        "(p - y)^2 / (2 beta) where |p - y| < beta, else |p - y| - beta / 2",
        "Girshick 2015, arXiv:1504.08083",
        ("regression",),
    ),
    "mse": LossEntry("MSELoss", "(p - y)^2", "", ("regression",)),
}

# what the scorer sets for every loss alike
SET_BY_SCORER = ("ignore_index", "preds_are", "reduction", "activation")


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
    head, _, tail = text.partition(":")
    column, equals, name = head.rpartition("=")
    name = name.strip()
    column = column.strip() if equals else name.replace("-", "_")
    if name not in CATALOGUE:
        meant = _meant(name)
        raise EvaltoolError(
            f"no loss is called {name!r}\n  --loss {text}\n  {meant}The losses are {', '.join(CATALOGUE)}."
        )
    check_column_name(column, f"--loss {text}")
    return LossSpec(column, name, _parameters(text, name, tail), text)


OTHER_NAMES = {
    **dict.fromkeys(("cross-entropy", "crossentropy", "log-loss", "nll"), "ce"),
    **dict.fromkeys(("binary-cross-entropy", "bce-with-logits"), "bce"),
    **dict.fromkeys(("mae", "absolute-error"), "l1"),
    **dict.fromkeys(("l2", "squared-error"), "mse"),
    "huber": "smooth-l1",
    "sigmoid-focal": "binary-focal",
}


def _meant(name: str) -> str:
    """Return a sentence for a name that is no loss's, or nothing."""
    parts = re.split(r"[,\s]+", name)
    if len(parts) > 1 and all(part in CATALOGUE for part in parts):
        return f"Repeat the option: {' '.join(f'--loss {part}' for part in parts)}. "
    plain = name.lower().replace("_", "-").removesuffix("loss").strip("-")
    known = OTHER_NAMES.get(plain, plain)
    near = [known] if known in CATALOGUE else difflib.get_close_matches(plain, CATALOGUE, n=3, cutoff=0.4)
    return f"Did you mean {' or '.join(near)}? " if near else ""


def check_column_name(column: str, where: str) -> None:
    """Raise EvaltoolError if column cannot name a loss column; ``where`` is what the user wrote."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", column):
        raise EvaltoolError(
            f"{column!r} cannot name a column\n  {where}\n  Use lower-case letters, digits and _, a letter first."
        )
    if column in COLUMN_MEANINGS or column == "id":
        raise EvaltoolError(f"the column {column!r} is taken\n  {where}\n  Choose another name.")


def loss_class(name: str) -> type["nn.Module"]:
    """Return the class of a loss of the catalogue."""
    losses = importlib.import_module("evaltool.losses")  # here: it takes torch
    found: type[nn.Module] = getattr(losses, CATALOGUE[name].class_name)
    return found


def free_parameters(cls: type["nn.Module"]) -> dict[str, Any]:
    """Return the parameters of a loss that a SPEC may set, with their defaults."""
    known = inspect.signature(cls).parameters
    return {name: parameter.default for name, parameter in known.items() if name not in SET_BY_SCORER}


def build_loss(spec: LossSpec, **set_by_scorer: Any) -> "nn.Module":
    """Return the module of a spec; of ``set_by_scorer`` it gets what it takes.

    Raises:
        EvaltoolError: a parameter is unknown or outside its range.
    """
    cls = loss_class(spec.name)
    known = inspect.signature(cls).parameters
    free = free_parameters(cls)
    for name in spec.parameters:
        if name not in free:
            near = difflib.get_close_matches(name, free, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            takes = f"It takes {', '.join(free)}." if free else "It takes none."
            raise EvaltoolError(f"{spec.name} has no parameter {name!r}\n  --loss {spec.text}\n  {meant}{takes}")
    arguments = {name: value for name, value in set_by_scorer.items() if name in known}
    try:
        return cls(**arguments, **spec.parameters)
    except ValueError as error:
        raise EvaltoolError(
            f"bad parameter of the loss {spec.name}\n  {error}\n  It takes {', '.join(free)}."
        ) from None


def _parameters(text: str, name: str, tail: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    key = ""
    for piece in re.split(r",(?![^\[]*\])", tail) if tail.strip() else []:
        left, equals, right = piece.partition("=")
        if equals:
            key = left.strip()
            if key in parameters:
                raise EvaltoolError(f"the parameter {key!r} is given twice\n  --loss {text}\n  Give it once.")
            parameters[key] = _value(right.strip())
        elif key and not isinstance(parameters[key], (str, bool)) and parameters[key] is not None:
            before = parameters[key] if isinstance(parameters[key], list) else [parameters[key]]
            parameters[key] = [*before, _value(piece.strip())]
        else:
            raise EvaltoolError(
                f"{piece.strip()!r} is not parameter=value\n  --loss {text}\n  Write {name}:parameter=value,..."
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
