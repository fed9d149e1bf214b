"""Kernels of segmentations, sigmoids and regression beside the torch engine and a 60-digit oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaltool.kernels.job import KernelJob
from evaltool.kernels.regression import RegressionKernel
from evaltool.kernels.segmentation import SegmentationKernel
from evaltool.kernels.sigmoids import BinaryKernel, ForegroundKernel, MultilabelKernel
from evaltool.numerics.float_bits import octave_sizes
from evaltool.schema import KINDS, OK
from tests import oracle, oracle_losses
from tests.kernels.engines import kernel_loss, torch_scores

KERNELS = {
    "binary": BinaryKernel,
    "multilabel": MultilabelKernel,
    "foreground": ForegroundKernel,
    "segmentation": SegmentationKernel,
}
CLASSES = {"binary": 2, "multilabel": 7, "foreground": 2, "segmentation": 3}
SIGMOID = (
    kernel_loss("bce", "bce"),
    kernel_loss("weighted", "bce", pos_weight=3.0, neg_weight=0.5),
    kernel_loss("focal_2", "binary-focal"),
    kernel_loss("focal_4", "binary-focal", gamma=4.3, alpha=0.25),
    kernel_loss("dice", "dice"),
    kernel_loss("squared", "dice", squared=True, smooth_nr=0.0),
)
LOSSES = {
    "binary": SIGMOID,
    "multilabel": (*SIGMOID, kernel_loss("by_class", "bce", weight=[0.0, 1.0, 2.0, 0.5, 1.0, 1.0, 3.0])),
    "foreground": (*SIGMOID, kernel_loss("ce", "ce", weight=[0.5, 2.0]), kernel_loss("two", "focal")),
    "segmentation": (
        kernel_loss("ce", "ce", weight=[0.5, 1.0, 2.0]),
        kernel_loss("focal_2", "focal"),
        kernel_loss("focal_4", "focal", gamma=[4.3, 0.0, 1.0], alpha=[1.0, 2.0, 0.5]),
        kernel_loss("dice", "dice"),
        kernel_loss("squared", "dice", squared=True, smooth_nr=0.0, classes="all"),
    ),
}
SHAPES = [(1,), (7,), (64,), (65,), (1000,), (9, 8), (3, 5, 7)]


def job_of(task, preds_are="logits", ignore_index=-100, losses=None):
    foreground = task == "foreground"
    return KernelJob(
        "segmentation" if foreground else task,
        preds_are,
        CLASSES[task],
        foreground,
        1e-3,
        ignore_index,
        tuple(LOSSES[task] if losses is None else losses),
    )


def case_of(task, preds_are, dtype, shape, seed, scale=5.0):
    """Return preds and labels with ignored, bad and faulty positions."""
    rng = np.random.default_rng(seed)
    n = 6
    size = {"binary": (130,), "multilabel": (60, 7)}.get(task, (n, *shape))
    full = (n, CLASSES[task], *shape) if task == "segmentation" else size
    x = rng.standard_normal(full) * scale
    labels = rng.integers(0, CLASSES[task] if task == "segmentation" else 2, size)
    labels[rng.random(size) < 0.2] = -100
    if preds_are != "logits":
        if task == "segmentation":
            x = x - x.max(1, keepdims=True)
            x = x - np.log(np.exp(x).sum(1, keepdims=True))
        else:
            x = -np.log1p(np.exp(-x))
        x = np.exp(x) if preds_are == "probs" else x
    x = x.astype(np.float32 if dtype == "bfloat16" else dtype)
    flat = x.reshape(-1)
    for value in (np.nan, np.inf, -np.inf):
        if rng.random() < 0.5:
            flat[rng.integers(len(flat))] = value
    if rng.random() < 0.5:
        labels.reshape(-1)[rng.integers(labels.size)] = 77
    labels[1] = -100
    if dtype == "bfloat16":
        x = (x.view(np.uint32) >> 16).astype(np.uint16)
    return x, labels


def assert_same(job, kernel_class, preds, labels):
    """Compare columns, statuses and counts with the torch engine's."""
    kernel = kernel_class(job)
    status, columns = kernel.score(preds, labels)
    wanted_status, wanted, wanted_counts = torch_scores(job, preds, labels)
    np.testing.assert_array_equal(status, wanted_status)
    assert set(columns) == set(wanted) - {"label"}
    ok = status == OK
    for name, values in columns.items():
        if values.dtype == np.int64:
            np.testing.assert_array_equal(values[ok], wanted[name][ok], err_msg=name)
            assert (values[~ok] == -1).all()
        else:
            # the margin is a difference of probabilities that the engine has rounded; 1e-37 is near the last digits
            near = 2e-6 if name == "margin" else 1e-37
            np.testing.assert_allclose(values[ok], wanted[name][ok], rtol=1e-5, atol=near, err_msg=name)
            assert np.isnan(values[~ok]).all()
    assert_same_counts(kernel.counts(), wanted_counts)


