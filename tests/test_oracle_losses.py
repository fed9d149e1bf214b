"""The loss oracle against the formulas as others write them, in float64 at ordinary inputs."""

from collections.abc import Callable

import mpmath as mp
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.oracle_losses import expected, lovasz_extension

C = 4
WEIGHT = [0.5, 2.0, 1.0, 3.0]
COUNTS = [100.0, 0.0, 25.0, 4.0]
PRIOR = [8.0, 1.0, 4.0, 3.0]
SPACES = {"flat": (), "sequence": (5,), "image": (2, 3)}


def check(name: str, preds: Tensor, labels: Tensor, naive: Tensor, **parameters: object) -> None:
    """Compare the oracle with float64 values."""
    values = expected(name, preds.numpy(), labels.numpy(), **parameters)
    assert all(isinstance(value, mp.mpf) for value in values)
    got = torch.tensor([float(value) for value in values], dtype=torch.float64)
    # the naive formulas lose digits where p is near 1, and no more than these at logits this small
    torch.testing.assert_close(got, naive.double(), rtol=1e-9, atol=1e-12)


def per_sample(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).mean(1)


def multiclass(space: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits [N, C, *S], labels [N, *S] and the labels as [N, C, *S]."""
    preds = 2 * torch.randn(6, C, *space, dtype=torch.float64)
    labels = torch.randint(0, C, (6, *space))
    return preds, labels, F.one_hot(labels, C).movedim(-1, 1).double()


def columns(values: list[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, C, *[1] * (like.dim() - 2))


def label_probs(x: Tensor, t: Tensor) -> Tensor:
    return x.softmax(1).gather(1, t.unsqueeze(1)).squeeze(1)


# softmax, position by position: parameters and the value per position


def naive_focal(x, t, y, gamma, alpha):
    p = label_probs(x, t)
    g = torch.tensor(gamma)[t] if isinstance(gamma, list) else gamma
    a = torch.tensor(alpha)[t] if isinstance(alpha, list) else alpha
    return a * (1 - p) ** g * -p.log()


def naive_one_vs_all(x, t, y, gamma=2.0, negatives=1.0, positives=1.0, weight=(1.0,) * C):
    p = x.softmax(1)
    p_t = p * y + (1 - p) * (1 - y)
    values = F.binary_cross_entropy(p, y, reduction="none") * (1 - p_t) ** gamma
    return (values * (positives * y + negatives * (1 - y)) * columns(weight, x)).mean(1)


def naive_poly(x, t, y, eps=1.0):
    return F.cross_entropy(x, t, reduction="none") + eps * (1 - label_probs(x, t))


def naive_ldam(x, t, y, margins, scale=1.0, weight=None):
    return F.cross_entropy(scale * (x - y * columns(margins, x)), t, weight=weight, reduction="none")


def naive_seesaw(x, t, y, counts=(1.0,) * C, p=0.8, q=2.0, weight=None):
    """As mmdet writes it: weights of the other classes added to their logits."""
    n = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    ratio = n[None] / n[:, None]
    mitigation = torch.where(ratio < 1, ratio**p, 1.0)[t].movedim(-1, 1)
    scores = x.softmax(1) / label_probs(x, t).unsqueeze(1)
    factor = mitigation * torch.where(scores > 1, scores**q, 1.0)
    return F.cross_entropy(x + factor.log() * (1 - y), t, weight=weight, reduction="none")


W = torch.tensor(WEIGHT, dtype=torch.float64)
LOG_PRIOR = (torch.tensor(PRIOR, dtype=torch.float64) / sum(PRIOR)).log()
SOFTMAX: dict[str, tuple[dict, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "ce": ({}, lambda x, t, y: F.cross_entropy(x, t, reduction="none")),
    "ce weighted": ({"weight": WEIGHT}, lambda x, t, y: F.cross_entropy(x, t, weight=W, reduction="none")),
    "ce smoothed": (
        {"weight": WEIGHT, "label_smoothing": 0.2},
        lambda x, t, y: F.cross_entropy(x, t, weight=W, label_smoothing=0.2, reduction="none"),
    ),
    "focal": ({}, lambda x, t, y: naive_focal(x, t, y, 2.0, 1.0)),
    "focal per class": (
        {"gamma": [0.0, 0.5, 2.0, 5.0], "alpha": WEIGHT},
        lambda x, t, y: naive_focal(x, t, y, [0.0, 0.5, 2.0, 5.0], WEIGHT),
    ),
    "ova-focal": ({}, naive_one_vs_all),
    "ova-focal one alpha": ({"alpha": 0.25}, lambda x, t, y: naive_one_vs_all(x, t, y, 2.0, 0.75, 0.25)),
    "ova-focal weighted": (
        {"alpha": (0.5, 2.0), "gamma": 0.5, "weight": WEIGHT},
        lambda x, t, y: naive_one_vs_all(x, t, y, 0.5, 0.5, 2.0, WEIGHT),
    ),
    "poly": ({}, naive_poly),
    "poly negative": ({"eps": -0.5}, lambda x, t, y: naive_poly(x, t, y, -0.5)),
    "poly focal": (
        {"eps": 2.0, "gamma": 1.5, "alpha": WEIGHT},
        lambda x, t, y: naive_focal(x, t, y, 1.5, WEIGHT) + 2 * W[t] * (1 - label_probs(x, t)) ** 2.5,
    ),
    "gce": ({}, lambda x, t, y: (1 - label_probs(x, t) ** 0.7) / 0.7),
    "gce one": ({"q": 1.0, "weight": WEIGHT}, lambda x, t, y: W[t] * (1 - label_probs(x, t))),
    "logit-adjusted": ({}, lambda x, t, y: F.cross_entropy(x, t, reduction="none")),
    "logit-adjusted prior": (
        {"prior": PRIOR, "tau": 1.5, "weight": WEIGHT},
        lambda x, t, y: F.cross_entropy(x + 1.5 * columns(LOG_PRIOR.tolist(), x), t, weight=W, reduction="none"),
    ),
    "ldam": ({}, lambda x, t, y: naive_ldam(x, t, y, [0.5] * C)),
    "ldam counts": (
        {"counts": COUNTS, "max_margin": 0.8, "scale": 3.0, "weight": WEIGHT},
        lambda x, t, y: naive_ldam(x, t, y, [0.8 * 0.04**0.25, 0.8, 0.8 * 0.16**0.25, 0.8], 3.0, W),
    ),
    "seesaw": ({}, naive_seesaw),
    "seesaw counted": ({"counts": COUNTS}, lambda x, t, y: naive_seesaw(x, t, y, COUNTS)),
    "seesaw counts": (
        {"counts": COUNTS, "p": 0.5, "q": 1.5, "weight": WEIGHT},
        lambda x, t, y: naive_seesaw(x, t, y, COUNTS, 0.5, 1.5, W),
    ),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("case", SOFTMAX)
def test_softmax_loss(case, space):
    parameters, naive = SOFTMAX[case]
    x, t, y = multiclass(space)
    check(case.split()[0], x, t, per_sample(naive(x, t, y)), **parameters)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("parameters", [{}, {"weight": WEIGHT, "label_smoothing": 0.2}], ids=["plain", "smoothed"])
def test_cross_entropy_of_shares(space, parameters):
    x, _, y = multiclass(space)
    shares = torch.randn_like(y).softmax(1)
    options = {**parameters, "weight": W} if parameters else {}
    check("ce", x, shares, per_sample(F.cross_entropy(x, shares, reduction="none", **options)), **parameters)
    moved = x + columns(LOG_PRIOR.tolist(), x)
    check("logit-adjusted", x, shares, per_sample(F.cross_entropy(moved, shares, reduction="none")), prior=PRIOR)


# sigmoid: parameters and the value per element


def naive_binary_focal(x, y, gamma=2.0, negatives=1.0, positives=1.0):
    p = x.sigmoid()
    return -(positives * y * (1 - p) ** gamma * p.log() + negatives * (1 - y) * p**gamma * (1 - p).log())


def naive_balanced(x, y, beta=None):
    b = 1 - y.reshape(len(y), -1).mean(1).reshape(-1, *[1] * (y.dim() - 1)) if beta is None else beta
    return -(b * y * F.logsigmoid(x) + (1 - b) * (1 - y) * F.logsigmoid(-x))


def naive_asymmetric(x, y, gamma_pos=1.0, gamma_neg=4.0, clip=0.05):
    """As the authors write it, of labels 0 and 1."""
    p, n = x.sigmoid(), (1 - x.sigmoid() + clip).clamp(max=1)
    p_t = p * y + n * (1 - y)
    return -(y * p.log() + (1 - y) * n.log()) * (1 - p_t) ** (gamma_pos * y + gamma_neg * (1 - y))


def bce(x, y, **options):
    return F.binary_cross_entropy_with_logits(x, y, reduction="none", **options)


def naive_varifocal(x, y, alpha=0.75, gamma=2.0):
    """As mmdet writes it."""
    p = x.sigmoid()
    return bce(x, y) * (y * (y > 0) + alpha * (p - y).abs() ** gamma * (y <= 0))


SIGMOID: dict[str, tuple[dict, Callable[[Tensor, Tensor], Tensor]]] = {
    "bce": ({}, bce),
    "bce weighted": (
        {"pos_weight": 3.0, "neg_weight": 0.5},
        lambda x, y: 3 * y * F.softplus(-x) + 0.5 * (1 - y) * F.softplus(x),
    ),
    "binary-focal": ({}, naive_binary_focal),
    "binary-focal one alpha": ({"alpha": 0.25}, lambda x, y: naive_binary_focal(x, y, 2.0, 0.75, 0.25)),
    "binary-focal pair": (
        {"alpha": (0.5, 2.0), "gamma": 0.5, "weight": 2.0},
        lambda x, y: 2 * naive_binary_focal(x, y, 0.5, 0.5, 2.0),
    ),
    "balanced-ce": ({}, naive_balanced),
    "balanced-ce fixed": ({"beta": 0.3}, lambda x, y: naive_balanced(x, y, 0.3)),
    "asymmetric": ({}, naive_asymmetric),
    "asymmetric unclipped": (
        {"gamma_pos": 0.0, "gamma_neg": 2.0, "clip": 0.0, "weight": 2.0},
        lambda x, y: 2 * naive_asymmetric(x, y, 0.0, 2.0, 0.0),
    ),
    "quality-focal": ({}, lambda x, y: (x.sigmoid() - y).abs() ** 2 * bce(x, y)),
    "quality-focal beta": ({"beta": 0.5}, lambda x, y: (x.sigmoid() - y).abs() ** 0.5 * bce(x, y)),
    "varifocal": ({}, naive_varifocal),
    "varifocal other": ({"alpha": 0.5, "gamma": 1.5}, lambda x, y: naive_varifocal(x, y, 0.5, 1.5)),
}


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("space", [(), (5,), (2, 3)], ids=["one", "row", "image"])
@pytest.mark.parametrize("case", SIGMOID)
def test_sigmoid_loss(case, space, soft):
    parameters, naive = SIGMOID[case]
    name = case.split()[0]
    x = 2 * torch.randn(6, *space, dtype=torch.float64)
    y = torch.rand_like(x).round()
    if soft and name != "asymmetric":  # the authors' code is of labels 0 and 1
        y = torch.where(torch.rand_like(x) < 0.7, torch.rand_like(x), y)
    check(name, x, y, per_sample(naive(x, y)), **parameters)
    check(name, x.unsqueeze(1), y, per_sample(naive(x, y)), **parameters)


def test_soft_asymmetric_is_the_mixture_of_its_sides():
    x, y = torch.randn(6, 5, dtype=torch.float64), torch.rand(6, 5, dtype=torch.float64)
    sides = [naive_asymmetric(x, torch.full_like(x, side)) for side in (0.0, 1.0)]
    check("asymmetric", x, y, per_sample((1 - y) * sides[0] + y * sides[1]))


def test_parameters_per_class_of_a_sigmoid():
    x, y = torch.randn(6, C, dtype=torch.float64), torch.rand(6, C, dtype=torch.float64).round()
    check("bce", x, y, per_sample(bce(x, y, weight=W, pos_weight=W.flip(0))), weight=WEIGHT, pos_weight=WEIGHT[::-1])
    check("asymmetric", x, y, per_sample(W * naive_asymmetric(x, y)), weight=WEIGHT)
    check("quality-focal", x, y, per_sample(W * (x.sigmoid() - y) ** 2 * bce(x, y)), weight=WEIGHT)
    check("varifocal", x, y, per_sample(W * naive_varifocal(x, y)), weight=WEIGHT)


@pytest.mark.parametrize(("ratio", "eps"), [(3.0, 0.0), (1.5, 1e-6), (0.0, 0.0)])
def test_ohem_keeps_the_positives_and_the_hardest_negatives(ratio, eps):
    x = torch.randn(8, 3, 4, dtype=torch.float64)
    y = (torch.rand_like(x) < torch.linspace(0, 1, 8, dtype=torch.float64).reshape(8, 1, 1)).double()
    values = bce(x, y)
    naive = []
    for v, truth in zip(values, y.bool(), strict=True):
        hardest = v[~truth].sort(descending=True).values[: int(ratio * int(truth.sum()))]
        kept = torch.cat([v[truth], hardest])
        naive.append(kept.sum() / (len(kept) + eps) if len(kept) else torch.tensor(0.0))
    check("ohem-ce", x, y, torch.stack(naive), negative_ratio=ratio, eps=eps)


# regions


def naive_regions(name, p, y, nr=1.0, dr=1.0, squared=False, alpha=0.3, beta=0.7, gamma=4 / 3):
    """Return a loss per row of probabilities and labels [rows, positions]."""
    k = 2 if squared else 1
    if name in ("dice", "log-cosh-dice"):
        return 1 - (2 * (p * y).sum(-1) + nr) / ((p**k).sum(-1) + (y**k).sum(-1) + dr)
    if name == "jaccard":
        overlap = (p * y).sum(-1)
        return 1 - (2 * overlap + nr) / (2 * (p.sum(-1) + y.sum(-1) - overlap) + dr)
    tp, fp, fn = (p * y).sum(-1), (p - p * y).sum(-1), (y - p * y).sum(-1)
    tversky = 1 - (2 * tp + nr) / (2 * tp + 2 * alpha * fp + 2 * beta * fn + dr)
    return tversky ** (1 / gamma) if name == "focal-tversky" else tversky


REGION = [
    ("dice", {}, {}),
    ("dice", {"squared": True, "smooth_nr": 0.5, "smooth_dr": 2.0}, {"squared": True, "nr": 0.5, "dr": 2.0}),
    ("tversky", {}, {}),
    ("tversky", {"alpha": 0.9, "beta": 0.2, "smooth_nr": 0.0}, {"alpha": 0.9, "beta": 0.2, "nr": 0.0}),
    ("focal-tversky", {}, {}),
    ("focal-tversky", {"gamma": 2.0, "smooth_dr": 3.0}, {"gamma": 2.0, "dr": 3.0}),
    ("jaccard", {"smooth_nr": 0.5}, {"nr": 0.5}),
    ("log-cosh-dice", {}, {}),
]


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize(("name", "parameters", "options"), REGION)
def test_region_loss(name, parameters, options, space, soft):
    end = (lambda v: v.cosh().log()) if name == "log-cosh-dice" else (lambda v: v)
    x, t, y = multiclass(space)
    if soft:
        y = torch.randn_like(y).softmax(1)
        y[:, 0] += y[:, 1]
        y[:, 1] = 0
    rows, truth = x.softmax(1).reshape(6, C, -1), y.reshape(6, C, -1)
    for classes in ("present", "all"):
        if space:
            values = naive_regions(name, rows, truth, **options)
            chosen = truth.sum(-1) > 0 if classes == "present" else torch.ones(6, C)
            naive = (values * chosen).sum(1) / chosen.sum(1)
        else:
            naive = naive_regions(name, rows.flatten(1), truth.flatten(1), **options)
        check(name, x, y if soft else t, end(naive), classes=classes, activation="softmax", **parameters)
    x, y = x.select(1, 0), torch.rand_like(x.select(1, 0)).round()
    naive = end(naive_regions(name, x.sigmoid().reshape(6, -1), y.reshape(6, -1), **options))
    check(name, x, y, naive, **parameters)
    check(name, x.unsqueeze(1), y, naive, **parameters)


def naive_generalized(p, y, nr=0.0, dr=0.0):
    """Return the loss of probabilities and labels [N, C, positions]."""
    w = 1 / y.sum(-1) ** 2
    largest = torch.where(w.isinf(), 0.0, w).amax(1, keepdim=True)
    w = torch.where(w.isinf(), torch.where(largest > 0, largest, 1.0), w)
    return 1 - (2 * (w * (p * y).sum(-1)).sum(1) + nr) / ((w * (p + y).sum(-1)).sum(1) + dr)


@pytest.mark.parametrize("smooth", [{}, {"nr": 0.5, "dr": 2.0}], ids=["plain", "smoothed"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_generalized_dice(space, smooth):
    parameters = {f"smooth_{key}": value for key, value in smooth.items()}
    x, t, y = multiclass(space)
    naive = naive_generalized(x.softmax(1).reshape(6, C, -1), y.reshape(6, C, -1), **smooth)
    check("generalized-dice", x, t, naive, **parameters)
    y = torch.randn_like(y).softmax(1)
    naive = naive_generalized(x.softmax(1).reshape(6, C, -1), y.reshape(6, C, -1), **smooth)
    check("generalized-dice", x, y, naive, activation="softmax", **parameters)
    y = torch.rand_like(x).round()
    y[0] = 0
    shape = (6, 1, -1) if space else (6, C, 1)
    naive = naive_generalized(x.sigmoid().reshape(shape), y.reshape(shape), **smooth)
    check("generalized-dice", x, y, naive, **parameters)


def test_weighted_sums():
    x, t, y = multiclass((5,))
    both = {"lambda_dice": 0.5, "lambda_ce": 2.0}
    dice = [naive_regions("dice", p, q)[q.sum(-1) > 0].mean() for p, q in zip(x.softmax(1), y, strict=True)]
    dice = torch.stack(dice)
    cross = F.cross_entropy(x, t, weight=W, reduction="none").mean(1)
    check("dice-ce", x, t, 0.5 * dice + 2 * cross, weight=WEIGHT, **both)
    check("dice-focal", x, t, dice + naive_focal(x, t, y, 0.5, WEIGHT).mean(1), gamma=0.5, alpha=WEIGHT)
    z, s = x[:, 0], y[:, 0]
    dice = naive_regions("dice", z.sigmoid(), s, squared=True)
    check("dice-ce", z, s, dice + bce(z, s).mean(1), squared=True)
    focal = naive_binary_focal(z, s, 2.0, 0.75, 0.25).mean(1)
    check("dice-focal", z, s, 0.5 * dice + 3 * focal, squared=True, alpha=0.25, lambda_dice=0.5, lambda_focal=3.0)


def lovasz_of(errors, truth):
    """As the authors write it: the sorted errors times the gradient from cumulated sums."""
    errors, order = errors.sort(descending=True)
    truth = truth[order]
    union = truth.sum() + (1 - truth).cumsum(0)
    jaccard = 1 - (truth.sum() - truth.cumsum(0)) / union
    return errors @ jaccard.diff(prepend=torch.zeros(1))


@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_lovasz_softmax(space, classes):
    x, t, y = multiclass(space)
    naive = []
    for p, truth in zip(x.softmax(1).reshape(6, C, -1), y.reshape(6, C, -1), strict=True):
        chosen = [c for c in range(C) if classes == "all" or truth[c].sum() > 0]
        naive.append(torch.stack([lovasz_of((truth[c] - p[c]).abs(), truth[c]) for c in chosen]).mean())
    check("lovasz", x, t, torch.stack(naive), classes=classes)


@pytest.mark.parametrize("space", [(), (7,), (3, 4)], ids=["one", "row", "image"])
def test_lovasz_hinge(space):
    x = 2 * torch.randn(6, *space, dtype=torch.float64)
    y = torch.rand_like(x).round()
    y[0], y[1] = 0, 1
    errors = (1 - x * (2 * y - 1)).clamp(min=0).reshape(6, -1)
    naive = torch.stack([lovasz_of(e, truth) for e, truth in zip(errors, y.reshape(6, -1), strict=True)])
    check("lovasz", x, y, naive)
    check("lovasz", x.unsqueeze(1), y, naive, form="hinge")
    check("lovasz", x.sigmoid(), y, naive, preds_are="probs")


def test_lovasz_extension_of_a_set_is_its_jaccard_loss():
    """At errors 0 and 1 the extension is the set function: |M| / |{y = 1} u M|."""
    for bits in range(2**8):
        wrong, truth = [bits >> i & 1 for i in range(4)], [bits >> (4 + i) & 1 for i in range(4)]
        union = sum(w or t for w, t in zip(wrong, truth, strict=True))
        loss = lovasz_extension([mp.mpf(w) for w in wrong], truth)
        assert float(loss) == pytest.approx(sum(wrong) / union if union else 0)
