"""Bad arguments: ValueError at construction, with what was given and expected."""

import numpy as np
import pytest
import torch

from evaltool.losses import (
    AsymmetricLoss,
    BalancedCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    GeneralizedCrossEntropyLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    LovaszLoss,
    OhemCrossEntropyLoss,
    OneVsAllFocalLoss,
    PolyLoss,
    QualityFocalLoss,
    SeesawLoss,
    SmoothL1Loss,
    TverskyLoss,
)

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
    "alpha and gamma of two lengths": (
        lambda: FocalLoss(gamma=[1, 2], alpha=[1, 2, 3]),
        "gamma has 2 numbers and alpha has 3 numbers, expected the same number of classes",
    ),
    "weight and counts of two lengths": (
        lambda: LDAMLoss(counts=[1, 2], weight=[1, 2, 3]),
        "counts has 2 numbers and weight has 3 numbers, expected the same number of classes",
    ),
    "balanced": (
        lambda: FocalLoss(alpha="balanced"),
        "alpha='balanced' is filled in from the label counts by evaltool score; here give the numbers, "
        "class_weights(counts, 'effective-number')",
    ),
    "one-vs-all of three alphas": (
        lambda: OneVsAllFocalLoss(alpha=[1, 2, 3]),
        "alpha=[1, 2, 3], expected a number in [0, 1] or a pair (negatives, positives)",
    ),
    "balance above 1": (lambda: BalancedCrossEntropyLoss(beta=1.5), "beta=1.5, expected a number in [0, 1]"),
    "negative ratio": (
        lambda: OhemCrossEntropyLoss(negative_ratio=-1),
        "negative_ratio=-1, expected a number in [0, inf)",
    ),
    "clip of one": (lambda: AsymmetricLoss(clip=1.0), "clip=1.0, expected a number in [0, 1)"),
    "gamma_neg of nothing": (
        lambda: AsymmetricLoss(gamma_neg=None),
        "gamma_neg=None, expected a number or one number per class",
    ),
    "eps below -1": (lambda: PolyLoss(eps=-2), "eps=-2, expected a number in [-1, inf)"),
    "q of zero": (lambda: GeneralizedCrossEntropyLoss(q=0), "q=0, expected a number in (0, 1]"),
    "prior of nothing": (
        lambda: LogitAdjustedLoss(prior=[0, 0]),
        "prior=[0.0, 0.0], expected a positive number for at least one class",
    ),
    "negative counts": (lambda: SeesawLoss(counts=[3, -1]), "counts=[3.0, -1.0], expected finite numbers >= 0"),
    "scale of zero": (lambda: LDAMLoss(scale=0), "scale=0, expected a number in (0, inf)"),
    "negative alpha of Tversky": (lambda: TverskyLoss(alpha=-0.1), "alpha=-0.1, expected a number in [0, inf)"),
    "gamma of zero": (lambda: FocalTverskyLoss(gamma=0), "gamma=0, expected a number in (0, inf)"),
    "unknown form": (
        lambda: LovaszLoss(form="sigmoid"),
        "form='sigmoid', expected one of 'auto', 'softmax', 'hinge'",
    ),
    "negative lambda": (lambda: DiceCELoss(lambda_ce=-1), "lambda_ce=-1, expected a number in [0, inf)"),
    "alpha per class of sigmoids": (
        lambda: DiceFocalLoss(alpha=[1, 2, 3], activation="sigmoid"),
        "alpha=[1, 2, 3], expected a number in [0, 1] or a pair (negatives, positives)",
    ),
    "negative beta": (lambda: QualityFocalLoss(beta=-2.0), "beta=-2.0, expected a number in [0, inf)"),
    "gamma of a bool": (lambda: FocalLoss(gamma=True), "gamma=True, expected a number or one number per class"),
    "weight of bools": (
        lambda: CrossEntropyLoss(weight=[True, False]),
        "weight=[True, False], expected a number or one number per class",
    ),
    "one count": (lambda: SeesawLoss(counts=5.0), "counts=[5.0], expected one number per class"),
    "fraction to ignore": (lambda: FocalLoss(ignore_index=0.5), "ignore_index=0.5, expected an integer"),
    "text to ignore": (lambda: DiceLoss(ignore_index="3"), "ignore_index='3', expected an integer"),
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


@pytest.mark.parametrize(
    "loss", [FocalLoss(alpha=[1.0, 2.0, 3.0]), FocalLoss(gamma=[1.0, 2.0]), CrossEntropyLoss(weight=[1, 2])]
)
def test_vectors_of_another_number_of_classes_are_no_read_past_the_end(loss):
    length = max(buffer.numel() for buffer in loss.buffers())
    with pytest.raises(ValueError, match=f"^{length} numbers per class, expected 1 or 4 = C$"):
        loss(torch.randn(2, 4), torch.tensor([0, 0]))


@pytest.mark.parametrize("loss", [FocalLoss(), PolyLoss(), LDAMLoss()])
def test_shares_of_the_classes_where_a_loss_takes_one_class(loss):
    with pytest.raises(ValueError, match=r"^this loss takes one class per position, integer labels \[N, \*S\]$"):
        loss(torch.randn(2, 4), torch.rand(2, 4))


def test_numbers_of_numpy_and_torch_are_numbers():
    for number in (np.float32(0.5), np.float64(0.5), torch.tensor(0.5)):
        assert GeneralizedCrossEntropyLoss(q=number).q == 0.5
        assert float(FocalLoss(gamma=number).gamma) == 0.5
    assert FocalLoss(ignore_index=np.int64(255)).ignore_index == 255
    assert FocalLoss(alpha=np.array([1, 2])).alpha.tolist() == [1, 2]
