"""Task and kind from shapes, dtypes and a probe of the rows."""

import numpy as np
import pytest

from evaltool.detect import decide
from evaltool.errors import EvaltoolError
from evaltool.readers import open_labels, open_preds


def decision(preds, labels, **options):
    return decide(open_preds(preds), open_labels(labels), **{"ignore_index": -100, **options})


def logits(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) * 3


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def classes(*shape, c=4, dtype=np.int64):
    return np.random.default_rng(1).integers(0, c, shape).astype(dtype)


N = 50
TASKS = {
    "class indices": (logits(N, 4), classes(N), "multiclass"),
    "class indices as floats": (logits(N, 4), classes(N, dtype=np.float32), "multiclass"),
    "class indices in a column": (logits(N, 4), classes(N, 1), "multiclass"),
    "two classes": (logits(N, 2), classes(N, c=2), "multiclass"),
    "shares": (logits(N, 4), softmax(logits(N, 4)), "multiclass"),
    "one-hot floats": (logits(N, 4), np.eye(4)[classes(N)], "multiclass"),
    "flat": (logits(N), classes(N, c=2), "binary"),
    "flat bools": (logits(N), classes(N, c=2).astype(bool), "binary"),
    "flat with ignored": (logits(N), np.where(np.arange(N) % 3, classes(N, c=2), -100), "binary"),
    "column": (logits(N, 1), classes(N, c=2), "binary"),
    "columns both": (logits(N, 1), classes(N, 1, c=2), "binary"),
    "several true": (logits(N, 4), classes(N, 4, c=2), "multilabel"),
    "several true as floats": (logits(N, 4), classes(N, 4, c=2, dtype=np.float32), "multilabel"),
    "sequence": (logits(N, 4, 6), classes(N, 6), "segmentation"),
    "image": (logits(N, 4, 6, 5), classes(N, 6, 5), "segmentation"),
    "volume": (logits(9, 4, 6, 5, 3), classes(9, 6, 5, 3), "segmentation"),
    "one foreground": (logits(N, 1, 6, 5), classes(N, 6, 5, c=2), "segmentation"),
    "one foreground without its axis": (logits(N, 6, 5), classes(N, 6, 5, c=2), "segmentation"),
    "flat amounts": (logits(N), logits(N), "regression"),
    "flat whole amounts as floats": (logits(N), classes(N, c=100, dtype=np.float32), "regression"),
    "rows of amounts": (logits(N, 3), logits(N, 3) + 1, "regression"),
    "images of amounts": (logits(N, 6, 5), logits(N, 6, 5), "regression"),
}


@pytest.mark.parametrize("name", TASKS)
def test_task(name):
    preds, labels, task = TASKS[name]
    assert decision(preds, labels).task == task
    assert decision(preds, labels, task=task).task == task


def test_kinds():
    z = logits(N, 4)
    p = softmax(z)
    assert decision(z, classes(N)).preds_are == "logits"
    assert decision(p, classes(N)).preds_are == "probs"
    assert decision(np.log(p), classes(N)).preds_are == "log-probs"
    assert decision(p.astype(np.float16), classes(N)).preds_are == "probs"
    assert decision(-np.abs(z), classes(N)).preds_are == "logits"
    assert decision(z[:, 0], classes(N, c=2)).preds_are == "logits"
    assert decision(p[:, 0], classes(N, c=2)).preds_are == "probs"
    assert decision(logits(N), logits(N)).preds_are is None
    images = softmax(logits(5, 3, 4, 4))
    assert decision(images, classes(5, 4, 4, c=3)).preds_are == "probs"


def test_a_few_strange_rows_do_not_change_the_kind():
    p = softmax(logits(200, 4))
    p[3] = np.nan
    p[50] = [2, 0, -1, 0]
    assert decision(p, classes(200)).preds_are == "probs"


@pytest.mark.parametrize("decimals", [2, 3, 4])
@pytest.mark.parametrize("shape", [(200, 5), (200, 20), (20, 5, 8, 8)])
def test_rounded_probabilities_are_probabilities(decimals, shape):
    """What a CSV or JSON export holds: rows that sum to 1 within rounding only."""
    p = np.round(softmax(logits(*shape)), decimals)
    chosen = decision(p, classes(shape[0], *shape[2:], c=shape[1]))
    assert chosen.preds_are == "probs"
    assert chosen.tolerance >= np.abs(p.sum(1) - 1).max()
    if decimals < 4:  # four decimals of few classes sum to 1 as well as anything does
        assert f"sum to 1 within rounding to {decimals} decimals" in chosen.reasons[1]


@pytest.mark.parametrize("scale", [5, 50, 500])
def test_confident_probabilities_are_not_taken_for_rounded_ones(scale):
    """Values near 0 and 1 look rounded; the sums of their rows do not."""
    p = softmax(logits(200, 10).astype(np.float64) * scale).astype(np.float32)
    p[7] = [0.9, 0.4, 0, 0, 0, 0, 0, 0, 0, 0]
    chosen = decision(p, classes(200, c=10))
    assert chosen.preds_are == "probs"
    if scale < 500:  # at 500 every value is exactly 0 or 1
        assert chosen.tolerance == 1e-3


