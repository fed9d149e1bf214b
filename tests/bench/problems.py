"""The shapes that are measured, and a problem of each: logits and labels as .npy files and in memory."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from math import log, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20240229


@dataclass(frozen=True)
class Shape:
    """What a sample looks like: its task, its classes C and its positions."""

    name: str
    task: str
    classes: int
    spatial: tuple[int, ...] = ()

    @property
    def sample(self) -> int:
        """Predictions in one sample."""
        return self.classes * prod(self.spatial)

    def rows(self, megabytes: float) -> int:
        """Return how many samples of float32 logits fill so many MB; at least two."""
        return max(2, round(megabytes * 1e6 / (4 * self.sample)))


def multiclass(classes: int) -> Shape:
    """Return the shape of rows of C logits."""
    return Shape(f"N x {classes}", "multiclass", classes)


SHAPES = (
    *(multiclass(classes) for classes in (10, 100, 1000, 32000)),
    Shape("N x 2 x 512 x 512", "segmentation", 2, (512, 512)),
    Shape("N x 21 x 512 x 512", "segmentation", 21, (512, 512)),
    Shape("multilabel N x 80", "multilabel", 80),
)


class Problem:
    """The files preds.npy and labels.npy in a folder, of one shape.

    Args:
        folder: where the files are.
        shape: of the predictions.
        device: where the tensors are put.
        streamed: read each batch from the file, so that memory holds no more than it; else the arrays are in memory.
        share: only the first 1 / share of the samples.
        engine: evaltool's, of ``schema.ENGINES``.
    """

    def __init__(
        self,
        folder: Path,
        shape: Shape,
        *,
        device: str = "cpu",
        streamed: bool = False,
        share: int = 1,
        engine: str = "auto",
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.device = device
        self.streamed = streamed
        self.engine = engine
        self.preds_file, self.labels_file = folder / "preds.npy", folder / "labels.npy"
        self.size = -(-len(np.load(self.preds_file, mmap_mode="r")) // share)

    @property
    def bytes(self) -> int:
        """How large the predictions are."""
        return self.size * self.shape.sample * 4

    @cached_property
    def preds(self) -> Any:
        """All predictions, a float32 tensor [N, C, *S]."""
        return self._tensor(_read(self.preds_file, slice(0, self.size)))

    @cached_property
    def labels(self) -> Any:
        """All labels, as they are stored: int64 [N], or uint8 [N, *S] and [N, C]."""
        return self._tensor(_read(self.labels_file, slice(0, self.size)))

    def batches(self, numbers: int | None) -> Iterator[tuple[Any, Any]]:
        """Yield the samples in batches of about so many predictions; None for all in one."""
        yield from map(self.part, self.parts(numbers))

    def parts(self, numbers: int | None) -> list[slice]:
        """Return the batches' samples."""
        rows = self.size if numbers is None else max(1, numbers // self.shape.sample)
        return [slice(start, min(start + rows, self.size)) for start in range(0, self.size, rows)]

    def part(self, part: slice) -> tuple[Any, Any]:
        """Return predictions and labels of some samples."""
        if self.streamed and part.stop - part.start < self.size:
            return self._tensor(_read(self.preds_file, part)), self._tensor(_read(self.labels_file, part))
        return self.preds[part], self.labels[part]

    def _tensor(self, array: np.ndarray) -> Any:
        import torch  # here: writing a problem does without it

        return torch.from_numpy(array).to(self.device)


def _read(file: Path, part: slice) -> np.ndarray:
    """Return some rows by plain reads: the pages of a memory map would count as the process's memory."""
    rows = np.load(file, mmap_mode="r")
    each = prod(rows.shape[1:])
    count = (part.stop - part.start) * each
    offset = rows.offset + part.start * each * rows.itemsize
    return np.fromfile(file, rows.dtype, count, offset=offset).reshape(-1, *rows.shape[1:])


def write_problem(folder: Path, shape: Shape, rows: int) -> Problem:
    """Write logits and labels of so many samples, and leave them in the page cache.

    Labels have a long tail, as the data that evaltool is for; about four fifths of the predictions are right. In a
    mask they come in squares of 16 x 16; multilabel rows have one class in twenty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    out = np.lib.format.open_memmap(folder / "preds.npy", "w+", np.float32, (rows, shape.classes, *shape.spatial))
    labels = _labels(shape, rows, rng)
    step = max(1, (1 << 22) // shape.sample)
    lift = np.float32(2 * sqrt(2 * log(shape.classes)) + 2)  # the largest of C normals, and some
    for start in range(0, rows, step):
        part = labels[start : start + step]
        logits = 2 * rng.standard_normal((len(part), shape.classes, *shape.spatial), np.float32)
        if shape.task == "multilabel":
            logits += lift * (part.astype(np.float32) - 0.5)
        else:
            index = part.astype(np.int64)[:, None]
            np.put_along_axis(logits, index, np.take_along_axis(logits, index, 1) + lift, 1)
        out[start : start + step] = logits
    del out
    np.save(folder / "labels.npy", labels)
    (folder / "shape.json").write_text(json.dumps(asdict(shape)))
    return Problem(folder, shape)


def open_problem(folder: Path, **options: Any) -> Problem:
    """Return the problem that ``write_problem`` wrote; the options are those of ``Problem``."""
    fields = json.loads((folder / "shape.json").read_text())
    shape = Shape(**{**fields, "spatial": tuple(fields["spatial"])})
    return Problem(folder, shape, **options)


def _labels(shape: Shape, rows: int, rng: np.random.Generator) -> np.ndarray:
    if shape.task == "multilabel":
        return (rng.random((rows, shape.classes)) < 0.05).astype(np.uint8)
    tail = 1 / np.arange(1, shape.classes + 1)
    grid = [-(-size // 16) for size in shape.spatial]
    labels = rng.choice(shape.classes, (rows, *grid), p=tail / tail.sum())
    if not shape.spatial:
        return labels.astype(np.int64)
    for axis, size in enumerate(shape.spatial, start=1):
        labels = labels.repeat(16, axis).take(range(size), axis)
    return labels.astype(np.uint8)
