"""What one loss says of another, and what every formula must give in a corner."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from evaltool.losses import (
    AsymmetricLoss,
    BalancedCrossEntropyLoss,
    BinaryCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    GeneralizedCrossEntropyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    LDAMLoss,
    LogCoshDiceLoss,
    LogitAdjustedLoss,
    LovaszLoss,
    OhemCrossEntropyLoss,
    OneVsAllFocalLoss,
    PolyLoss,
    QualityFocalLoss,
    SeesawLoss,
    TverskyLoss,
    VarifocalLoss,
)

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]
EXACT = {"rtol": 1e-12, "atol": 0.0}  # float64: a few units in the last place


@pytest.fixture(params=[(), (7,), (4, 5), (2, 3, 4)], ids=["flat", "sequence", "image", "volume"])
def space(request):
    return request.param


@pytest.fixture
def softmax(space):
    return torch.randn(6, 4, *space, dtype=torch.float64) * 8, torch.randint(0, 4, (6, *space))


@pytest.fixture
def sigmoid(space):
    return torch.randn(6, *space, dtype=torch.float64) * 8, torch.randint(0, 2, (6, *space))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_poly_with_eps_zero_is_its_base(softmax, gamma):
    assert torch.equal(PolyLoss(eps=0.0, gamma=gamma)(*softmax), FocalLoss(gamma=gamma)(*softmax))
    assert torch.equal(PolyLoss(eps=0.0)(*softmax), CrossEntropyLoss()(*softmax))


def test_poly_adds_eps_times_what_is_missed(softmax):
    probs = softmax[0].softmax(1)
    miss = 1 - probs.gather(1, softmax[1].unsqueeze(1)).squeeze(1)
    added = PolyLoss(eps=2.0).map(*softmax) - CrossEntropyLoss().map(*softmax)
    torch.testing.assert_close(added, 2 * miss, rtol=1e-9, atol=1e-12)  # a difference of sums


@pytest.mark.parametrize("gamma", GAMMAS)
def test_asymmetric_with_equal_gammas_and_no_clip_is_binary_focal(sigmoid, gamma):
    loss = AsymmetricLoss(gamma_pos=gamma, gamma_neg=gamma, clip=0.0)
    assert torch.equal(loss(*sigmoid), BinaryFocalLoss(gamma=gamma)(*sigmoid))


def test_asymmetric_drops_easy_negatives():
    easy = torch.tensor([-3.0, -2.945])  # probabilities 0.047 and just under 0.05
    assert AsymmetricLoss(clip=0.05)(easy, torch.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize("gamma", GAMMAS)
def test_quality_focal_of_hard_labels_is_binary_focal(sigmoid, gamma):
    torch.testing.assert_close(
        QualityFocalLoss(beta=gamma)(*sigmoid), BinaryFocalLoss(gamma=gamma)(*sigmoid), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("gamma", GAMMAS)
def test_varifocal_of_hard_labels_leaves_positives_unfocused(sigmoid, gamma):
    preds, labels = sigmoid
    loss = VarifocalLoss(alpha=0.75, gamma=gamma).map(preds, labels)
    ones, zeros = BinaryCrossEntropyLoss().map(preds, labels), 0.75 * BinaryFocalLoss(gamma=gamma).map(preds, labels)
    torch.testing.assert_close(loss, torch.where(labels == 1, ones, zeros), **EXACT)


def test_balanced_with_one_half_is_half_of_bce(sigmoid):
    torch.testing.assert_close(
        2 * BalancedCrossEntropyLoss(beta=0.5)(*sigmoid), BinaryCrossEntropyLoss()(*sigmoid), **EXACT
    )


def test_balanced_of_labels_all_alike_is_zero():
    preds = torch.randn(3, 5)
    for labels in (torch.zeros(3, 5), torch.ones(3, 5)):
        assert bool((BalancedCrossEntropyLoss()(preds, labels) == 0).all())


def test_ohem_with_all_negatives_kept_is_bce(sigmoid):
    preds, labels = sigmoid
    labels.reshape(6, -1)[:, 0] = 1
    torch.testing.assert_close(
        OhemCrossEntropyLoss(negative_ratio=100)(preds, labels), BinaryCrossEntropyLoss()(preds, labels), **EXACT
    )


def test_ohem_with_no_negative_kept_is_the_positives():
    preds, labels = torch.randn(1, 9, dtype=torch.float64), torch.tensor([[1, 0, 0, 1, 0, 0, 0, 0, 1]])
    value = OhemCrossEntropyLoss(negative_ratio=0)(preds, labels)
    torch.testing.assert_close(
        value, F.binary_cross_entropy_with_logits(preds[labels == 1], torch.ones(3).double())[None]
    )
    assert float(OhemCrossEntropyLoss()(preds, torch.zeros_like(labels))) == 0


def test_ohem_breaks_ties_by_index():
    parts = OhemCrossEntropyLoss(negative_ratio=2).by_class(torch.zeros(1, 6), torch.tensor([[0, 0, 1, 0, 0, 0]]))
    assert (parts > 0).tolist() == [[True, True, True, False, False, False]]


def test_tversky_of_one_half_is_dice(softmax):
    for smooth in ({}, {"smooth_nr": 0.0, "smooth_dr": 0.5}):
        got = TverskyLoss(alpha=0.5, beta=0.5, **smooth)(*softmax)
        torch.testing.assert_close(got, DiceLoss(**smooth)(*softmax), **EXACT)


def test_jaccard_is_2d_over_1_plus_d_of_each_region(sigmoid):
    preds, labels = sigmoid
    dice = DiceLoss(activation="sigmoid")(preds, labels)
    torch.testing.assert_close(JaccardLoss(activation="sigmoid")(preds, labels), 2 * dice / (1 + dice), **EXACT)


def test_jaccard_is_tversky_of_one_and_one(softmax):
    assert torch.equal(JaccardLoss()(*softmax), TverskyLoss(alpha=1, beta=1)(*softmax))


def test_focal_tversky_of_gamma_one_is_tversky(softmax):
    torch.testing.assert_close(FocalTverskyLoss(gamma=1)(*softmax), TverskyLoss()(*softmax), **EXACT)


def test_focal_tversky_is_a_power_of_a_single_region(sigmoid):
    tversky = TverskyLoss(activation="sigmoid")(*sigmoid)
    torch.testing.assert_close(FocalTverskyLoss(activation="sigmoid")(*sigmoid), tversky**0.75, **EXACT)


def test_log_cosh_dice_is_that_of_the_samples_dice(softmax):
    dice = DiceLoss()(*softmax)
    torch.testing.assert_close(LogCoshDiceLoss()(*softmax), dice.cosh().log(), rtol=1e-9, atol=1e-12)


def test_generalized_dice_of_classes_of_equal_size_is_dice_of_their_sums():
    preds = torch.randn(2, 3, 12, dtype=torch.float64)
    labels = torch.arange(12).remainder(3).expand(2, 12)
    overlap = preds.softmax(1).gather(1, labels.unsqueeze(1)).sum((1, 2))
    torch.testing.assert_close(GeneralizedDiceLoss()(preds, labels), 1 - overlap / 12, **EXACT)


def test_generalized_dice_of_huge_and_tiny_classes_stays_finite():
    labels = torch.zeros(1, 300_000, dtype=torch.int64)
    labels[0, 0] = 1
    preds = F.one_hot(labels, 3).movedim(-1, 1).float() * 20  # class 2 is absent
    value = float(GeneralizedDiceLoss()(preds, labels))
    # the absent class has the weight of the class of one position: its sum over all positions counts
    assert 0 < value < 1


def test_combined_losses_are_the_sums_of_their_parts(softmax, sigmoid):
    for batch in (softmax, sigmoid):
        soft = batch is softmax
        dice = DiceLoss(activation="softmax" if soft else "sigmoid")(*batch)
        setting = {"activation": "softmax" if soft else "sigmoid"}
        entropy = (CrossEntropyLoss if soft else BinaryCrossEntropyLoss)()(*batch)
        focal = (FocalLoss if soft else BinaryFocalLoss)(gamma=0.5)(*batch)
        got = DiceCELoss(lambda_dice=0.5, lambda_ce=3.0, **setting)(*batch)
        torch.testing.assert_close(got, 0.5 * dice + 3 * entropy, **EXACT)
        got = DiceFocalLoss(lambda_focal=2.0, gamma=0.5, **setting)(*batch)
        torch.testing.assert_close(got, dice + 2 * focal, **EXACT)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_combined_losses_reduce_each_part_its_own_way(reduction):
    preds, labels = torch.randn(3, 4, 6), torch.randint(0, 4, (3, 6))
    labels[0, :4] = -100
    weight = [1.0, 2.0, 0.5, 3.0]
    got = DiceCELoss(weight=weight, reduction=reduction)(preds, labels)
    cross_entropy = F.cross_entropy(preds, labels, weight=torch.tensor(weight), reduction=reduction)
    torch.testing.assert_close(got, DiceLoss(reduction=reduction)(preds, labels) + cross_entropy)


def test_parts_of_the_classes_sum_to_the_value(softmax, sigmoid):
    region = [DiceCELoss, DiceFocalLoss, GeneralizedDiceLoss, FocalTverskyLoss, LogCoshDiceLoss, LovaszLoss]
    for build in region:
        name = "form" if build is LovaszLoss else "activation"
        both = ("softmax", "hinge") if build is LovaszLoss else ("softmax", "sigmoid")
        for batch, value in zip((softmax, sigmoid), both, strict=True):
            loss = build(**{name: value})
            torch.testing.assert_close(loss.by_class(*batch).sum(1), loss(*batch), **EXACT)
    shares = torch.rand_like(softmax[0]).softmax(1)
    loss = DiceCELoss(activation="softmax")
    torch.testing.assert_close(loss.by_class(softmax[0], shares).sum(1), loss(softmax[0], shares), **EXACT)


def test_gce_of_q_one_is_what_is_missed_and_of_small_q_cross_entropy(softmax):
    miss = 1 - softmax[0].softmax(1).gather(1, softmax[1].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(GeneralizedCrossEntropyLoss(q=1.0).map(*softmax), miss, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(
        GeneralizedCrossEntropyLoss(q=1e-9)(*softmax), CrossEntropyLoss()(*softmax), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.5])
def test_logit_adjusted_is_cross_entropy_of_adjusted_logits(softmax, tau):
    prior = torch.tensor([0.5, 0.25, 0.125, 0.125])
    adjusted = softmax[0] + tau * prior.double().log().reshape([1, 4] + [1] * (softmax[0].dim() - 2))
    weight = [1.0, 2.0, 0.5, 3.0]
    for reduction in ("none", "mean", "sum"):
        got = LogitAdjustedLoss(prior=prior, tau=tau, weight=weight, reduction=reduction)(*softmax)
        theirs = F.cross_entropy(adjusted, softmax[1], weight=torch.tensor(weight).double(), reduction=reduction)
        torch.testing.assert_close(
            got, theirs if theirs.dim() == 0 else theirs.reshape(6, -1).mean(1), rtol=1e-9, atol=0
        )


def test_logit_adjusted_with_a_flat_prior_is_cross_entropy(softmax):
    for prior in (None, [0.25] * 4, [7, 7, 7, 7]):
        torch.testing.assert_close(LogitAdjustedLoss(prior=prior)(*softmax), CrossEntropyLoss()(*softmax), **EXACT)


def test_logit_adjusted_masks_a_class_that_has_no_prior():
    preds = torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 3, 0, 2])
    value = LogitAdjustedLoss(prior=[1, 1, 0, 1])(preds, labels)
    expected = CrossEntropyLoss()(preds[:, [0, 1, 3]], torch.tensor([0, 1, 2, 0, 0]))
    torch.testing.assert_close(value[:4], expected[:4], **EXACT)
    assert float(value[4]) == torch.inf


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ldam_is_cross_entropy_with_margins(softmax, reduction):
    counts, weight = torch.tensor([1000.0, 100.0, 10.0, 0.0]), torch.tensor([1.0, 2.0, 0.5, 3.0]).double()
    margins = 0.5 * (10 / counts).double().pow(0.25)
    margins[3] = 0.5
    one_hot = F.one_hot(softmax[1], 4).movedim(-1, 1)
    shifted = 3 * (softmax[0] - one_hot * margins.reshape([1, 4] + [1] * (softmax[0].dim() - 2)))
    got = LDAMLoss(counts=counts, scale=3.0, weight=weight.float(), reduction=reduction)(*softmax)
    theirs = F.cross_entropy(shifted, softmax[1], weight=weight, reduction=reduction)
    torch.testing.assert_close(got, theirs, rtol=1e-9, atol=0)


def test_seesaw_and_ldam_of_equal_counts_and_no_factors_are_cross_entropy(softmax):
    torch.testing.assert_close(SeesawLoss(q=0.0)(*softmax), CrossEntropyLoss()(*softmax), **EXACT)
    torch.testing.assert_close(LDAMLoss(max_margin=0.0)(*softmax), CrossEntropyLoss()(*softmax), **EXACT)


def test_seesaw_with_constant_factors_has_the_papers_gradient():
    """dL/dz_j = S_tj exp(z_j) / exp(z_t) * sigma_t, with S held constant (Wang 2021, section 3.2)."""
    preds = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    labels, counts = torch.randint(0, 4, (8,)), torch.tensor([50.0, 20.0, 5.0, 1.0])
    loss = SeesawLoss(counts=counts, constant_factors=True)
    loss(preds, labels).sum().backward()
    for z, t, gradient in zip(preds.detach(), labels.tolist(), preds.grad, strict=True):
        p = z.softmax(0)
        factors = (counts.double() / counts[t]).clamp(max=1) ** 0.8 * (p / p[t]).clamp(min=1) ** 2
        pressed = factors * (z - z[t]).exp()
        sigma = 1 / pressed.sum()
        others = torch.arange(4) != t
        torch.testing.assert_close(gradient[others], (pressed * sigma)[others], rtol=1e-9, atol=0)
    free = SeesawLoss(counts=counts)
    assert torch.equal(free(preds, labels), loss(preds, labels))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_softmax_over_two_classes_equals_sigmoid_of_the_difference(gamma):
    preds, labels = torch.randn(40, 2, dtype=torch.float64) * 10, torch.randint(0, 2, (40,))
    single = preds[:, 1] - preds[:, 0]
    loose = {"rtol": 1e-11, "atol": 0.0}
    torch.testing.assert_close(
        FocalLoss(gamma=gamma)(preds, labels), BinaryFocalLoss(gamma=gamma)(single, labels), **loose
    )
    # both classes of the softmax say the same
    torch.testing.assert_close(
        OneVsAllFocalLoss(gamma=gamma)(preds, labels), BinaryFocalLoss(gamma=gamma)(single, labels), **loose
    )


def test_lovasz_on_a_perfect_prediction_is_zero():
    labels = torch.randint(0, 4, (3, 6, 6))
    perfect = F.one_hot(labels, 4).movedim(-1, 1).float() * 2e4 - 1e4
    assert bool((LovaszLoss()(perfect, labels) == 0).all())
    binary = (labels > 1).to(torch.int64)
    assert bool((LovaszLoss()(binary * 4.0 - 2.0, binary) == 0).all())  # margins of 2


def test_lovasz_of_hard_predictions_is_the_jaccard_loss():
    """At the corners of the cube the extension is what it extends."""
    for truth, guess in itertools.product(itertools.product((0, 1), repeat=4), repeat=2):
        labels, hard = torch.tensor([truth]), torch.tensor([guess])
        preds = F.one_hot(hard, 2).movedim(-1, 1).float() * 2e4
        expected = []
        for c in sorted(set(truth)):
            union = ((labels == c) | (hard == c)).sum()
            expected.append(1 - ((labels == c) & (hard == c)).sum() / union)
        assert float(LovaszLoss()(preds, labels)) == pytest.approx(float(sum(expected) / len(expected)), abs=1e-7)


def test_lovasz_of_a_near_perfect_mask_keeps_its_digits(rng):
    """Written with differences of near-equal Jaccard indices, float32 is off by 9e-5 here."""
    labels = torch.from_numpy((rng.random((1, 512, 512)) < 0.3).astype("int64"))
    preds = torch.from_numpy(rng.normal(0, 3, (1, 2, 512, 512)).astype("float32"))
    preds += 20 * F.one_hot(labels, 2).movedim(-1, 1)
    loss = LovaszLoss()
    torch.testing.assert_close(loss(preds, labels).double(), loss(preds.double(), labels), rtol=1e-6, atol=0)


MASKED = [
    CrossEntropyLoss(),
    FocalLoss(gamma=0.5),
    OneVsAllFocalLoss(gamma=0.5),
    PolyLoss(),
    GeneralizedCrossEntropyLoss(),
    LogitAdjustedLoss(prior=[5, 2, 1]),
    LDAMLoss(counts=[5, 2, 1]),
    SeesawLoss(counts=[5, 2, 1]),
    DiceLoss(),
    GeneralizedDiceLoss(),
    TverskyLoss(),
    FocalTverskyLoss(),
    LogCoshDiceLoss(),
    DiceCELoss(),
    DiceFocalLoss(),
    LovaszLoss(),
]


@pytest.mark.parametrize("loss", MASKED, ids=lambda loss: type(loss).__name__)
def test_a_masked_class_gives_finite_values_and_gradients(loss):
    preds = torch.tensor([[2.0, -torch.inf, 0.5], [3.0, -torch.inf, -torch.inf], [-4.0, 1.0, -torch.inf]])
    preds.requires_grad_()
    values = loss(preds, torch.tensor([0, 0, 0]))
    values.sum().backward()
    assert bool(values.isfinite().all())
    assert bool(preds.grad.isfinite().all())


def test_a_probability_of_zero_counts_as_the_smallest_on_both_sides_of_a_hinge():
    loss = LovaszLoss(form="hinge", preds_are="probs")
    wrong = loss(torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]]), torch.tensor([[1, 0, 1], [0, 0, 1]]))
    torch.testing.assert_close(wrong[0], loss(torch.tensor([[1.1754944e-38, 0.5, 0.5]]), torch.tensor([[1, 0, 1]]))[0])
    assert bool(wrong.isfinite().all())


def test_logit_adjusted_says_the_same_of_a_label_and_of_its_share():
    loss = LogitAdjustedLoss(prior=[1.0, 1e10], tau=2.0, preds_are="probs")
    preds = torch.tensor([[1e-30, 1.0]])
    torch.testing.assert_close(
        loss(preds, torch.tensor([0])), loss(preds, torch.tensor([[1.0, 0.0]])), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(
    "loss", [CrossEntropyLoss, FocalLoss, OneVsAllFocalLoss, DiceLoss, LovaszLoss, SeesawLoss, LDAMLoss]
)
def test_probabilities_that_are_all_zero_are_no_perfect_prediction(loss):
    assert bool(loss(preds_are="probs")(torch.zeros(1, 3), torch.tensor([0])).isnan().all())
