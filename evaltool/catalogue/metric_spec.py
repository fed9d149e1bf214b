"""The SPEC that names a metric with its parameters, and the module built from it."""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evaltool.catalogue.metric_entries import METRICS, SET_BY_TASK, MetricEntry
from evaltool.catalogue.names import unknown_metric
from evaltool.catalogue.spec import check_known, check_plain_name, spec_parameters, split_spec, takes
from evaltool.errors import EvaltoolError

if TYPE_CHECKING:
    from torch import nn

    from evaltool.metrics import Metric

OPTIONS = {
    "num_classes": "--num-classes",
    "task": "--task",
    "ignore_index": "--ignore-index",
    "preds_are": "--preds-are",
}


@dataclass(frozen=True)
class MetricSpec:
    """A metric by name, its parameters, and what it is to be called."""

    column: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)  # its own, all of them
    loss: str | None = None  # the SPEC of the loss that it is built with
    text: str = ""  # as the user wrote it

    @property
    def entry(self) -> MetricEntry:
        """The registry's row of this metric."""
        return METRICS[self.name]


def parse_metric(text: str) -> MetricSpec:
    """Return the metric that a SPEC names: ``auroc``, ``top5=accuracy:top_k=5`` or ``loss-quantiles:loss=focal``.

    The loss may have parameters of its own: ``loss-share:loss=focal:gamma=1``, in brackets if there are several:
    ``loss-quantiles:loss=[focal:gamma=1,alpha=0.25],at=0.5``.

    Raises:
        EvaltoolError: the metric or a parameter is unknown, or a metric of a loss names none.
    """
    column, name, tail = split_spec(text)
    if name not in METRICS:
        raise unknown_metric(name, text)
    check_plain_name(column, "an artifact", text)
    given, entry = spec_parameters(name, tail, text), METRICS[name]
    for parameter in given:
        if parameter in SET_BY_TASK:
            option = OPTIONS.get(parameter)
            raise EvaltoolError(
                f"{parameter} is no parameter of a single metric\n  {text}\n  It is the same for all of them"
                + (f": pass {option}." if option else ".")
            )
    check_known(given, ["loss", *entry.parameters] if entry.of_loss else entry.parameters, name, text)
    loss = given.pop("loss", None)
    if entry.of_loss and loss is None:
        raise EvaltoolError(f"{name} is a metric of a loss\n  {text}\n  Name one, as in {name}:loss=focal.")
    own = {key: _as_default(given.get(key, default), default) for key, default in entry.parameters.items()}
    return MetricSpec(column, name, own, _joined(loss), text)


def build_metric(
    name: str, parameters: Mapping[str, Any], loss: "nn.Module | None" = None, **set_by_task: Any
) -> "Metric":
    """Return the module of a metric; of ``set_by_task`` it gets what it takes.

    Raises:
        EvaltoolError: a parameter is outside its range.
    """
    metrics = importlib.import_module("evaltool.metrics")  # here: it takes torch
    cls: type[Metric] = getattr(metrics, METRICS[name].class_name)
    accepted = inspect.signature(cls).parameters
    arguments = {key: value for key, value in {**set_by_task, "loss": loss}.items() if key in accepted}
    try:
        return cls(**arguments, **parameters)
    except (RuntimeError, TypeError, ValueError) as error:  # torch has no room for so many counts
        reason = str(error).splitlines()[0]
        raise EvaltoolError(
            f"bad parameter of the metric {name}\n  {reason}\n  "
            + ("Pass --num-classes." if reason.startswith("num_classes=None") else takes(METRICS[name].parameters))
        ) from None


def _as_default(value: Any, default: Any) -> Any:
    """Return a SPEC's value in the type of the default: whole numbers, the word none, a list of one number."""
    if isinstance(default, tuple):
        return list(value) if isinstance(value, (list, tuple)) else [value]
    if isinstance(default, str) and value is None:
        return "none"
    whole = isinstance(default, int) and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _joined(loss: Any) -> str | None:
    """Return the SPEC of a loss, which brackets made a list."""
    return ",".join(map(str, loss)) if isinstance(loss, list) else None if loss is None else str(loss)
