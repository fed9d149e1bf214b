"""Kernels launched on tensors: what they read, what they write, and how much of it a program takes.

Sizes are fixed by the number of classes: a row's bits do not depend on how many rows there are, and nothing is tuned at
run time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import triton
from torch import Tensor

from evaltool.triton_kernels import maps
from evaltool.triton_kernels.odds import FOCAL
from evaltool.triton_kernels.rows import LOSSES, PARTS, finish_wide_rows, reduce_wide_rows, score_narrow_rows
from evaltool.triton_kernels.task import KernelTask

NARROW = 32  # classes up to which a lane takes a row for itself
TILE = 2048  # columns at most
LANES = 128  # rows or positions of a program that takes one a lane
POSITIONS = 512  # of a sample that a program takes
MOST_NUMBERS = 1 << 31
FLOATS = ("p_label", "p_pred", "margin", "entropy")


@dataclass(frozen=True)
class Columns:
    """What kernels have written: columns by name, [N] each, int32 or float32, rows of one buffer."""

    buffer: Tensor  # float32 [K, N]
    places: dict[str, tuple[int, torch.dtype]]

    def of(self, buffer: Tensor) -> dict[str, Tensor]:
        """Return the columns of the buffer, or of a copy of it."""
        return {name: buffer[i].view(dtype) for name, (i, dtype) in self.places.items()}


def _places(whole: Sequence[str], floats: Sequence[str]) -> dict[str, tuple[int, torch.dtype]]:
    dtypes = [torch.int32] * len(whole) + [torch.float32] * len(floats)
    return {name: (i, dtype) for i, (name, dtype) in enumerate(zip((*whole, *floats), dtypes, strict=True))}


def row_columns(preds: Tensor, labels: Tensor, task: KernelTask) -> Columns:
    """Return status, pred, p_label, p_pred, margin, entropy and the losses of rows.

    Args:
        preds: float16, bfloat16 or float32 [N, C], of sigmoids [N]; contiguous.
        labels: int64 [N], contiguous.
        task: what is asked for.
    """
    n, num_classes = len(preds), 2 if task.sigmoid else preds.size(1)
    columns = Columns(
        torch.empty([LOSSES.value + task.count, n], dtype=torch.float32, device=preds.device),
        _places(("status", "pred"), (*FLOATS, *task.losses.columns)),
    )
    if columns.buffer.numel() >= MOST_NUMBERS:
        raise ValueError(f"{n} rows, expected fewer than {MOST_NUMBERS // len(columns.buffer)} at once")
    if not n:
        return columns
    asked = (task.kind, task.losses.codes, task.count)
    given = (*task.table, n, num_classes, task.ignore_index, task.tolerance, *asked)
    programs = (triton.cdiv(n, LANES),)
    if num_classes <= NARROW:
        score_narrow_rows[programs](
            preds, labels, columns.buffer, *given, task.sigmoid, LANES, num_warps=4, enable_fp_fusion=True
        )
        return columns
    width = min(triton.next_power_of_2(num_classes), TILE)
    rows = max(1, TILE // 2 // width)
    aligned = math.gcd(num_classes, 16)
    parts = torch.empty([PARTS.value, n], dtype=torch.float32, device=preds.device)
    reduce_wide_rows[(triton.cdiv(n, rows),)](
        *(preds, parts, n, num_classes // aligned, task.kind, rows, width, aligned),
        num_warps=4 if width > TILE // 2 else 1,
        enable_fp_fusion=True,
    )
    finish_wide_rows[programs](preds, labels, parts, columns.buffer, *given, LANES, num_warps=4, enable_fp_fusion=True)
    return columns


@dataclass(frozen=True)
class Maps:
    """What kernels say of the positions of samples, beside their columns.

    Attributes:
        columns: of the samples.
        pred: int32 [N, P], the predictions.
        losses: by column, float32 [N, P], of the losses that have a value by position; 0 where ignored.
        parts: by column, float32 [N, C], of the others: the classes' parts, which sum to the sample's value.
    """

    columns: Columns
    pred: Tensor
    losses: dict[str, Tensor]
    parts: dict[str, Tensor]


def map_columns(preds: Tensor, labels: Tensor, task: KernelTask) -> Maps:
    """Return the columns of samples of positions.

    Args:
        preds: float16, bfloat16 or float32 [N, C, P], of one foreground class [N, P]; contiguous.
        labels: int64 [N, P], contiguous; P is at least 1.
        task: what is asked for.
    """
    n, positions = labels.shape
    num_classes = 2 if task.sigmoid else preds.size(1)
    tiles = triton.cdiv(positions, POSITIONS)
    new = partial(torch.empty, dtype=torch.float32, device=preds.device)
    width = maps.LOSSES.value + task.count
    buffer, losses, parts = (
        new([maps.OUT_LOSSES.value + task.count, n]),
        new([task.count, n, positions]),
        new([task.count, n, num_classes]),
    )
    pred = torch.empty([n, positions], dtype=torch.int32, device=preds.device)
    tile_sums, class_sums = new([n, tiles, width]), new([n, tiles, num_classes * maps.CLASS_SUMS.value])
    codes = [(task.losses.codes >> (4 * i)) & 15 for i in range(task.count)]
    by_position = [code <= FOCAL.value for code in codes]
    regions = not all(by_position)
    if n:
        maps.score_positions[(n * tiles,)](
            *(preds, labels, losses, pred, tile_sums, class_sums, *task.table, n, tiles, positions, num_classes),
            *(task.ignore_index, task.tolerance, task.kind, task.losses.codes, task.count, task.sigmoid, regions),
            POSITIONS,
            num_warps=4,
            enable_fp_fusion=True,
        )
        sums, sums_of_classes = _added(tile_sums), _added(class_sums)
        everywhere = sum(1 << i for i, of_all in enumerate(task.losses.everywhere) if of_all)
        maps.finish_samples[(n,)](
            *(sums, sums_of_classes, buffer, parts, *task.table, n, num_classes, task.losses.codes, everywhere),
            *(task.count, task.sigmoid, min(triton.next_power_of_2(num_classes), LANES)),
            num_warps=1,
            enable_fp_fusion=True,
        )
    names = task.losses.columns
    columns = Columns(
        buffer, _places(("status", "n_valid", "worst_class", "clamped"), ("accuracy", "iou", *FLOATS, *names))
    )
    return Maps(
        columns,
        pred,
        {name: losses[i] for i, name in enumerate(names) if by_position[i]},
        {name: parts[i] for i, name in enumerate(names) if not by_position[i]},
    )


def _added(tile_sums: Tensor) -> Tensor:
    """Return the sums over tiles, float64 [N, K], of [N, tiles, K]."""
    n, tiles, width = tile_sums.shape
    sums = torch.empty([n, width], dtype=torch.float64, device=tile_sums.device)
    columns = min(triton.next_power_of_2(width), 64)
    maps.add_tiles[(n, triton.cdiv(width, columns))](
        tile_sums, sums, tiles, width, 16, columns, num_warps=4, enable_fp_fusion=True
    )
    return sums