def class_totals(arrays):
    keys, units = arrays["class_loss"]
    return np.bincount(keys // 255, units * octave_sizes()[keys % 255], arrays["class_loss_count"].size)


def assert_same_counts(counts, wanted):
    assert set(counts) == set(wanted)
    for name in ("status", "losses", "loss_count", "class_loss_count", "confusion", "clamped_infinite_failed"):
        np.testing.assert_array_equal(counts[name], wanted[name], err_msg=name)
    for name in wanted:
        assert counts[name].shape == wanted[name].shape or name == "class_loss"
        assert counts[name].dtype == wanted[name].dtype
    np.testing.assert_allclose(counts["loss_max"], wanted["loss_max"], rtol=1e-5)
    np.testing.assert_allclose(class_totals(counts), class_totals(wanted), rtol=1e-5, atol=1e-30)
    for name in ("loss_octaves", "brier"):
        sizes = octave_sizes()
        np.testing.assert_allclose(
            counts[name][..., :255] @ sizes, wanted[name][..., :255] @ sizes, rtol=1e-5, atol=1e-30
        )
    # what is within rounding of a bin's edge may fall on its other side
    for name in ("histogram", "ranking", "label_rank"):
        if name in wanted:
            moved = np.abs(counts[name] - wanted[name]).sum()
            assert moved <= 4 + wanted[name].sum() // 50, name
            assert counts[name].sum() == wanted[name].sum()
    for name in ("calibration_top_label", "calibration_class_wise"):
        if name in wanted:
            np.testing.assert_array_equal(counts[name][..., :2].sum(1), wanted[name][..., :2].sum(1))
            np.testing.assert_allclose(counts[name][..., 2].sum(1), wanted[name][..., 2].sum(1), rtol=1e-5, atol=2000)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    task=st.sampled_from(["foreground", "segmentation"]),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 99),
)
def test_segmentations_equal_the_torch_engine(task, kind, dtype, shape, seed):
    preds, labels = case_of(task, kind, dtype, shape, seed)
    # of a 1-D foreground the engine has a part of the Dice per position, which for two of them it takes for classes
    assert_same(job_of(task, kind), KERNELS[task], preds, labels)


