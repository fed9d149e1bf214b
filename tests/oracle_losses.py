"""Every loss of the catalogue in 60-digit arithmetic, from its paper, sample by sample; shares no code with evaltool.

    expected("poly", preds, labels, eps=2.0)    one mpmath number per sample of a NumPy batch

The losses take one sample as plain lists, ignored positions already left out. Of a softmax: ``probs`` (or ``logits``),
a list over the classes per position, and ``labels``, per position a class or a list of shares. Of a sigmoid: ``pairs``,
[1 - p, p] per element, ``labels``, numbers in [0, 1], and ``columns``, the element's class, for parameters that are
per class. A region is a list of (p, 1 - p, y). Parameters that modules keep per class are rounded to float32 (`at`);
every other parameter is the double it is.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp

from tests.oracle import exact, focal, minus_log, power, rest
from tests.oracle_samples import (
    ONE,
    ZERO,
    Sample,
    at,
    away,
    expectation,
    from_logits,
    is_one,
    mean,
    raised,
    samples,
    sides,
    times,
)

# softmax: probs, labels


def cross_entropy(probs, labels, /, *, weight=None, label_smoothing=0.0):
    """-sum_c w_c y_c log p_c, y smoothed to (1 - s) y + s / C: torch.nn.functional.cross_entropy, reduction none."""
    smoothing = exact(label_smoothing)

    def at_position(p, t):
        shares = t if isinstance(t, list) else [int(c == t) for c in range(len(p))]
        smoothed = [(1 - smoothing) * y + smoothing / len(p) for y in shares]
        return mp.fsum(at(weight, c) * y * minus_log(p, c) for c, y in enumerate(smoothed) if y)

    return mean(at_position(p, t) for p, t in zip(probs, labels, strict=True))


def focal_loss(probs, labels, /, *, gamma=2.0, alpha=None):
    """alpha_t (1 - p_t)^gamma (-log p_t), gamma per label as well."""
    return mean(at(alpha, t) * focal(p, t, at(gamma, t)) for p, t in zip(probs, labels, strict=True))


def one_vs_all_focal(probs, labels, /, *, gamma=2.0, alpha=None, weight=None):
    """Mean over all classes c of w_c times the binary focal loss of p_c with label [c = t]."""

    def at_position(p, t):
        two = [[rest(p, c), p[c]] for c in range(len(p))]
        return mean(
            at(weight, c) * sides(alpha)[c == t] * focal(q, int(c == t), at(gamma, c)) for c, q in enumerate(two)
        )

    return mean(at_position(p, t) for p, t in zip(probs, labels, strict=True))


def poly_loss(probs, labels, /, *, eps=1.0, gamma=0.0, alpha=None):
    """alpha_t (q^gamma (-log p) + eps q^(gamma + 1)), q = 1 - p_t."""

    def at_position(p, t):
        g, q = at(gamma, t), rest(p, t)
        return at(alpha, t) * (focal(p, t, g) + exact(eps) * power(q, g) * q)

    return mean(at_position(p, t) for p, t in zip(probs, labels, strict=True))


def generalized_cross_entropy(probs, labels, /, *, q=0.7, weight=None):
    """w_t (1 - p_t^q) / q."""
    return mean(
        at(weight, t) * -mp.expm1(-exact(q) * minus_log(p, t)) / exact(q) for p, t in zip(probs, labels, strict=True)
    )


def logit_adjusted(probs, labels, /, *, prior=None, tau=1.0, weight=None):
    """Cross-entropy of softmax(z + tau log prior), that is of p_c prior_c^tau over its sum."""
    tilts = [raised(exact(at(prior, c)), tau) for c in range(len(probs[0]))]

    def tilted(p):
        values = [times(tilt, v) for tilt, v in zip(tilts, p, strict=True)]
        total = mp.fsum(values)
        return [v / total for v in values]

    return cross_entropy([tilted(p) for p in probs], labels, weight=weight)


def ldam_loss(logits, labels, /, *, counts=None, max_margin=0.5, scale=1.0, weight=None):
    """Cross-entropy of scale (z - margin_t at t), margin_j = max_margin (n_min / n_j)^(1/4)."""
    n = [exact(at(counts, c)) for c in range(len(logits[0]))]
    fewest = min((v for v in n if v > 0), default=ONE)
    margins = [exact(max_margin) * (mp.root(fewest / v, 4) if v > 0 else 1) for v in n]

    def at_position(z, t):
        moved = [exact(scale) * (v - margins[t] if c == t else v) for c, v in enumerate(z)]
        return at(weight, t) * minus_log(from_logits(moved), t)

    return mean(at_position(z, t) for z, t in zip(logits, labels, strict=True))


def seesaw_loss(probs, labels, /, *, counts=None, p=0.8, q=2.0, weight=None):
    """w_t -log(e^z_t / (e^z_t + sum_{j != t} M C e^z_j)): M by the counts, C by the probabilities."""
    n = [max(exact(at(counts, c)), ONE) for c in range(len(probs[0]))]

    def at_position(s, t):
        if s[t] == 0:
            return mp.inf
        ratios = []
        for j in range(len(s)):
            if j != t:
                mitigation = raised(n[j] / n[t], p) if n[t] > n[j] else ONE
                compensation = raised(s[j] / s[t], q) if s[j] > s[t] else ONE
                ratios.append(mitigation * compensation * s[j] / s[t])
        return at(weight, t) * mp.log1p(mp.fsum(ratios))

    return mean(at_position(s, t) for s, t in zip(probs, labels, strict=True))


def lovasz_extension(errors: Sequence[Any], truth: Sequence[int]) -> Any:
    """Return sum_i m_i (J(pi_1..pi_i) - J(pi_1..pi_{i-1})), errors falling, J(M) = |M| / |{y = 1} u M|."""
    order = sorted(range(len(errors)), key=lambda i: errors[i], reverse=True)
    positives, outside, before, terms = sum(truth), 0, ZERO, []
    for size, i in enumerate(order, 1):
        outside += 1 - truth[i]
        jaccard = mp.mpf(size) / (positives + outside)
        terms.append(times(jaccard - before, errors[i]))
        before = jaccard
    return mp.fsum(terms)


def lovasz_softmax(probs, labels, /, *, classes="present"):
    """Lovasz extension of every class's errors 1 - p_c (y = 1) and p_c (y = 0), mean over classes."""
    chosen = range(len(probs[0])) if classes == "all" else sorted(set(labels))
    return mean(
        lovasz_extension(
            [rest(p, c) if t == c else p[c] for p, t in zip(probs, labels, strict=True)],
            [int(t == c) for t in labels],
        )
        for c in chosen
    )


