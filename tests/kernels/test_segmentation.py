"""The kernel of segmentations beside the torch engine, the oracle, and itself in other blocks."""

import numpy as np
import pytest

from evaltool.kernels.job import KernelJob
from evaltool.kernels.segmentation import SegmentationKernel
from evaltool.schema import BAD_LABEL, BAD_PREDS, IGNORED, NONFINITE, OK
from tests.kernels.engines import kernel_loss, torch_scores
from tests.oracle import GRID, worst_error
from tests.oracle_losses import expected

DEFAULTS = (kernel_loss("ce", "ce"), kernel_loss("focal", "focal"), kernel_loss("dice", "dice"))
MEANS = ("p_label", "p_pred", "margin", "entropy")
# sums of rounded values and of units of 2^-28: one unit per case, or the last digits of a float32, may differ
ROUNDED = ("loss_octaves", "brier", "class_loss", "loss_max")
SHAPES = [(1,), (7,), (8, 8), (5, 13), (10, 10, 10)]


def job_of(classes, losses=DEFAULTS, preds_are="logits"):
    return KernelJob("segmentation", preds_are, classes, False, 1e-3, -100, tuple(losses))


def blobs(rng, n, classes, shape, *, sharp=2.0):
    """Return float32 logits that are mostly right, and labels of which some are ignored."""
    labels = rng.integers(0, classes, (n, *shape))
    logits = rng.normal(size=(n, classes, *shape)) * sharp
    index = labels[:, None]
    np.put_along_axis(logits, index, np.take_along_axis(logits, index, 1) + sharp, 1)
    labels[rng.random(labels.shape) < 0.1] = -100
    return logits.astype(np.float32), labels


def as_kind(logits, preds_are):
    """Return logits as another kind, float32."""
    if preds_are == "logits":
        return logits
    wide = logits.astype(np.float64)
    wide = wide - wide.max(1, keepdims=True)
    logs = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    return (logs if preds_are == "log-probs" else np.exp(logs)).astype(np.float32)


def as_dtype(logits, dtype):
    """Return logits in a dtype of files; bfloat16 as its bits."""
    if dtype == "bfloat16":
        return (logits.view(np.uint32) >> 16).astype(np.uint16)
    return logits.astype(dtype)


def same_columns(columns, theirs, ok, tolerance=1e-5):
    for name, values in columns.items():
        wanted = theirs[name][ok]
        if values.dtype == np.int64:
            np.testing.assert_array_equal(values[ok], wanted, err_msg=name)
        else:
            assert values.dtype == np.float32
            # a margin is a mean of both signs: its digits end at those of its terms
            near = 1e-6 if name == "margin" else 0.0
            np.testing.assert_allclose(values[ok], wanted, tolerance, near, err_msg=name)


def same_counts(counts, theirs):
    assert counts.keys() == theirs.keys()
    for name, wanted in theirs.items():
        got = counts[name]
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype) or name == "class_loss", name
        if name == "class_loss":
            np.testing.assert_allclose(*(_by_class(pairs, theirs) for pairs in (got, wanted)), 1e-5, err_msg=name)
        elif name in ("loss_octaves", "brier"):
            np.testing.assert_allclose(_total(got), _total(wanted), 1e-5, err_msg=name)
        elif name == "ranking":
            # log-odds within rounding of an edge may fall on its other side
            moved = np.abs((got - wanted).cumsum(2)).max()
            assert moved <= 1 + wanted.sum(2).max() * 1e-3
            np.testing.assert_array_equal(got.sum(2), wanted.sum(2))
        elif name == "loss_max":
            np.testing.assert_allclose(got, wanted, 1e-5)
        elif name.startswith("calibration"):
            np.testing.assert_array_equal(got[..., :2], wanted[..., :2], err_msg=name)
            # probabilities are rounded to float32 before they are rounded to units of 2^-28
            assert (abs(got[..., 2] - wanted[..., 2]) <= 64 * wanted[..., 0]).all(), name
        elif name != "losses":
            np.testing.assert_array_equal(got, wanted, err_msg=name)


