"""Libraries that give some of the numbers: cleanlab, torchmetrics, MONAI, scikit-learn."""

import warnings
from typing import Any

import numpy as np

from tests.peers import libraries

from .contest import Contestant, Ready, batches_of
from .problems import Problem
from .torch_peers import ready

# what torchmetrics imports of it; tests/peers/libraries.py says why it is not imported whole
TORCHVISION = "torchvision.transforms"
ELEMENTS = ("multilabel",)
SOFTMAX = ("multiclass", "segmentation")


def probabilities(problem: Problem) -> np.ndarray:
    """Return what libraries take that know no logits; part of what is measured, for evaltool starts from them too."""
    import torch

    preds = problem.preds
    return (torch.sigmoid(preds) if problem.shape.task in ELEMENTS else torch.softmax(preds, 1)).numpy()


def cleanlab(problem: Problem, threads: int) -> Ready:
    """Prepare cleanlab's three scores of a row."""
    from cleanlab.rank import get_label_quality_scores

    methods = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")

    def run(_: None) -> dict[str, np.ndarray]:
        probs, labels = probabilities(problem), problem.labels.numpy()
        return {
            f"cleanlab_{method}": get_label_quality_scores(labels, probs, method=method, adjust_pred_probs=False)
            for method in methods
        }

    return Ready(run)


def cleanlab_masks(problem: Problem, threads: int) -> Ready:
    """Prepare cleanlab's score of an image."""
    from cleanlab.segmentation.rank import get_label_quality_scores

    def run(_: None) -> dict[str, np.ndarray]:
        labels = problem.labels.numpy().astype(np.int64)
        image, _pixels = get_label_quality_scores(labels, probabilities(problem), verbose=False)
        return {"cleanlab_softmin": image}

    return Ready(run)


def cleanlab_multilabel(problem: Problem, threads: int) -> Ready:
    """Prepare cleanlab's scores of a row's classes; it takes lists of the classes that are true."""
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    def run(_: None) -> dict[str, np.ndarray]:
        labels = [np.flatnonzero(row).tolist() for row in problem.labels.numpy()]
        scores = get_label_quality_scores_per_class(labels, probabilities(problem))
        return {"p_label": scores.min(1)}

    return Ready(run)


def torchmetrics(problem: Problem, threads: int) -> Ready:
    """Prepare torchmetrics' counts of a data set, updated batch by batch."""
    import torch

    with libraries.empty_parents(TORCHVISION):
        from torchmetrics import MetricCollection
        from torchmetrics import classification as metrics

    classes = problem.shape.classes
    if problem.shape.task in ELEMENTS:
        made = {
            "accuracy": metrics.MultilabelAccuracy(classes, average="micro", validate_args=False),
            "confusion": metrics.MultilabelConfusionMatrix(classes, validate_args=False),
        }
    else:
        made = {
            "accuracy": metrics.MulticlassAccuracy(classes, average="micro", validate_args=False),
            "ece": metrics.MulticlassCalibrationError(classes, n_bins=15, validate_args=False),
        }
        if classes <= 1000:  # as a dense matrix
            made["confusion"] = metrics.MulticlassConfusionMatrix(classes, validate_args=False)
    collection = MetricCollection(made).to(problem.device)

    @torch.inference_mode()
    def run(numbers: int | None) -> dict[str, Any]:
        collection.reset()
        for preds, labels in problem.batches(numbers):
            collection.update(preds, labels.to(torch.int64))
        return collection.compute()

    return Ready(run, batches_of(problem))


def torchmetrics_ranking(problem: Problem, threads: int) -> Ready:
    """Prepare torchmetrics' binned area under the ROC curve."""
    import torch

    with libraries.empty_parents(TORCHVISION):
        from torchmetrics import classification as metrics

    chosen = {"average": "macro", "thresholds": 64, "validate_args": False}
    make = metrics.MultilabelAUROC if problem.shape.task in ELEMENTS else metrics.MulticlassAUROC
    metric = make(problem.shape.classes, **chosen).to(problem.device)

    @torch.inference_mode()
    def run(numbers: int | None) -> dict[str, Any]:
        metric.reset()
        for preds, labels in problem.batches(numbers):
            metric.update(preds, labels.to(torch.int64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes without samples
            return {"auroc_64_bins": metric.compute()}

    return Ready(run, batches_of(problem)[-2:])


def monai(problem: Problem, threads: int) -> Ready:
    """Prepare MONAI's focal loss and, of masks, its Dice loss."""
    losses = libraries.losses_of("MONAI")
    softmax = problem.shape.task not in ELEMENTS
    masks = bool(problem.shape.spatial)
    focal = losses.FocalLoss(use_softmax=softmax, to_onehot_y=softmax, gamma=2.0, reduction="none")
    dice = losses.DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=1, smooth_dr=1, reduction="none")

    def function(preds: Any, labels: Any) -> dict[str, Any]:
        if not softmax:
            return {"binary_focal": focal(preds, labels.float()).mean(1)}
        given = labels.unsqueeze(1).long()
        values = {"focal": focal(preds, given).sum(1).flatten(1 if masks else 0)}
        if masks:
            values["focal"] = values["focal"].mean(1)
            values["dice_of_all_classes"] = dice(preds, given).flatten(1).mean(1)
        return values

    return ready(problem, function, batches_of(problem))


def scikit_learn(problem: Problem, threads: int) -> Ready:
    """Prepare scikit-learn's log loss, one number for everything."""
    from sklearn.metrics import log_loss

    classes = np.arange(problem.shape.classes)

    def run(_: None) -> dict[str, float]:
        probs, labels = probabilities(problem), problem.labels.numpy()
        rows = np.moveaxis(probs, 1, -1).reshape(-1, len(classes))
        return {"mean_ce": log_loss(labels.reshape(-1), rows, labels=classes)}

    return Ready(run)


TORCHMETRICS = "accuracy, confusion matrix (up to 1000 classes) and, of a softmax, calibration error"
BOTH = ("cpu", "cuda")
LIBRARY_PEERS = (
    Contestant("cleanlab", "self-confidence, margin, weighted entropy", cleanlab, ("multiclass",)),
    Contestant("cleanlab", "softmin over the pixels' p_label", cleanlab_masks, ("segmentation",)),
    Contestant("cleanlab", "p_label of every class", cleanlab_multilabel, ELEMENTS, share=16),
    Contestant("torchmetrics, best batch", TORCHMETRICS, torchmetrics, devices=BOTH, streams=True),
    Contestant(
        "torchmetrics AUROC, best batch", "AUROC of 64 bins", torchmetrics_ranking, devices=BOTH, share=16,
        streams=True, most_classes=(1000, "counts of [bins, C, 2, 2]: minutes at this many classes"),
    ),
    Contestant("MONAI, best batch", "focal; of masks Dice too", monai, devices=BOTH, streams=True),
    Contestant("scikit-learn log_loss", "the mean cross-entropy", scikit_learn, SOFTMAX, share=4),
)  # fmt: skip