# sigmoid: pairs, labels, columns


def elementwise(
    value: Callable[[Any, int, Any], Any], pairs: Any, labels: Any, columns: Any, weight: Any = None
) -> Any:
    """Return the mean over the elements of w (y value(p, 1, c) + (1 - y) value(p, 0, c)), c the element's class."""
    return mean(
        at(weight, c) * expectation(y, lambda side, p=p, c=c: value(p, side, c))
        for p, y, c in zip(pairs, labels, columns, strict=True)
    )


def binary_cross_entropy(pairs, labels, columns, /, *, pos_weight=None, neg_weight=None, weight=None):
    """w (-(pw y log p + nw (1 - y) log(1 - p)))."""
    factors = (neg_weight, pos_weight)
    return elementwise(lambda p, side, c: at(factors[side], c) * minus_log(p, side), pairs, labels, columns, weight)


def binary_focal(pairs, labels, columns, /, *, gamma=2.0, alpha=None, weight=None):
    """w (a_pos y (1 - p)^gamma (-log p) + a_neg (1 - y) p^gamma (-log(1 - p)))."""
    factors = sides(alpha)
    return elementwise(lambda p, side, c: factors[side] * focal(p, side, at(gamma, c)), pairs, labels, columns, weight)


def balanced_cross_entropy(pairs, labels, columns, /, *, beta=None):
    """-(b y log p + (1 - b)(1 - y) log(1 - p)), b the share of negatives in the sample."""
    positives = mean(labels) if beta is None else 1 - exact(beta)
    factors = (positives, 1 - positives)
    return elementwise(lambda p, side, c: times(factors[side], minus_log(p, side)), pairs, labels, columns)


