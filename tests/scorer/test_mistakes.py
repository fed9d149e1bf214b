"""Too many bad rows: exit status 1, and the likely mistake by name."""

import numpy as np
import pytest

import evaltool

N, C = 200, 4
RNG = np.random.default_rng(0)
PREDS = RNG.normal(size=(N, C)).astype(np.float32)
LABELS = RNG.integers(0, C, N)
PROBS = RNG.dirichlet(np.ones(C), N).astype(np.float32)

HEAD = "{bad} of 200 rows ({share:.1%}) cannot be scored, more than --max-bad 0.01 allows\n  {counts}\n  {hint}"


def spoilt(array, rows, value):
    array = array.copy()
    array[rows] = value
    return array


FEW = np.arange(0, N, 10)
CASES = {
    "labels from 1": (
        (PREDS, LABELS + 1, {}),
        "bad_label",
        "The labels run from 1 to 4 where 0..3 is expected: subtract 1 from them.",
    ),
    "another ignore_index": (
        (PREDS, spoilt(LABELS, FEW, 255), {}),
        "bad_label",
        "Their label is 255 (expected 0..3): pass --ignore-index 255 if that means unlabelled.",
    ),
    "minus one": (
        (PREDS, spoilt(LABELS, FEW, -1), {}),
        "bad_label",
        "Their label is -1 (expected 0..3): pass --ignore-index -1 if that means unlabelled.",
    ),
    "fewer classes": (
        (PREDS, RNG.integers(0, 9, N), {}),
        "bad_label",
        "The bad labels lie in 4 to 8 (expected 0..3): wrong --ignore-index, or predictions of fewer classes?",
    ),
    "wrong kind": (
        (PREDS, LABELS, {"preds_are": "probs"}),
        "bad_preds",
        "The predictions do not look like probs: wrong --preds-are? These rows leave [0, 1] or do not sum to 1 within "
        "0.001.",
    ),
    "not a number": (
        (spoilt(PREDS, FEW, np.nan), LABELS, {}),
        "nonfinite",
        "The predictions hold NaN or +inf: did the model overflow (half precision), or were rows never filled?",
    ),
}


IMAGES = RNG.normal(size=(N, C, 3, 3)).astype(np.float32)
MASKS = RNG.integers(0, C, (N, 3, 3))
CASES |= {
    "masks from 1": (
        (IMAGES, MASKS + 1, {}),
        "bad_label",
        "The labels run from 1 to 4 where 0..3 is expected: subtract 1 from them.",
    ),
    "masks with 255": (
        (IMAGES, np.where(MASKS == 3, 255, MASKS).astype(np.uint8), {}),
        "bad_label",
        "Their label is 255 (expected 0..3): pass --ignore-index 255 if that means unlabelled.",
    ),
    "foreground masks of 0 and 255": (
        (IMAGES[:, :1], np.where(MASKS > 1, 255, 0), {"task": "segmentation"}),
        "bad_label",
        "Their label is 255 (expected 0 or 1): pass --ignore-index 255 if that means unlabelled, or save labels > 0 if "
        "it means a class.",
    ),
    "multilabel of -1 and 1": (
        (PREDS, np.where(RNG.random((N, C)) < 0.5, -1, 1), {"task": "multilabel"}),
        "bad_label",
        "Their label is -1 (expected 0 or 1): pass --ignore-index -1 if that means unlabelled, or save labels > 0 if "
        "it means a class.",
    ),
    "fractions after the probe": (
        (PREDS, spoilt(LABELS, FEW, -3).astype(np.float32) + 0.0, {}),
        "bad_label",
        "Their label is -3 (expected 0..3): pass --ignore-index -3 if that means unlabelled.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_likely_mistake(name):
    (preds, labels, options), status, hint = CASES[name]
    scores = evaltool.score(preds, labels, **options)
    bad = scores.summary["n_bad"]
    assert bad == scores.summary[f"n_{status}"] > 0
    assert scores.failure == HEAD.format(bad=bad, share=bad / N, counts=f"{bad} {status}", hint=hint)
    assert scores.manifest["status"] == "failed"


def test_max_bad_is_a_share_that_may_be_reached():
    labels = spoilt(LABELS, [0, 1], 99)
    assert evaltool.score(PREDS, labels).failure is None
    assert evaltool.score(PREDS, labels, max_bad=0.005).failure is not None
    assert evaltool.score(PREDS, LABELS + 100, max_bad=1).failure is None


def test_ignored_rows_are_not_bad():
    scores = evaltool.score(PREDS, spoilt(LABELS, FEW, -100))
    assert scores.failure is None
    assert scores.summary["n_ignored"] == 20
