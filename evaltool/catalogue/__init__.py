"""The registries of losses and metrics by name, and the SPEC that names one with its parameters.

Nothing here imports torch before one is built, so that a misspelt name or parameter is answered at once.
"""

from evaltool.catalogue.entries import CATALOGUE, NOTATION, LossEntry
from evaltool.catalogue.metric_entries import METRICS, SET_BY_TASK, MetricEntry
from evaltool.catalogue.metric_spec import MetricSpec, build_metric, parse_metric
from evaltool.catalogue.names import OTHER_NAMES, unknown_loss, unknown_metric, unknown_subject
from evaltool.catalogue.spec import (
    SET_BY_SCORER,
    LossSpec,
    build_loss,
    check_column_name,
    entry_of,
    loss_class,
    parse_spec,
    split_spec,
)

__all__ = [
    "CATALOGUE",
    "METRICS",
    "NOTATION",
    "OTHER_NAMES",
    "SET_BY_SCORER",
    "SET_BY_TASK",
    "LossEntry",
    "LossSpec",
    "MetricEntry",
    "MetricSpec",
    "build_loss",
    "build_metric",
    "check_column_name",
    "entry_of",
    "loss_class",
    "parse_metric",
    "parse_spec",
    "split_spec",
    "unknown_loss",
    "unknown_metric",
    "unknown_subject",
]
