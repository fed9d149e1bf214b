"""What a report holds: the JSON of ``evaltool report --json``, of which page, Markdown, terminal and gate are views.

What is not known is None: a rate without a sample, an interval where nothing can be resampled.  Losses go by their
column's name, classes by their index; ``names`` has the names.  All numbers are finite.
"""

from typing import Any, TypedDict

FORMAT = 1


class Estimate(TypedDict):
    """A number with its 95% interval.

    Wilson's for proportions, ``calibration_bounds``'s for calibration errors, a Poisson bootstrap's for the rest.
    """

    value: float | None
    low: float | None
    high: float | None


class Verdict(TypedDict):
    """What to think of it."""

    imbalance: str  # "problem", "minor", "none" (not your problem) or "unknown" (too little to tell)
    sentences: list[str]  # three: is it imbalance; which classes; what to do first
    classes: list[int]  # that the second sentence names
    evidence: dict[str, float | None]  # the numbers behind: head_recall, tail_recall, recall_gap, recall_gap_low, ...


class Imbalance(TypedDict):
    """How uneven the label counts are, and how far the predictions are from them."""

    counted: str  # what counts: "samples", "positives" (multilabel) or "positions"
    ratio: float | None  # largest count over smallest above 0
    entropy: float | None  # nats
    entropy_share: float | None  # entropy / ln C, 1 for equal counts
    effective_classes: float | None  # exp(entropy)
    lrid: float | None  # likelihood-ratio imbalance degree, -2 sum n_c ln(N / (C n_c)) >= 0, 0 if balanced
    gini: float | None
    n_absent: int  # classes without a label
    lorenz: list[list[float]]  # share of the classes (rarest first), share of the labels; at most 200 points
    prior_shift: float | None  # total variation between label and prediction frequencies, in [0, 1]


class ClassLoss(TypedDict):
    """One loss at the labels of a class (multilabel: at all decisions about it, positive and negative)."""

    mean: Estimate
    p50: float | None
    p90: float | None
    p99: float | None
    share: float | None  # of the whole finite loss; None where none of the class's is finite
    # share / the class's share of what was summed: labels, positions or (multilabel) decisions with a finite loss, all
    # of them for a region loss; 1 where a class carries what its size says
    share_ratio: Estimate


class ClassRow(TypedDict):
    """One class."""

    index: int
    name: str
    group: str  # a name of Groups.rows
    count: int  # labels
    train_count: float | None  # where --train-counts was given
    share: float | None
    predicted: int
    predicted_share: float | None
    recall: Estimate
    precision: Estimate
    f1: Estimate  # which is the Dice score
    iou: Estimate
    average_precision: Estimate
    auroc: Estimate
    ece: Estimate  # class-wise calibration error
    losses: dict[str, ClassLoss]
    per_image: dict[str, float | None] | None  # segmentation: IoU by image: p10, p50, p90, n; labelled images


class GroupRow(TypedDict):
    """The classes of one frequency group together."""

    name: str  # "many", "medium", "few"; with --split lvis "frequent", "common", "rare"
    rule: str  # for instance "more than 100 training samples"
    classes: list[int]
    count: int
    share: float | None
    recall: Estimate  # mean over its classes
    precision: Estimate
    f1: Estimate
    losses: dict[str, ClassLoss]


class Groups(TypedDict):
    """The many / medium / few split."""

    split: str  # "many-medium-few" or "lvis"
    by: str  # "training counts" or "label counts"
    rows: list[GroupRow]  # those that have classes, most frequent first


class Pair(TypedDict):
    """A confusion: label taken for pred."""

    label: int
    pred: int
    count: int
    share_of_label: float | None  # count / labels of that class
    loss: float | None  # sum over its samples; None where pairs have no loss of their own
    loss_share: float | None  # of the whole loss
    mean_loss: float | None


