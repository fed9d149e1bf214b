"""The vocabulary: tasks, kinds, statuses, column names and default losses, each written once."""

TASKS = ("multiclass", "binary", "multilabel", "segmentation", "regression")
KINDS = ("logits", "probs", "log-probs")
REDUCTIONS = ("none", "mean", "sum")

STATUSES = ("ok", "ignored", "nonfinite", "bad_label", "bad_preds")
OK, IGNORED, NONFINITE, BAD_LABEL, BAD_PREDS = range(len(STATUSES))
BAD_STATUSES = ("nonfinite", "bad_label", "bad_preds")

DEFAULT_LOSSES = {
    "multiclass": ("ce", "focal", "dice"),
    "segmentation": ("ce", "focal", "dice"),
    "binary": ("bce", "binary-focal", "dice"),
    "multilabel": ("bce", "binary-focal", "dice"),
    "regression": ("l1", "mse"),
}
DEFAULT_LOSSES_OF_SHARES = ("ce", "dice")  # where labels are shares of the classes

WEIGHT_RULES = ("inverse", "sqrt-inverse", "median-frequency", "enet", "effective-number", "repeat-factor")
WEIGHT_WORDS = {**{rule: rule for rule in WEIGHT_RULES}, "balanced": "effective-number"}  # what is typed for a rule
PREDS_DTYPES = ("bfloat16", "float16", "float32", "float64")
OUTPUT_DTYPES = ("float16", "float32", "float64")  # what predictions are written as
# what a reviewer decides about a row, and the columns of the file that says so
DECISIONS = ("accept", "keep", "relabel", "unsure", "skip")
DECISION_COLUMNS = ("index", "id", "class", "label", "suggested", "decision", "new_label", "reviewer", "time")
PROGRESS = ("auto", "rich", "plain", "none")
ENGINES = ("auto", "fused", "torch", "torchscript", "onnxruntime", "aoti")

# columns that every run of a task has, in order; the losses stand where LOSSES is, `id` only where ids are given
LOSSES = "*losses"
COLUMNS = {
    "multiclass": ("index", "id", "label", "pred", "status", LOSSES, "p_label", "p_pred", "margin", "entropy"),
    "binary": ("index", "id", "label", "pred", "status", LOSSES, "p_label", "p_pred", "margin", "entropy"),
    "multilabel": (
        *("index", "id", "n_wrong", "worst_class", "worst_class_loss", "status", LOSSES),
        *("p_label", "p_pred", "margin", "entropy"),
    ),
    "segmentation": (
        *("index", "id", "n_valid", "accuracy", "iou", "worst_class", "status", LOSSES),
        *("p_label", "p_pred", "margin", "entropy"),
    ),
    "regression": ("index", "id", "label", "pred", "status", LOSSES),
}
INTEGER_COLUMNS = ("index", "label", "pred", "n_wrong", "n_valid", "worst_class")
# known of a sample whatever its status; every other column is null where the status is not ok
ALWAYS_KNOWN = ("index", "id", "label", "status")

COLUMN_MEANINGS = {
    "index": "row in the input, from 0",
    "label": "the label given",
    "pred": "the most probable class, the first of equals",
    "status": "ok, ignored, nonfinite, bad_label or bad_preds",
    "p_label": "probability of the label",
    "p_pred": "probability of pred",
    "margin": "p_label minus the probability of the best other class, in [-1, 1]",
    "entropy": "-sum p log p of the prediction, in nats",
    "n_wrong": "classes whose label and prediction differ",
    "worst_class": "the class whose label has the lowest probability (multilabel) or the lowest IoU",
    "worst_class_loss": "cross-entropy of the worst class, in nats",
    "n_valid": "positions that are not ignored",
    "accuracy": "share of the valid positions predicted right",
    "iou": "intersection over union, mean over the classes in the label",
}


def is_softmax(task: str, foreground: bool) -> bool:
    """Whether the classes share one distribution per position; in the other classifications each has a sigmoid."""
    return task == "multiclass" or (task == "segmentation" and not foreground)