def test_log_probabilities_of_sigmoids_are_doubted_as_logits():
    log_probs = -np.logaddexp(0, -logits(N))
    assert decision(log_probs, classes(N, c=2)).doubts == (
        "the predictions are taken for logits, but no probed value is above 0: if they are log-probabilities, pass "
        "--preds-are log-probs",
    )
    assert decision(log_probs, classes(N, c=2), preds_are="log-probs").doubts == ()
    assert decision(logits(N), classes(N, c=2)).doubts == ()


def test_values_between_0_and_1_that_are_no_distribution_are_doubted():
    sigmoids = 1 / (1 + np.exp(-logits(N, 4)))
    doubt = decision(sigmoids, classes(N)).doubts[0]
    assert doubt.startswith("the predictions are taken for logits, but 100% of 50 probed rows lie in [0, 1]")
    doubt = decision(softmax(logits(N, 4)), classes(N), preds_are="logits").doubts[0]
    assert doubt.startswith("the predictions are taken for logits as --preds-are says, but they look like probs")
    assert decision(logits(N, 4), classes(N)).doubts == ()


def test_labels_of_minus_1_and_1_get_a_hint():
    with pytest.raises(EvaltoolError, match="Binary labels are 0 and 1: save labels > 0"):
        decision(logits(N), classes(N, c=2) * 2 - 1)


def test_transposed_predictions_get_a_hint():
    with pytest.raises(EvaltoolError, match=r"look transposed: save preds\.T"):
        decision(logits(4, N), classes(N))


def test_the_reasons_say_what_was_seen():
    reasons = decision(softmax(logits(N, 4)), classes(N)).reasons
    assert reasons == (
        "task: multiclass, because preds are [50, 4] = [N, C] and labels int64 [50]",
        "preds: probs, because 100% of 50 probed rows are in [0, 1] and sum to 1",
    )
    assert decision(logits(N), classes(N, c=2), task="binary", preds_are="logits").reasons == (
        "task: binary, as given by --task",
        "preds: logits, as given by --preds-are",
    )


def test_integer_one_hot_labels_need_a_word():
    one_hot = np.eye(4, dtype=np.int64)[classes(N)]
    with pytest.raises(EvaltoolError, match="look one-hot: pass --task multilabel"):
        decision(logits(N, 4), one_hot)
    chosen = decision(logits(N, 4), one_hot, task="multiclass")
    assert (chosen.one_hot, chosen.soft_labels) == (True, False)
    assert chosen.reasons[1] == "labels: one-hot, because every probed row is"
    shares = decision(logits(N, 4), softmax(logits(N, 4)))
    assert (shares.one_hot, shares.soft_labels) == (False, True)
    assert decision(logits(N, 4), one_hot, task="multilabel").task == "multilabel"


@pytest.mark.parametrize("task", ["auto", "segmentation"])
@pytest.mark.parametrize(
    ("preds_shape", "labels_shape", "hint"),
    [
        ((5, 4, 6, 7), (5, 1, 6, 7), r"Drop the axis of length 1: labels\[:, 0\]"),
        ((5, 6, 7, 4), (5, 6, 7), r"look channels-last: save np.moveaxis\(preds, -1, 1\)"),
        ((5, 4, 6, 7), (5, 6, 8), "One label per position is needed"),
    ],
)
def test_masks_of_another_layout_get_a_hint(task, preds_shape, labels_shape, hint):
    with pytest.raises(EvaltoolError, match=hint):
        decision(logits(*preds_shape), classes(*labels_shape), task=task)


@pytest.mark.parametrize("n", [3, 40])
def test_large_images_are_probed_at_some_positions(n):
    """The probe of 40 images of 2 MB looks at no more than its share, and sees the same."""
    from evaltool.detect.probe import Probe

    images = np.broadcast_to(softmax(logits(1, 8, 256, 256)), (n, 8, 256, 256))
    masks = np.broadcast_to(classes(1, 256, 256, c=8), (n, 256, 256))
    probe = Probe(open_preds(images), open_labels(masks), -100)
    assert probe.preds.nbytes <= 1 << 25
    assert probe.preds.shape[0] == probe.labels.shape[0] == min(n, 8)
    chosen = decision(images, masks)
    assert (chosen.task, chosen.preds_are) == ("segmentation", "probs")


def test_large_files_are_probed_evenly():
    class Counting:
        name, path, dtype = "preds", None, np.dtype(np.float32)
        shape = (10_000_000, 4)
        read_rows = 0
        last = 0

        def read(self, start, stop):
            self.read_rows += stop - start
            self.last = max(self.last, stop)
            return logits(stop - start, 4)

    class Labels(Counting):
        shape = (10_000_000,)
        dtype = np.dtype(np.int64)

        def read(self, start, stop):
            return classes(stop - start)

    preds = Counting()
    assert decide(preds, Labels(), ignore_index=-100).task == "multiclass"
    assert preds.read_rows <= 1024
    assert preds.last == 10_000_000
