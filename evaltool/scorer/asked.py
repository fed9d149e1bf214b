"""Which losses a job asks for, read before torch is imported: a misspelt name is answered at once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evaltool.catalogue import CATALOGUE, check_column_name, parse_spec
from evaltool.errors import EvaltoolError


def asked_losses(losses: Any) -> dict[str, Any]:
    """Return what ``losses`` asks for, by column: a LossSpec or a module (preds, labels) -> [N].

    Raises:
        EvaltoolError: a SPEC cannot be read, or two losses share a column.
    """
    items: list[tuple[str, Any]] = []
    if isinstance(losses, str):
        losses = [losses]
    if isinstance(losses, Mapping):
        for column, loss in losses.items():
            check_column_name(column, f"losses[{column!r}]")
            items.append((column, replace(parse_spec(loss), column=column) if isinstance(loss, str) else loss))
    else:
        for loss in losses or ():
            spec = parse_spec(loss) if isinstance(loss, str) else None
            items.append((spec.column, spec) if spec else (_module_column(loss), loss))
    by_column: dict[str, Any] = {}
    for column, item in items:
        if column in by_column:
            raise EvaltoolError(
                f"two losses fill the column {column!r}\n"
                f"  Name one of them, as in --loss other={column.replace('_', '-')}."
            )
        by_column[column] = item
    return by_column


def _module_column(module: Any) -> str:
    name = type(module).__name__
    for registered, entry in CATALOGUE.items():
        if entry.class_name == name:
            return registered.replace("-", "_")
    column = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().removesuffix("_loss")
    check_column_name(column, f"the class {name}; name its column with losses={{'column': module}}")
    return column
