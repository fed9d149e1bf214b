"""What a SPEC leaves open: parameters that class weights or label counts fill in."""

from collections.abc import Sequence
from typing import Any

from evaltool.catalogue import LossSpec
from evaltool.errors import EvaltoolError
from evaltool.schema import WEIGHT_WORDS
from evaltool.scorer.label_counts import LabelCounts


def filled(spec: LossSpec, outputs: str, class_weights: Sequence[float] | None, counts: LabelCounts) -> dict[str, Any]:
    """Return the parameters of a SPEC and those filled in; what the SPEC gives wins.

    Class weights go to the parameter that takes them; a rule's name (``alpha=balanced``) becomes its weights, and a
    missing prior or count the label counts.

    Raises:
        EvaltoolError: a rule's name stands where no weights belong, or another word where they do; or there is no
            label to count.
    """
    entry = spec.entry
    parameters: dict[str, Any] = {}
    takers = entry.class_weights.get(outputs, ())
    if class_weights is not None and takers:
        values = [list(class_weights)] if len(takers) == 1 else class_weights
        parameters = dict(zip(takers, values, strict=True))
    parameters |= spec.parameters
    for name, value in parameters.items():
        if isinstance(value, str):
            parameters[name] = _by_rule(spec, name, value, outputs, counts)
    for name in entry.counted:
        if parameters.get(name) is None:
            parameters[name] = counts.classes(f"--loss {spec.text}")
    return parameters


def _by_rule(spec: LossSpec, name: str, word: str, outputs: str, counts: LabelCounts) -> list[float] | str:
    """Return the weights that a rule's name stands for; a word that is none, where no weights belong, as it is."""
    asked = f"--loss {spec.text}"
    pair = spec.entry.is_pair(name, outputs)
    takers = spec.entry.class_weights.get(outputs, ())
    if pair or takers == (name,):
        if word not in WEIGHT_WORDS:
            raise EvaltoolError(
                f"{word!r} is no weight\n  {asked}\n  Give numbers, or one of {', '.join(WEIGHT_WORDS)}."
            )
        return counts.pair_weights(word, asked, outputs) if pair else counts.weights(word, asked)
    if word in WEIGHT_WORDS and name in spec.entry.counted:
        raise EvaltoolError(
            f"{name} takes no rule\n  {asked}\n  Give numbers, or leave it out: then it is counted from the labels."
        )
    if word in WEIGHT_WORDS:
        other = f", or pass --class-weights {word}" if takers else ""
        raise EvaltoolError(
            f"{name} is not computed from label counts\n  {asked}, in the task {counts.decision.task}\n"
            f"  Give numbers{other}."
        )
    return word