def ohem_cross_entropy(pairs, labels, columns, /, *, negative_ratio=3.0, eps=0.0):
    """(k positives + the hardest floor(ratio k) negatives) / (how many those are + eps)."""
    positives = [minus_log(p, 1) for p, y in zip(pairs, labels, strict=True) if is_one(y)]
    negatives = [minus_log(p, 0) for p, y in zip(pairs, labels, strict=True) if not is_one(y)]
    count = min(len(negatives), math.floor(negative_ratio * len(positives)))
    kept = positives + sorted(negatives, reverse=True)[:count]
    return mp.fsum(kept) / (len(kept) + exact(eps)) if kept else ZERO


def asymmetric_loss(pairs, labels, columns, /, *, gamma_pos=1.0, gamma_neg=4.0, clip=0.05, weight=None):
    """w (y (1 - p)^g+ (-log p) + (1 - y) m^g- (-log(1 - m))), m = max(p - clip, 0)."""
    clip = exact(clip)

    def value(p, side, c):
        if side:
            return focal(p, 1, at(gamma_pos, c))
        shifted = [p[0] + clip, p[1] - clip] if p[1] > clip else [ONE, ZERO]
        return focal(shifted, 0, at(gamma_neg, c))

    return elementwise(value, pairs, labels, columns, weight)


def quality_focal(pairs, labels, columns, /, *, beta=2.0, weight=None):
    """w |y - p|^beta (-(y log p + (1 - y) log(1 - p)))."""

    def value(p, y):
        distance = raised(away(p, y), beta)
        return times(distance, expectation(y, lambda side: minus_log(p, side)))

    return mean(at(weight, c) * value(p, y) for p, y, c in zip(pairs, labels, columns, strict=True))


def varifocal(pairs, labels, columns, /, *, alpha=0.75, gamma=2.0, weight=None):
    """w y (-(y log p + (1 - y) log(1 - p))) where y > 0; w alpha p^gamma (-log(1 - p)) where y = 0."""

    def value(p, y):
        if y > 0:
            return y * expectation(y, lambda side: minus_log(p, side))
        return exact(alpha) * raised(p[1], gamma) * minus_log(p, 0)

    return mean(at(weight, c) * value(p, y) for p, y, c in zip(pairs, labels, columns, strict=True))


def lovasz_hinge(logits, labels, /, *, classes="present"):
    """Lovasz extension of the errors max(1 - x (2 y - 1), 0); always one class, whatever ``classes`` says."""
    truth = [int(is_one(y)) for y in labels]
    return lovasz_extension([max(1 - x * (2 * y - 1), ZERO) for x, y in zip(logits, truth, strict=True)], truth)


# regions: lists of (p, 1 - p, y)


