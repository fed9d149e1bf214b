"""What a SPEC leaves open: parameters that class weights fill in."""

from collections.abc import Sequence
from typing import Any

from evaltool.catalogue import LossSpec


def filled(spec: LossSpec, outputs: str, class_weights: Sequence[float] | None) -> dict[str, Any]:
    """Return the parameters of a SPEC and those filled in; what the SPEC gives wins.

    Class weights go to the parameter that takes them.
    """
    entry = spec.entry
    parameters: dict[str, Any] = {}
    takers = entry.class_weights.get(outputs, ())
    if class_weights is not None and takers:
        values = [list(class_weights)] if len(takers) == 1 else class_weights
        parameters = dict(zip(takers, values, strict=True))
    return parameters | spec.parameters