class Confusions(TypedDict):
    """Confusions by the loss that they carry."""

    loss: str | None  # which loss; None where pairs have no loss of their own and count orders them
    pairs: list[Pair]  # at most 50, dearest first
    n_pairs: int  # confusions that occur
    block: list[int]  # classes of the heat map: all, or the 25 that the dearest confusions join
    counts: list[list[int]]  # [label][pred] over block


class GammaRow(TypedDict):
    """What focusing would do."""

    gamma: float
    easy_half_share: float | None  # of the focal loss at this gamma carried by the half with the lowest loss
    hardest_tenth_share: float | None
    effective_samples: float | None  # (sum of loss)^2 / sum of loss^2


class Hardness(TypedDict):
    """How one loss is spread over the samples."""

    histogram: list[dict[str, float]]  # bins of equal width in log2: low, high, count, loss; at most 120
    lorenz: list[list[float]]  # share of the samples (easiest first), share of the loss; at most 200 points
    easy_half_share: float | None
    hardest_tenth_share: float | None
    hardest_hundredth_share: float | None


class Focusing(TypedDict):
    """Would a focal loss help."""

    rows: list[GammaRow]  # gamma 0, 0.5, 1, 2, 3, 5; empty where it cannot be told
    suggested: float | None
    reason: str  # why this gamma, or why none can be told


class CalibrationBin(TypedDict):
    """One bin of the reliability diagram."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: Estimate


class Temperature(TypedDict):
    """The temperature that would fix the calibration: p^(1/T), fitted on half of the rows, measured on the other."""

    value: float | None
    nll_before: float | None
    nll_after: float | None
    ece_before: float | None
    ece_after: float | None
    n_rows: int
    reason: str  # why it is not known; "" where it is


class Calibration(TypedDict):
    """How far confidence is from being right."""

    ece: Estimate  # top-label; of multilabel the class-wise one
    ece_class_wise: Estimate
    brier: float | None
    bins: list[CalibrationBin]
    temperature: Temperature


class WeightRule(TypedDict):
    """Class weights by one rule."""

    rule: str
    weights: list[float]  # as the rule has them; one per class
    torch: str  # ready to paste
    option: str  # for evaltool: --class-weights 1,2,3 (or the rule's name where that is too long)


class Adjustment(TypedDict):
    """Logit adjustment: logits - tau log prior (Menon 2021), tau chosen on half of the rows, measured on the other."""

    tau: float | None
    balanced_accuracy_before: float | None
    balanced_accuracy_after: float | None
    gain: Estimate  # of balanced accuracy, on the held-out half
    accuracy_before: float | None
    accuracy_after: float | None
    n_rows: int  # in the held-out half
    torch: str
    reason: str  # why it is not known; "" where it is


class Correction(TypedDict):
    """A bias per class that brings predictions to the labels' prior; fitted and measured on a half of the rows each."""

    values: list[float]  # to add to the logits; one per class, of binary and one foreground class one
    accuracy_before: float | None
    accuracy_after: float | None
    balanced_accuracy_before: float | None
    balanced_accuracy_after: float | None
    gain: Estimate  # of accuracy, on the held-out half
    n_rows: int  # in the held-out half
    torch: str
    reason: str  # why it is not known; "" where it is


class Threshold(TypedDict):
    """The threshold of a sigmoid that gives the best F1, from the bins of ``state.npz``."""

    index: int
    threshold: float | None  # of the probability
    f1_before: float | None  # at 0.5
    f1_after: float | None
    recall_after: float | None
    precision_after: float | None


class Action(TypedDict):
    """Something to try, the most promising first."""

    title: str
    why: str  # with the numbers
    command: str  # to paste, "" where there is none


class Advice(TypedDict):
    """What to try."""

    actions: list[Action]
    weights: list[WeightRule]
    alpha: dict[str, Any]  # values: list[float] per class (balanced, mean 1), torch: str, option: str
    prior_bias: dict[str, Any]  # values: list[float] per class, torch: str
    adjustment: Adjustment
    correction: Correction
    thresholds: list[Threshold]  # binary and multilabel