def overlaps(region: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return TP = sum p y, FP = sum p (1 - y), FN = sum (1 - p) y."""
    return (
        mp.fsum(p * y for p, _, y in region),
        mp.fsum(p * (1 - y) for p, _, y in region),
        mp.fsum(q * y for _, q, y in region),
    )


def excess(nr: float, dr: float, overlap: Any, misses: Any) -> Any:
    """Return 1 - (overlap + nr) / (overlap + misses + dr) without the difference, 0 of nothing."""
    size = overlap + misses + exact(dr)
    return (misses + exact(dr) - exact(nr)) / size if size else ZERO


def tversky_of(region, *, alpha, beta, smooth_nr=1.0, smooth_dr=1.0):
    """Return 1 - (2 TP + nr) / (2 TP + 2 alpha FP + 2 beta FN + dr)."""
    tp, fp, fn = overlaps(region)
    return excess(smooth_nr, smooth_dr, 2 * tp, 2 * (exact(alpha) * fp + exact(beta) * fn))


def dice_of(region, *, smooth_nr=1.0, smooth_dr=1.0, squared=False):
    """Return 1 - (2 sum p y + nr) / (sum p^k + sum y^k + dr); p^2 + y^2 - 2 p y is (p - y)^2."""
    if not squared:
        return tversky_of(region, alpha=0.5, beta=0.5, smooth_nr=smooth_nr, smooth_dr=smooth_dr)
    overlap = 2 * mp.fsum(p * y for p, _, y in region)
    return excess(smooth_nr, smooth_dr, overlap, mp.fsum(away((q, p), y) ** 2 for p, q, y in region))


def dice_loss(regions, /, **parameters):
    """Mean over the classes' Dice losses."""
    return mean(dice_of(region, **parameters) for region in regions)


def tversky_loss(regions, /, *, alpha=0.3, beta=0.7, **smooth):
    """Mean over the classes' Tversky losses, alpha on false positives."""
    return mean(tversky_of(region, alpha=alpha, beta=beta, **smooth) for region in regions)


def focal_tversky(regions, /, *, alpha=0.3, beta=0.7, gamma=4 / 3, **smooth):
    """Mean over the classes' (Tversky loss)^(1 / gamma); a loss below 0 (smooth_nr > smooth_dr) counts as 0."""
    values = [tversky_of(region, alpha=alpha, beta=beta, **smooth) for region in regions]
    return mean(max(value, ZERO) ** (1 / exact(gamma)) for value in values)


def jaccard_loss(regions, /, **smooth):
    """Mean over the classes' 1 - (2 I + nr) / (2 U + dr)."""
    return mean(tversky_of(region, alpha=1, beta=1, **smooth) for region in regions)


def log_cosh_dice(regions, /, **parameters):
    """log(cosh(D)) = log1p(2 sinh(D / 2)^2)."""
    return mp.log1p(2 * mp.sinh(dice_loss(regions, **parameters) / 2) ** 2)


def generalized_dice(regions, /, *, smooth_nr=0.0, smooth_dr=0.0):
    """1 - (2 sum w p y + nr) / (sum w (p + y) + dr), w_c = 1 / (sum y_c)^2, absent classes the largest of those."""
    sizes = [mp.fsum(y for _, _, y in region) for region in regions]
    smallest = min((size for size in sizes if size), default=ONE)
    weights = [1 / (size or smallest) ** 2 for size in sizes]
    parts = [overlaps(region) for region in regions]
    overlap = mp.fsum(2 * w * tp for w, (tp, _, _) in zip(weights, parts, strict=True))
    misses = mp.fsum(w * (fp + fn) for w, (_, fp, fn) in zip(weights, parts, strict=True))
    return excess(smooth_nr, smooth_dr, overlap, misses)


# the entry point


def dice_ce(sample, *, lambda_dice=1.0, lambda_ce=1.0, weight=None, classes="present", **parameters):
    """Weighted sum of the Dice loss and the (binary) cross-entropy."""
    if sample.softmax:
        entropy = cross_entropy(sample.probs, sample.labels, weight=weight)
    elif weight is None:
        entropy = binary_cross_entropy(sample.probs, sample.labels, sample.columns)
    else:
        raise ValueError("weight belongs to the softmax")
    region = dice_loss(sample.regions(classes=classes), **parameters)
    return times(exact(lambda_dice), region) + times(exact(lambda_ce), entropy)


def dice_focal(sample, *, lambda_dice=1.0, lambda_focal=1.0, gamma=2.0, alpha=None, classes="present", **parameters):
    """Weighted sum of the Dice loss and the (binary) focal loss."""
    if sample.softmax:
        focus = focal_loss(sample.probs, sample.labels, gamma=gamma, alpha=alpha)
    else:
        focus = binary_focal(sample.probs, sample.labels, sample.columns, gamma=gamma, alpha=alpha)
    region = dice_loss(sample.regions(classes=classes), **parameters)
    return times(exact(lambda_dice), region) + times(exact(lambda_focal), focus)


SOFTMAX = {
    "ce": cross_entropy,
    "focal": focal_loss,
    "ova-focal": one_vs_all_focal,
    "poly": poly_loss,
    "gce": generalized_cross_entropy,
    "logit-adjusted": logit_adjusted,
    "ldam": ldam_loss,
    "seesaw": seesaw_loss,
}
SIGMOID = {
    "bce": binary_cross_entropy,
    "binary-focal": binary_focal,
    "balanced-ce": balanced_cross_entropy,
    "ohem-ce": ohem_cross_entropy,
    "asymmetric": asymmetric_loss,
    "quality-focal": quality_focal,
    "varifocal": varifocal,
}
REGION = {
    "dice": dice_loss,
    "tversky": tversky_loss,
    "focal-tversky": focal_tversky,
    "jaccard": jaccard_loss,
    "log-cosh-dice": log_cosh_dice,
}
BOTH = {"dice-ce": dice_ce, "dice-focal": dice_focal}
NAMES = (*SOFTMAX, *SIGMOID, *REGION, *BOTH, "generalized-dice", "lovasz")
SOFT = ("ce", "logit-adjusted", *REGION, "dice-ce", "generalized-dice")  # softmax losses that take shares


def value_of(name: str, sample: Sample, parameters: dict[str, Any]) -> Any:
    """Return a loss's value of one sample."""
    if not sample.rows:
        return ZERO
    if isinstance(sample.labels[0], list) and name not in SOFT:
        raise ValueError(f"{name} takes classes, not shares")
    if name in SOFTMAX:
        return SOFTMAX[name](sample.logits if name == "ldam" else sample.probs, sample.labels, **parameters)
    if name in SIGMOID:
        return SIGMOID[name](sample.probs, sample.labels, sample.columns, **parameters)
    if name in BOTH:
        return BOTH[name](sample, **parameters)
    if name == "generalized-dice":
        return generalized_dice(sample.regions(pooled=False, classes="all"), **parameters)
    if name == "lovasz":
        given, loss = (sample.probs, lovasz_softmax) if sample.softmax else (sample.logits, lovasz_hinge)
        return loss(given, sample.labels, **parameters)
    parameters = dict(parameters)
    return REGION[name](sample.regions(classes=parameters.pop("classes", "present")), **parameters)


def expected(
    name: str, preds: Any, labels: Any, *, preds_are: str = "logits", ignore_index: int = -100, **parameters: Any
) -> list[Any]:
    """Return what the loss of that registry name should be: one mpmath number per sample, 0 where all is ignored.

    preds are [N, C, *S] and labels [N, *S] or shares [N, C, *S] for a softmax; labels as preds for a sigmoid. Losses of
    both sorts take ``activation="auto"|"softmax"|"sigmoid"``, lovasz ``form="auto"|"softmax"|"hinge"``.
    """
    if name not in NAMES:
        raise ValueError(f"{name!r}, expected one of {', '.join(NAMES)}")
    by = "softmax" if name in SOFTMAX else "sigmoid"
    if name == "lovasz":
        form = parameters.pop("form", "auto")
        by = "sigmoid" if form == "hinge" else form
    elif name not in SOFTMAX and name not in SIGMOID:
        by = parameters.pop("activation", "auto")
    batch = samples(preds, labels, by=by, preds_are=preds_are, ignore_index=ignore_index)
    return [value_of(name, sample, parameters) for sample in batch]
