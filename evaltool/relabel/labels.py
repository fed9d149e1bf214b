"""The labels of a run, read and changed in the form they were given in: their dtype, shape and byte order stay."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.run.inputs import source_of
from evaltool.run.reader import Run
from evaltool.schema import is_softmax

Array = np.ndarray[Any, Any]
SMALL = 1 << 20  # bytes: read whole; an array of nothing cannot be mapped
PRESENCE = ("absent", "present")
PRESENT_WORDS = {"absent": 0, "present": 1, "0": 0, "1": 1, "no": 0, "yes": 1, "false": 0, "true": 1}


class Labels:
    """Labels by sample (and class), as class indices.

    Args:
        run: the run they were scored in.
        given: path or array in place of the recorded path; the same digest (a file) and shape are expected.

    Raises:
        EvaltoolError: they cannot be found, are others than those that were scored, or have no classes.
    """

    def __init__(self, run: Run, given: Any = None) -> None:
        record = next(record for record in run.manifest["inputs"] if record["role"] == "labels")
        if run.task == "regression":
            raise EvaltoolError(
                f"there are no classes to relabel\n  {run.name}: task regression\n  Change the numbers yourself."
            )
        source = source_of(run, record, given)
        self.path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        self.array = _mapped(self.path) if self.path is not None else _as_numpy(source)
        if list(self.array.shape) != record["shape"] or self.array.dtype.kind not in "buif":
            raise EvaltoolError(
                f"the labels are not those that were scored\n  {self.path or 'labels'}: shape {list(self.array.shape)} "
                f"of {self.array.dtype}, expected {record['shape']} of {record['dtype']}\n"
                "  Give the labels of this run."
            )
        decisions = run.manifest["decisions"]
        self.task = run.task
        self.names = run.class_names
        self.by_class = decisions["one_hot"] or decisions["soft_labels"]  # an axis of classes, one of which is right
        self.foreground = decisions["foreground"]
        self.softmax = is_softmax(self.task, self.foreground)
        self.ignore_index = run.manifest["arguments"]["ignore_index"]

        if self.task == "segmentation":
            self._check_plane(run)

    def _check_plane(self, run: Run) -> None:
        axes = self.array.shape[2 if self.by_class else 1 :]
        if len(axes) != 2 and not (len(axes) == 3 and axes[0] == 1):
            raise EvaltoolError(
                f"only masks of two dimensions can be relabelled\n  {run.name}: labels {list(self.array.shape)}, "
                "expected [N, H, W]\n  Change these labels yourself."
            )

    @property
    def of_sample(self) -> tuple[str, ...]:
        """The names of what a label can be."""
        return PRESENCE if self.task == "multilabel" else tuple(self.names)

    def number(self, text: str) -> int | None:
        """Return the label that a text names: a class's name, else its index; None for none."""
        if self.task == "multilabel":
            return PRESENT_WORDS.get(text.strip().lower().removesuffix(".0"))
        return self.class_number(text)

    def class_number(self, text: str) -> int | None:
        """Return the class that a text names, by name or else by index; None for none.

        Where classes are called by the indices of others, no text is an index: names 1, 2 and 3 have no class 0.
        """
        if text in self.names:
            return self.names.index(text)
        if text.strip() in self.names:
            return self.names.index(text.strip())
        number = None if self.numbers_are_names else _number(text)
        return number if number is not None and number < len(self.names) else None

    @property
    def numbers_are_names(self) -> bool:
        """Whether a class is called by the index of another, so that a number can only be a name."""
        numbers = [_number(name) for name in self.names]
        return any(number is not None and number != k and number < len(numbers) for k, number in enumerate(numbers))

    def name(self, label: int | None) -> str:
        """Return what a label is called; a number that is no class as it is."""
        if label is None:
            return ""
        return self.of_sample[label] if 0 <= label < len(self.of_sample) else str(label)

    def label(self, index: int, class_: int | None) -> int:
        """Return the label of a sample (multilabel: of its class): a class index, or a number that is none."""
        row = np.asarray(self.array[index])
        if self.task == "multilabel":
            value = row.reshape(-1)[class_]
            return self.ignore_index if value == self.ignore_index else int(value > 0.5)
        if self.by_class:
            return int(row.argmax())
        value = row.reshape(())
        if not np.isfinite(value):
            return -1
        return int(value > 0.5) if self.task == "binary" and value != self.ignore_index else int(value)

    def mask(self, index: int) -> tuple[Array, Array]:
        """Return the mask of a sample, int64 [H, W], and where it is not ignored, bool [H, W]."""
        row = np.asarray(self.array[index])
        if self.by_class:
            return row.argmax(0).astype(np.int64), np.ones(row.shape[1:], bool)
        row = row.reshape(row.shape[-2:])
        valid = (row != self.ignore_index) & np.isfinite(row)
        mask = (row > 0.5) if self.foreground else np.where(valid, row, 0)
        return mask.astype(np.int64), valid

    def check_holds(self, label: int, where: str) -> None:
        """Raise EvaltoolError if the labels' dtype cannot hold a class."""
        kind = self.array.dtype
        if self.task == "multilabel" or self.by_class or kind.kind not in "ui" or label <= np.iinfo(kind).max:
            return
        raise EvaltoolError(
            f"the labels cannot hold a class\n  {where}: class {label} in {kind}, which ends at {np.iinfo(kind).max}\n"
            "  Save the labels as int64, and score them again."
        )

    def write(
        self, path: Path, labels: Iterable[tuple[int, int | None, int]], masks: Iterable[tuple[int, Array]]
    ) -> None:
        """Write a copy with some labels changed.

        Args:
            path: where to.
            labels: (index, class of multilabel, new label).
            masks: (index, int64 [H, W]); where the label is ignored it stays so.
        """
        if self.path is not None:
            shutil.copyfile(self.path, path)
        else:
            with path.open("wb") as file:  # by handle: by name np.save would add .npy
                np.save(file, self.array)
        fixed = np.load(path, mmap_mode="r+")
        for index, class_, label in labels:
            if self.task == "multilabel":
                fixed[index, class_] = label
            elif self.by_class:
                fixed[index] = 0
                fixed[index, label] = 1
            else:
                fixed[index] = label
        for index, mask in masks:
            _, valid = self.mask(index)
            if self.by_class:
                fixed[index] = np.arange(len(fixed[index]))[:, None, None] == mask
            else:
                fixed[index] = np.where(valid, mask, fixed[index].reshape(mask.shape)).reshape(fixed[index].shape)
        fixed.flush()


def _number(text: str) -> int | None:
    digits = text.strip().removesuffix(".0")  # as tables with gaps write integers
    return int(digits) if digits.isdecimal() and len(digits) < 19 else None


def _mapped(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode=None if path.stat().st_size < SMALL else "r")
    return array


def _as_numpy(source: Any) -> Array:
    return source if isinstance(source, np.ndarray) else np.asarray(source.cpu() if hasattr(source, "cpu") else source)