class SliceRow(TypedDict):
    """One group of --group-by."""

    group: str
    count: int  # scored rows
    rates: dict[str, Estimate]  # accuracy, balanced_accuracy (iou of segmentation; none of regression)
    losses: dict[str, Estimate]  # means
    difference: Estimate  # of the first loss's mean to the other rows'
    p_value: float | None  # two-sided, that the difference is chance
    q_value: float | None  # Benjamini-Hochberg over the groups
    significant: bool  # q <= 0.05
    worst_class: int | None  # lowest recall in the group


class Slices(TypedDict):
    """The same numbers by group."""

    column: str
    n_missing: int  # rows without a group, reported as their own group "(none)"
    rows: list[SliceRow]  # at most 200, worst first
    n_groups: int


class Distribution(TypedDict):
    """How a per-sample column is spread."""

    count: int
    mean: float | None
    p01: float | None
    p10: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    histogram: list[dict[str, float]]  # low, high, count; 20 bins


class ChangeRow(TypedDict):
    """One class in two runs; differences are the second run minus the first, paired by sample."""

    index: int
    name: str
    recall_before: float | None
    recall_after: float | None
    recall: Estimate
    precision_before: float | None
    precision_after: float | None
    losses: dict[str, Estimate]  # differences of the mean
    gained: int | None  # wrong before, right after; None where a row does not say which decisions are right
    lost: int | None


class Comparison(TypedDict):
    """Two runs side by side."""

    other: str  # name of the second run
    paired_by: str  # "id" or "index"
    n_paired: int
    n_only_first: int
    n_only_second: int
    n_label_changed: int | None  # None where a row has no single label
    rates: dict[str, dict[str, Any]]  # accuracy, balanced_accuracy: before, after, difference: Estimate
    losses: dict[str, dict[str, Any]]  # the same
    classes: list[ChangeRow]
    groups: list[dict[str, Any]]  # mean over a group's classes: name, recall_before, recall_after, recall: Estimate
    sentences: list[str]  # what changed, in words


class GateRow(TypedDict):
    """What came of one --fail-if."""

    expression: str
    values: dict[str, float | None]  # of its names
    failed: bool  # it holds, or cannot be told
    known: bool  # it can be told


class Provenance(TypedDict):
    """Where it comes from."""

    evaltool: str  # version that made the report
    command: str  # that scored
    report_command: str
    inputs: list[dict[str, Any]]
    decisions: list[str]
    statuses: dict[str, int]
    n_clamped: int
    n_infinite: int
    n_failed: int
    losses: list[dict[str, str]]  # column, formula
    versions: dict[str, str]
    engine: str
    device: str
    started: str
    seconds: float
    failure: str | None
    notes: list[str]  # what could not be computed and why, and at which classes losses are infinite


class Report(TypedDict):
    """A report."""

    format: int
    name: str  # of the run
    task: str
    preds_are: str | None
    n_samples: int
    n_scored: int
    names: list[str]  # of the classes
    rates: dict[str, Estimate]  # accuracy, balanced_accuracy, macro_f1, mcc, kappa, auroc, average_precision, ...
    losses: dict[str, dict[str, float | None]]  # mean, sum, p50, p90, p99, max; the ranking loss first
    verdict: Verdict
    gates: list[GateRow]  # in the order given
    imbalance: Imbalance | None  # None in regression
    classes: list[ClassRow]
    groups: Groups | None
    confusions: Confusions | None
    hardness: dict[str, Hardness]
    focusing: Focusing | None
    calibration: Calibration | None
    advice: Advice | None
    slices: Slices | None
    distributions: dict[
        str, Distribution
    ]  # segmentation: iou, accuracy, dice per image; regression: residuals, |residual|
    hardest: list[dict[str, Any]]  # rows of the run, as in summary.json
    comparison: Comparison | None
    provenance: Provenance