def _by_class(pairs, counts):
    """Return the sums of the losses by class, float64 [L * C]."""
    keys, units = pairs
    sums = np.zeros(counts["class_loss_count"].size)
    np.add.at(sums, keys // 255, np.ldexp(units.astype(np.float64), np.maximum(keys % 255, 1) - 150))
    return sums


def _total(octaves):
    return np.ldexp(octaves[..., :255].astype(np.float64), np.maximum(np.arange(255), 1) - 150).sum(-1)


def softmax(preds):
    wide = preds.astype(np.float64)
    weights = np.exp(wide - wide.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("preds_are", ["logits", "probs", "log-probs"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_torch_engine(shape, preds_are):
    rng = np.random.default_rng(len(shape))
    for classes in (2, 5, 21):
        logits, labels = blobs(rng, 4, classes, shape)
        preds = as_kind(logits, preds_are)
        job = job_of(classes, preds_are=preds_are)
        kernel = SegmentationKernel(job)
        status, columns = kernel.score(preds, labels)
        their_status, their_columns, their_counts = torch_scores(job, preds, labels)
        np.testing.assert_array_equal(status, their_status)
        same_columns(columns, their_columns, status == OK)
        same_counts(kernel.counts(), their_counts)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_reads_every_dtype_as_the_torch_engine_does(dtype):
    rng = np.random.default_rng(3)
    logits, labels = blobs(rng, 3, 4, (9, 20))
    preds = as_dtype(logits, dtype)
    job = job_of(4)
    kernel = SegmentationKernel(job)
    status, columns = kernel.score(preds, labels)
    their_status, their_columns, their_counts = torch_scores(job, preds, labels)
    np.testing.assert_array_equal(status, their_status)
    same_columns(columns, their_columns, status == OK)
    same_counts(kernel.counts(), their_counts)


def test_losses_take_every_parameter():
    rng = np.random.default_rng(4)
    logits, labels = blobs(rng, 5, 3, (70,))
    labels[labels == 2] = 0  # class 2 is in no label
    losses = (
        kernel_loss("weighted", "ce", weight=[0.5, 2.0, 0.0]),
        kernel_loss("sharp", "focal", gamma=0.5, alpha=0.25),
        kernel_loss("by_class", "focal", gamma=[0.0, 1.0, 5.0], alpha=[1.0, 2.0, 3.0]),
        kernel_loss("plain", "dice", smooth_nr=0.0, smooth_dr=0.0),
        kernel_loss("all", "dice", smooth_nr=2.0, classes="all"),
        kernel_loss("squared", "dice", squared=True),
        kernel_loss("squared_all", "dice", squared=True, classes="all", smooth_nr=0.0, smooth_dr=1e-5),
    )
    job = job_of(3, losses)
    kernel = SegmentationKernel(job)
    status, columns = kernel.score(logits, labels)
    their_status, their_columns, their_counts = torch_scores(job, logits, labels)
    np.testing.assert_array_equal(status, their_status)
    same_columns(columns, their_columns, status == OK)
    same_counts(kernel.counts(), their_counts)
    for loss in losses:
        given = {name: value for name, value in loss.parameters.items() if value is not None}
        true = expected(loss.name, logits, labels, **given)
        assert worst_error(columns[loss.column], true) < 1e-6, loss.column


@pytest.mark.parametrize("gamma", [0.0, 0.1, 2.0, 5.0])
def test_extreme_logits_keep_their_digits(gamma):
    rng = np.random.default_rng(5)
    logits = rng.choice(np.array(GRID, np.float32), (60, 3, 2))
    labels = rng.integers(0, 3, (60, 2))
    squared = kernel_loss("squared", "dice", squared=True, smooth_nr=0.0, smooth_dr=0.0)
    losses = (*DEFAULTS, squared, kernel_loss("other", "focal", gamma=gamma))
    status, columns = SegmentationKernel(job_of(3, losses), count=False).score(logits, labels)
    assert (status == OK).all()
    for loss in losses:
        given = {name: value for name, value in loss.parameters.items() if value is not None}
        assert worst_error(columns[loss.column], expected(loss.name, logits, labels, **given)) < 1e-5, loss.column


def test_columns_follow_from_their_definitions():
    rng = np.random.default_rng(6)
    logits, labels = blobs(rng, 6, 4, (11, 9))
    _, columns = SegmentationKernel(job_of(4)).score(logits, labels)
    probs, pred = softmax(logits), logits.argmax(1)
    for i, label in enumerate(labels):
        valid = label != -100
        p, t, top = probs[i][:, valid], label[valid], pred[i][valid]
        own = p[t, np.arange(len(t))]
        others = p.copy()
        others[t, np.arange(len(t))] = 0
        ious = [((t == c) & (top == c)).sum() / ((t == c) | (top == c)).sum() for c in np.unique(t)]
        true = {
            "n_valid": valid.sum(),
            "accuracy": (t == top).mean(),
            "iou": np.mean(ious),
            "worst_class": np.unique(t)[np.argmin(ious)],
            "p_label": own.mean(),
            "p_pred": p.max(0).mean(),
            "margin": (own - others.max(0)).mean(),
            "entropy": -(p * np.log(p)).sum(0).mean(),
        }
        for name, value in true.items():
            np.testing.assert_allclose(columns[name][i], value, 2e-6, err_msg=name)


def test_status_names_the_first_fault_of_any_valid_position():
    rng = np.random.default_rng(7)
    logits, labels = blobs(rng, 10, 3, (130,), sharp=1.0)
    labels[:] = np.abs(labels) % 3
    labels[1] = -100
    logits[2, 1, 129] = np.nan
    logits[3, :, 64] = -np.inf  # no class is left
    labels[4, 129] = 3
    labels[5, 0], logits[5, 2, 100] = -1, np.inf  # of two faults nonfinite is told
    logits[6, :, 70], labels[6, 70] = np.nan, -100  # an ignored position counts for nothing
    labels[7, 1] = -(2**62)
    logits[8, 0, 5] = -np.inf  # a masked class
    labels[8, 5] = 1
    job = job_of(3)
    kernel = SegmentationKernel(job)
    status, columns = kernel.score(logits, labels)
    wanted = [OK, IGNORED, NONFINITE, NONFINITE, BAD_LABEL, NONFINITE, OK, BAD_LABEL, OK, OK]
    assert status.tolist() == wanted
    their_status, their_columns, their_counts = torch_scores(job, logits, labels)
    assert their_status.tolist() == wanted
    same_columns(columns, their_columns, status == OK)
    same_counts(kernel.counts(), their_counts)


def test_probabilities_that_do_not_sum_to_1_are_bad():
    rng = np.random.default_rng(8)
    logits, labels = blobs(rng, 5, 3, (90,))
    preds = as_kind(logits, "probs")
    labels[:] = np.abs(labels) % 3
    preds[1, :, 89] *= 1.01
    preds[2, 0, 70] = -0.1
    preds[3, :, 3], labels[3, 3] = (0.0, 1.0, 0.0), 0  # the label's probability counts as the smallest normal number
    job = job_of(3, preds_are="probs")
    kernel = SegmentationKernel(job)
    status, columns = kernel.score(preds, labels)
    assert status.tolist() == [OK, BAD_PREDS, BAD_PREDS, OK, OK]
    _, their_columns, their_counts = torch_scores(job, preds, labels)
    same_columns(columns, their_columns, status == OK)
    counts = kernel.counts()
    same_counts(counts, their_counts)
    assert counts["clamped_infinite_failed"].tolist() == [1, 0, 0]


def test_infinite_losses_are_counted_apart():
    rng = np.random.default_rng(9)
    logits, labels = blobs(rng, 2, 3, (66,))
    logits[0, 1, 65], labels[0, 65] = -np.inf, 1
    job = job_of(3)
    kernel = SegmentationKernel(job)
    _, columns = kernel.score(logits, labels)
    _, their_columns, their_counts = torch_scores(job, logits, labels)
    assert columns["ce"][0] == np.inf
    same_columns(columns, their_columns, slice(None))
    same_counts(kernel.counts(), their_counts)


def test_a_sample_that_cannot_be_scored_leaves_no_counts():
    rng = np.random.default_rng(10)
    logits, labels = blobs(rng, 6, 4, (40, 25))
    spoilt = labels.copy()
    spoilt[[0, 3], -1, -1] = 4
    kernel, alone = SegmentationKernel(job_of(4)), SegmentationKernel(job_of(4))
    status, _ = kernel.score(logits, spoilt)
    assert status.tolist() == [BAD_LABEL, OK, OK, BAD_LABEL, OK, OK]
    alone.score(logits[[1, 2, 4, 5]], labels[[1, 2, 4, 5]])
    counts, wanted = kernel.counts(), alone.counts()
    counts["status"][BAD_LABEL] = 0
    for name, values in wanted.items():
        np.testing.assert_array_equal(counts[name], values, err_msg=name)


def test_a_sample_is_the_same_bits_in_every_block():
    rng = np.random.default_rng(11)
    logits, labels = blobs(rng, 9, 5, (7, 31))
    labels[4, 0, 0] = 77
    whole, parts = SegmentationKernel(job_of(5)), SegmentationKernel(job_of(5))
    status, columns = whole.score(logits, labels)
    pieces = [parts.score(logits[at], labels[at]) for at in (slice(0, 1), slice(1, 6), slice(6, 9))]
    np.testing.assert_array_equal(np.concatenate([piece[0] for piece in pieces]), status)
    for name, values in columns.items():
        np.testing.assert_array_equal(np.concatenate([piece[1][name] for piece in pieces]), values, err_msg=name)
    for name, values in whole.counts().items():
        np.testing.assert_array_equal(parts.counts()[name], values, err_msg=name)
    alone = SegmentationKernel(job_of(5), count=False).score(logits[3:4], labels[3:4])
    for name, values in columns.items():
        np.testing.assert_array_equal(alone[1][name], values[3:4], err_msg=name)


def test_protected_memory_is_read_as_any_other():
    rng = np.random.default_rng(14)
    logits, labels = blobs(rng, 2, 3, (70,))
    status, columns = SegmentationKernel(job_of(3)).score(logits, labels)
    logits.flags.writeable = labels.flags.writeable = False
    again, same = SegmentationKernel(job_of(3)).score(logits, labels)
    np.testing.assert_array_equal(again, status)
    for name, values in columns.items():
        np.testing.assert_array_equal(same[name], values)


def test_half_precision_keeps_the_digits_of_a_large_mask():
    rng = np.random.default_rng(12)
    logits, labels = blobs(rng, 1, 2, (512, 512))
    half = logits.astype(np.float16)
    _, columns = SegmentationKernel(job_of(2), count=False).score(half, labels)
    probs, valid = softmax(half), labels[0] != -100
    dice = []
    for c in (0, 1):
        p, y = probs[0, c][valid], labels[0][valid] == c
        dice.append(1 - (2 * p[y].sum() + 1) / (p.sum() + y.sum() + 1))
    np.testing.assert_allclose(columns["dice"][0], np.mean(dice), 1e-6)


def test_many_classes_and_no_positions():
    rng = np.random.default_rng(13)
    logits, labels = blobs(rng, 2, 150, (40,))
    job = job_of(150)
    kernel = SegmentationKernel(job)
    status, columns = kernel.score(logits, labels)
    _, their_columns, their_counts = torch_scores(job, logits, labels)
    same_columns(columns, their_columns, status == OK)
    same_counts(kernel.counts(), their_counts)
    status, _ = kernel.score(logits[:, :, :0], labels[:, :0])
    assert status.tolist() == [IGNORED, IGNORED]
    status, columns = kernel.score(logits[:0], labels[:0])
    assert len(status) == 0
    assert all(len(values) == 0 for values in columns.values())
