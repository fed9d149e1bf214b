"""What the tests of examples/cpp share: arrays, the losses that Python computes of them, and the printed table."""

import numpy as np
import torch

from evaltool.losses import BinaryCrossEntropyLoss, DiceLoss, FocalLoss

TOLERANCE = 1e-6  # absolute up to 1, relative beyond
METADATA = {
    "format": 1,
    "name": "focal",
    "kind": "loss",
    "formula": 'alpha_t (1 - p_t)^gamma (-log p_t), "quoted"',
    "parameters": {"gamma": 2.0, "alpha": [1.0, 0.5]},
    "ignore_index": -100,
}
TOLD = [
    "  name: focal",
    '  formula: alpha_t (1 - p_t)^gamma (-log p_t), "quoted"',
    '  parameters: {"gamma": 2.0, "alpha": [1.0, 0.5]}',
    "  ignore_index: -100",
]
MORE = ["  format: 1", "  kind: loss"]


def columns(done):
    """Return the printed names, and the losses [models, N]; the indices must count from 0."""
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    rows = np.array([line.split("\t") for line in lines]).reshape(len(lines), -1)
    assert rows[:, 0].tolist() == [str(i) for i in range(len(lines))]
    return head.split("\t")[1:], rows[:, 1:].astype(np.float64).T


def numbers(dtype, *shape):
    return np.random.default_rng(20240229).normal(0, 5, shape).astype(dtype)


def classes(dtype, count, *shape):
    return np.random.default_rng(20240301).integers(0, count, shape).astype(dtype)


# 7,000 samples of 10 classes are two blocks, one of them short
CASES = {
    "multiclass": ("focal dice", numbers("f4", 7000, 10), classes("i8", 10, 7000)),
    "half precision, uint8 labels": ("focal dice", numbers("f2", 50, 256), classes("u1", 256, 50)),
    "double precision, int16 labels": ("focal", numbers("f8", 50, 10), classes("i2", 10, 50)),
    "segmentation, int32 labels": ("focal dice", numbers("f4", 9, 4, 65, 63), classes("i4", 4, 9, 65, 63)),
    "uint64 labels": ("focal", numbers("f4", 50, 10), classes("u8", 10, 50)),
    "labels as floats": ("focal", numbers("f4", 50, 10), classes("f4", 10, 50)),
    "binary, bool labels": ("bce", numbers("f4", 300), classes("?", 2, 300)),
    "binary [N, 1], int8 labels": ("bce", numbers("f4", 300, 1), classes("i1", 2, 300)),
    "multilabel, soft labels": ("bce", numbers("f4", 300, 5), classes("f8", 2, 300, 5) / 2),
    "one sample a block": ("dice", numbers("f4", 2, 3, 300, 300), classes("i8", 3, 2, 300, 300)),
}
MODULES = {"focal": FocalLoss(), "dice": DiceLoss(), "bce": BinaryCrossEntropyLoss()}


def expected(names, preds, labels):
    """Return what Python computes, [models, N]."""
    labels = labels.astype(np.int64) if labels.dtype.kind == "u" else labels  # PyTorch has few operators for these
    tensors = torch.from_numpy(preds), torch.from_numpy(labels)
    return [MODULES[name](*tensors).numpy() for name in names]
