"""What a decision changes in a mask: a region and the classes in it."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.relabel.decisions import Array, Decision
from evaltool.relabel.labels import Labels
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run

Patch = tuple[Array, Array]  # bool [H, W] where, int64 [H, W] which classes


class Patches:
    """Makes the patches of decisions; predictions are opened when a decision takes the model's mask.

    Args:
        run: a segmentation run.
        labels: its labels.
        preds: path or array in place of the recorded predictions.
    """

    def __init__(self, run: Run, labels: Labels, preds: Any = None) -> None:
        self.labels = labels
        self._run, self._preds = run, preds
        self._inputs: Inputs | None = None

    def patch(self, decision: Decision, index: int, class_: int | None) -> Patch:
        """Return what a decision changes.

        What is painted gets its class, the later stroke over the earlier; what is not painted keeps its label, but with
        one foreground class becomes background.  Accepting takes the prediction; of one class, where the label or the
        prediction is that class.

        Raises:
            EvaltoolError: a class is not in the list, a mask is broken or has another size.
        """
        if decision.strokes or decision.blank:
            return self._painted(decision, index)
        pred = self._prediction(index)
        old, _ = self.labels.mask(index)
        where = np.ones(old.shape, bool) if class_ is None else (old == class_) | (pred == class_)
        return where, pred

    def new_mask(self, decision: Decision, index: int, class_: int | None, mask: Array) -> Array:
        """Return a mask with a decision's patch on it."""
        where, classes = self.patch(decision, index, class_)
        new = np.where(where, classes, mask)
        self.labels.check_holds(int(new.max(initial=0)), decision.where)
        return new

    def digest(self, decision: Decision, index: int, class_: int | None) -> str:
        """Return what is equal for decisions that lead to the same mask; "" where the label stays."""
        old, valid = self.labels.mask(index)
        new = np.where(valid, self.new_mask(decision, index, class_, old), old)
        return "" if np.array_equal(new, old) else hashlib.sha256(new.tobytes()).hexdigest()

    def digest_of_class(self, decision: Decision | None, index: int, class_: int | None, about: int) -> str:
        """Return what is equal for decisions that make the same of one class of a mask; None keeps the mask."""
        old, valid = self.labels.mask(index)
        new = old if decision is None else self.new_mask(decision, index, class_, old)
        concerned = valid & ((old == about) | (new == about))
        return hashlib.sha256(np.where(concerned, new, -1).tobytes()).hexdigest()

    def _painted(self, decision: Decision, index: int) -> Patch:
        shape = self.labels.mask(index)[0].shape
        where = np.full(shape, self.labels.foreground)
        classes = np.zeros(shape, np.int64)
        for stroke in decision.strokes:
            label = self.labels.class_number(stroke.label)
            if label is None:
                raise unknown_class(decision, stroke.label, self.labels, self.labels.names)
            mask = _decoded(decision, stroke.mask)
            if mask.shape != shape:
                raise EvaltoolError(
                    f"a mask has another size than its label\n  {decision.where}: {list(mask.shape)}, expected "
                    f"{list(shape)} = [H, W]\n  Paint on the pictures that were segmented."
                )
            where |= mask
            classes[mask] = label
        return where, classes

    def _prediction(self, index: int) -> Array:
        if self._inputs is None:
            given = None if self.labels.path is not None and self._recorded() else self.labels.array
            self._inputs = Inputs(self._run, preds=self._preds, labels=self.labels.path if given is None else given)
        block = self._inputs.rows(np.array([index]))
        pred = block.odds.argmax(1) if self._inputs.softmax else block.odds > 0
        return np.asarray(pred.reshape(pred.shape[-2:]), np.int64)

    def _recorded(self) -> bool:
        record = next(record for record in self._run.manifest["inputs"] if record["role"] == "labels")
        return record["path"] is not None


def unknown_class(decision: Decision, text: str, labels: Labels, names: Sequence[str]) -> EvaltoolError:
    """Return the error for a text that is none of these names."""
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    mend = "Mend the decision, or score with --class-names."
    if labels.numbers_are_names and text.strip().isdecimal():
        mend = "The classes are called by numbers that are not their indices: write the name of the class."
    return EvaltoolError(f"a class is not in the list\n  {decision.where}: {text!r}, expected one of {shown}\n  {mend}")


def _decoded(decision: Decision, decode: Callable[[], Array]) -> Array:
    try:
        return decode()
    except (ValueError, TypeError) as error:
        raise EvaltoolError(f"a mask is broken\n  {decision.where}: {error}\n  Export it again.") from None
