"""Bad arguments: ValueError at construction, with what was given and expected."""

import pytest

from evaltool.losses import BinaryFocalLoss, CrossEntropyLoss, DiceLoss, FocalLoss, SmoothL1Loss

CASES = {
    "unknown kind": (
        lambda: FocalLoss(preds_are="scores"),
        "preds_are='scores', expected one of 'logits', 'probs', 'log-probs'",
    ),
    "unknown reduction": (
        lambda: FocalLoss(reduction="avg"),
        "reduction='avg', expected one of 'none', 'mean', 'sum'",
    ),
    "negative gamma": (lambda: FocalLoss(gamma=-1), "gamma=-1, expected a number in [0, inf)"),
    "gamma of text": (lambda: FocalLoss(gamma="two"), "gamma='two', expected a number or one number per class"),
    "gamma of nothing": (lambda: FocalLoss(gamma=None), "gamma=None, expected a number or one number per class"),
    "gamma NaN": (lambda: FocalLoss(gamma=float("nan")), "gamma=nan, expected a number in [0, inf)"),
    "negative alpha": (lambda: FocalLoss(alpha=[1, -2]), "alpha=[1.0, -2.0], expected finite numbers >= 0"),
    "square weight": (
        lambda: CrossEntropyLoss(weight=[[1.0, 2.0]]),
        "weight has shape [1, 2], expected [C]: one number per class",
    ),
    "smoothing above 1": (
        lambda: CrossEntropyLoss(label_smoothing=1.5),
        "label_smoothing=1.5, expected a number in [0, 1]",
    ),
    "binary alpha above 1": (
        lambda: BinaryFocalLoss(alpha=2.0),
        "alpha=2.0, expected a number in [0, 1] or a pair (negatives, positives)",
    ),
    "three binary alphas": (
        lambda: BinaryFocalLoss(alpha=[1, 2, 3]),
        "alpha=[1, 2, 3], expected a number in [0, 1] or a pair (negatives, positives)",
    ),
    "squared of text": (lambda: DiceLoss(squared="yes"), "squared='yes', expected true or false"),
    "unknown classes": (lambda: DiceLoss(classes="some"), "classes='some', expected one of 'present', 'all'"),
    "beta of zero": (lambda: SmoothL1Loss(beta=0), "beta=0, expected a number in (0, inf)"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_argument(name):
    build, message = CASES[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text is compared
        build()
    assert str(caught.value) == message


def test_numbers_of_any_sort_are_numbers():
    import numpy as np
    import torch

    for gamma in (2, 2.0, np.float32(2), np.int64(2), torch.tensor(2.0), torch.tensor([2.0])):
        assert FocalLoss(gamma=gamma).gamma.tolist() == [2.0]