@pytest.mark.parametrize("task", list(KERNELS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_task_and_kind_equals_the_torch_engine(task, kind):
    for seed in range(3):
        preds, labels = case_of(task, kind, "float32", (65,), seed)
        assert_same(job_of(task, kind), KERNELS[task], preds, labels)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("task", list(KERNELS))
def test_every_dtype_equals_the_torch_engine(task, dtype):
    preds, labels = case_of(task, "logits", dtype, (9, 8), 5)
    assert_same(job_of(task), KERNELS[task], preds, labels)


@pytest.mark.parametrize("task", list(KERNELS))
def test_neither_blocks_nor_what_came_before_change_a_bit(task):
    preds, labels = case_of(task, "logits", "float32", (65,), 7)
    job = job_of(task)
    whole = KERNELS[task](job)
    status, columns = whole.score(preds, labels)
    for step in (1, 4):
        parts = KERNELS[task](job)
        scored = [parts.score(preds[i : i + step], labels[i : i + step]) for i in range(0, len(labels), step)]
        np.testing.assert_array_equal(np.concatenate([one for one, _ in scored]), status)
        for name, values in columns.items():
            again = np.concatenate([found[name] for _, found in scored])
            assert again.tobytes() == values.tobytes(), name
        for name, counts in whole.counts().items():
            np.testing.assert_array_equal(parts.counts()[name], counts, err_msg=name)


@pytest.mark.parametrize("task", ["binary", "foreground"])
def test_extreme_logits_match_the_oracle(task):
    x = np.array(oracle.GRID, np.float32).repeat(2)
    labels = np.tile([0, 1], len(x) // 2)
    shape = (-1,) if task == "binary" else (len(x), 1, 1)
    x, labels = x.reshape(shape), labels.reshape(shape)
    focals = [kernel_loss(f"f{i}", "binary-focal", gamma=gamma) for i, gamma in enumerate(oracle.GAMMAS)]
    losses = (kernel_loss("bce", "bce"), kernel_loss("dice", "dice"), *focals)
    job = job_of(task, losses=losses)
    status, columns = KERNELS[task](job).score(x, labels)
    assert (status == OK).all()
    for loss in losses:
        true = oracle_losses.expected(loss.name, x, labels, **(loss.parameters | activation_of(loss)))
        assert oracle.worst_error(columns[loss.column], true) < 1e-5, loss


def activation_of(loss):
    return {"activation": "sigmoid"} if loss.name == "dice" else {}


def test_extreme_softmaxes_match_the_oracle():
    rng = np.random.default_rng(3)
    x = rng.choice(np.array(oracle.GRID, np.float32), (150, 3, 2))
    labels = rng.integers(0, 3, (150, 2))
    losses = LOSSES["segmentation"]
    status, columns = SegmentationKernel(job_of("segmentation")).score(x, labels)
    assert (status == OK).all()
    for loss in losses:
        true = oracle_losses.expected(loss.name, x, labels, **loss.parameters)
        assert oracle.worst_error(columns[loss.column], true) < 1e-5, loss


def test_dice_of_a_large_float16_mask_is_exact_to_1e_5():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((1, 512, 512)) * 4).astype(np.float16)
    labels = (rng.random(x.shape) < 0.3).astype(np.int64)
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    true = 1 - (2 * (p * labels).sum() + 1) / (p.sum() + labels.sum() + 1)
    job = job_of("foreground", losses=[kernel_loss("dice", "dice")])
    _, columns = ForegroundKernel(job).score(x, labels)
    assert columns["dice"][0] == pytest.approx(true, rel=1e-6)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_regression_equals_the_torch_engine(shape, dtype):
    rng = np.random.default_rng(0)
    preds, labels = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape)
    preds[1], labels[2] = np.nan, np.inf
    job = KernelJob("regression", "logits", 0, False, 1e-3, -100, (kernel_loss("l1", "l1"), kernel_loss("mse", "mse")))
    kernel = RegressionKernel(job)
    status, columns = kernel.score(preds, labels)
    wanted_status, wanted, counts = torch_scores(job, preds, labels)
    np.testing.assert_array_equal(status, wanted_status)
    assert status.tolist() == [0, 2, 3, 0, 0]
    for name, values in columns.items():
        np.testing.assert_allclose(values[status == OK], wanted[name][status == OK], rtol=1e-5)
    for name in ("status", "loss_count", "clamped_infinite_failed"):
        np.testing.assert_array_equal(kernel.counts()[name], counts[name])
    assert set(kernel.counts()) == set(counts)


def test_what_no_kernel_does_is_named():
    smoothed = job_of("segmentation", losses=[kernel_loss("ce", "ce", label_smoothing=0.1)])
    assert SegmentationKernel.refusal(smoothed) == "label_smoothing (column ce) has no kernel"
    other = job_of("binary", losses=[kernel_loss("t", "tversky")])
    assert BinaryKernel.refusal(other) == "the loss tversky (column t) has no kernel in binary"
    assert all(KERNELS[task].refusal(job_of(task)) is None for task in KERNELS)
