"""Which parameters of a SPEC are right beyond doubt, so that no module has to be built to check them.

The constructors of the modules say what a parameter may be and word the errors.  Building one takes torch; most jobs
give what any of them takes.
"""

import math
from collections.abc import Mapping
from typing import Any

from evaltool.catalogue import CATALOGUE, LossEntry
from evaltool.kernels.choice import LOSSES

LARGEST = 3e38  # that float32 holds
# parameters that may be any number >= 0, and those that may as well be one per class
NUMBERS = ("smooth_nr", "smooth_dr")
NUMBERS_PER_CLASS = ("gamma", "alpha", "weight", "pos_weight", "neg_weight")
CLASSES = ("present", "all")


def are_plain(parameters: Mapping[str, Any], name: str, num_classes: int) -> bool:
    """Whether every parameter is one that a loss's constructor takes; a no leaves it to the constructor.

    Args:
        parameters: as a SPEC gives them, class weights filled in.
        name: of the loss; of those that no kernel has, modules are needed anyway.
        num_classes: C.
    """
    entry = CATALOGUE[name]
    return name in LOSSES and all(
        value is entry.parameters[parameter] or _is_plain(parameter, value, entry, num_classes)
        for parameter, value in parameters.items()
    )


def _is_plain(name: str, value: Any, entry: LossEntry, num_classes: int) -> bool:
    if name == "squared":
        return isinstance(value, bool)
    if name == "classes":
        return value in CLASSES
    if name == "label_smoothing":
        return _is_number(value, 1.0)
    if name in entry.pairs:
        pair = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        return pair or _is_number(value, 1.0)
    if isinstance(value, list):
        return name in NUMBERS_PER_CLASS and len(value) == num_classes > 1 and all(map(_is_number, value))
    return name in (*NUMBERS, *NUMBERS_PER_CLASS) and _is_number(value)


def _is_number(value: Any, most: float = LARGEST) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most and math.isfinite(value)
    )
