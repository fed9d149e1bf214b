"""What the kernel of softmax rows counts: of its columns as the run does, of the classes as the torch engine does."""

import numpy as np
import pytest

from evaltool.engines.class_losses import class_sums
from evaltool.kernels import softmax_counts
from evaltool.kernels.multiclass import MulticlassKernel
from evaltool.numerics.float_bits import OCTAVES, octave_totals, octave_units, ordered_bits
from evaltool.run.counts import loss_sums, merged
from evaltool.run.state import DENSE_PAIRS, HISTOGRAM_BINS, LOW_BITS
from evaltool.schema import OK

from .engines import kernel_loss, multiclass_job, torch_scores
from .test_multiclass import all_losses, problem

EXACT = ("status", "confusion", "label_rank", "loss_count", "class_loss_count", "clamped_infinite_failed")


def test_bins_are_those_of_the_state():
    assert softmax_counts.HISTOGRAM_BINS == HISTOGRAM_BINS
    assert softmax_counts.LOW_BITS == LOW_BITS
    assert softmax_counts.DENSE == DENSE_PAIRS


@pytest.mark.parametrize("kind", ["logits", "probs", "log-probs"])
@pytest.mark.parametrize("classes", [2, 10, 150])
def test_counts_are_those_of_the_torch_engine(classes, kind):
    preds, labels = problem(classes, 800, classes, kind=kind)
    job = multiclass_job(classes, all_losses(classes), preds_are=kind)
    kernel = MulticlassKernel(job)
    for start in range(0, 800, 300):
        kernel.score(preds[start : start + 300], labels[start : start + 300])
    counts = kernel.counts()
    _, _, expected = torch_scores(job, preds, labels)
    assert set(counts) == set(expected)
    assert counts["losses"].tolist() == expected["losses"].tolist()
    for name in EXACT:
        np.testing.assert_array_equal(counts[name], expected[name], err_msg=name)
    for name, values in expected.items():
        assert counts[name].dtype == values.dtype
        assert name == "class_loss" or counts[name].shape == values.shape
    # a number within rounding of an edge may be in the next bin
    cases = expected["ranking"].sum()
    assert counts["ranking"].sum() == cases
    assert np.abs(counts["ranking"] - expected["ranking"]).sum() <= 1e-3 * cases + 4
    np.testing.assert_array_equal(counts["ranking"].sum(2), expected["ranking"].sum(2))
    for name in ("calibration_class_wise", "calibration_top_label"):
        assert np.abs(counts[name] - expected[name])[..., :2].sum() <= 4
        assert counts[name][..., 2].sum() == pytest.approx(expected[name][..., 2].sum(), rel=1e-6)
    assert octave_totals(counts["brier"][:-1]) == pytest.approx(octave_totals(expected["brier"][:-1]), rel=1e-6)
    assert counts["brier"][-1] == expected["brier"][-1]
    np.testing.assert_allclose(loss_sums(counts), loss_sums(expected), rtol=1e-5)


@pytest.mark.parametrize("classes", [10, 150, 2000], ids=["tiles", "rows", "sparse"])
def test_losses_are_counted_exactly_as_they_are_written(classes):
    preds, labels = problem(9, 500, classes)
    losses = [kernel_loss("ce", "ce"), kernel_loss("focal", "focal")]
    kernel = MulticlassKernel(multiclass_job(classes, losses))
    status, columns = kernel.score(preds, labels)
    counts = kernel.counts()
    ok = status == OK
    for i, name in enumerate(("ce", "focal")):
        finite = columns[name][ok & np.isfinite(columns[name])]
        bins = np.bincount(ordered_bits(finite) >> LOW_BITS, minlength=HISTOGRAM_BINS)
        np.testing.assert_array_equal(counts["histogram"][i], bins)
        octaves, units = octave_units(finite)
        np.testing.assert_array_equal(counts["loss_octaves"][i], np.bincount(octaves, units, OCTAVES))
        assert counts["loss_max"][i] == finite.max()
        (keys, sums), number = class_sums(columns[name], labels, classes)
        some = sums != 0
        of_loss = counts["class_loss"][0] // (classes * OCTAVES) == i
        np.testing.assert_array_equal(counts["class_loss"][0][of_loss] - i * classes * OCTAVES, keys[some])
        np.testing.assert_array_equal(counts["class_loss"][1][of_loss], sums[some])
        np.testing.assert_array_equal(counts["class_loss_count"][i], number)
    pairs = np.unique(labels[ok] * classes + columns["pred"][ok], return_counts=True)
    if classes <= 1024:
        np.testing.assert_array_equal(np.flatnonzero(counts["confusion"]), pairs[0])
    else:
        np.testing.assert_array_equal(counts["confusion_pairs"], pairs)


@pytest.mark.parametrize("classes", [10, 150, 2000], ids=["tiles", "rows", "sparse"])
def test_kernels_of_several_threads_add_up_to_one(classes):
    preds, labels = problem(4, 300, classes)
    job = multiclass_job(classes, [kernel_loss("ce", "ce"), kernel_loss("focal", "focal")])
    whole, first, second = MulticlassKernel(job), MulticlassKernel(job), MulticlassKernel(job)
    whole.score(preds, labels)
    for i, kernel in enumerate([first, second, first]):
        kernel.score(preds[i * 100 : i * 100 + 100], labels[i * 100 : i * 100 + 100])
    both, one = merged(first.counts(), second.counts()), whole.counts()
    assert set(both) == set(one)
    for name in one:
        np.testing.assert_array_equal(both[name], one[name], err_msg=name)
    assert one["ranking"].sum() == (one["status"][OK]) * classes


def test_counts_asked_for_twice_are_the_same():
    preds, labels = problem(4, 100, 10)
    kernel = MulticlassKernel(multiclass_job(10, all_losses(10)))
    kernel.score(preds, labels)
    before = kernel.counts()
    again = kernel.counts()
    kernel.score(preds, labels)
    after = kernel.counts()
    for name in ("ranking", "calibration_class_wise", "histogram", "confusion", "status"):
        np.testing.assert_array_equal(before[name], again[name])
        np.testing.assert_array_equal(2 * before[name], after[name])
