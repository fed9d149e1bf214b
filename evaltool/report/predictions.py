"""What needs the predictions of a run, in one pass over them: temperature, logit adjustment, images, focusing.

What the counts of a run hold is reported without them as well.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.numerics.float_bits import octave_totals
from evaltool.progress import Silence, Watcher
from evaltool.report import adjustment, prior_correction, temperature
from evaltool.report.actions import actions_of
from evaltool.report.calibration import calibration_of
from evaltool.report.class_weighting import alpha_of, bias_of, weight_rules
from evaltool.report.document import Adjustment, Advice, Correction, Threshold
from evaltool.report.focusing_counts import OddsCounts
from evaltool.report.image_counts import ImageCounts
from evaltool.report.row_sample import Sample, Sampler, drawn_rows
from evaltool.report.thresholds import thresholds_of
from evaltool.run.inputs import Inputs, Predictions
from evaltool.run.reader import Run

Array = np.ndarray[Any, Any]


class Read(NamedTuple):
    """What a pass over the predictions found, and why it found nothing."""

    sample: Sample | None = None
    images: ImageCounts | None = None
    odds: OddsCounts | None = None
    kind: str = ""
    reason: str = ""


def predictions_of(
    run: Run, document: Mapping[str, Any], *, preds: Any = None, labels: Any = None, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Return what the predictions add to a report; ``add_predictions`` puts it in.

    Args:
        run: the run.
        document: the report, as ``numbers_of`` gives it.
        preds: path, array or tensor of the predictions, in place of the recorded path.
        labels: likewise.
        watcher: is told how far the pass over the predictions is.

    Returns:
        ``calibration`` and ``advice`` as the report has them (None in regression); ``focusing`` of multilabel and
        segmentation, else None; ``classes``: for each class the keys of its row that the images of a segmentation
        change (``per_image``, and rates whose intervals draw images), {} elsewhere; ``groups`` likewise; ``notes``:
        what could not be computed and why.
    """
    found: dict[str, Any] = {"calibration": None, "advice": None, "focusing": None, "classes": [], "groups": []}
    if run.task == "regression":
        return {**found, "notes": []}
    read = _read(run, document, preds, labels, watcher or Silence())
    found["notes"] = (
        [f"temperature, logit adjustment and prior correction are not known: {read.reason}"] if read.reason else []
    )
    form = _form(run)
    counts, multilabel = [int(row["count"]) for row in document["classes"]], run.task == "multilabel"
    stands_for = [] if multilabel else counts
    if read.reason:
        fit, adjusted = temperature.unknown(read.reason), adjustment.unknown(read.reason)
        corrected = prior_correction.unknown(read.reason)
    else:
        fit = temperature.temperature_of(read.sample, stands_for, clamp=read.kind == "probs")
        prior = _prior(document, form)
        grouped = run.task == "segmentation"
        adjusted = adjustment.adjustment_of(read.sample, prior, stands_for, grouped=grouped)
        corrected = prior_correction.correction_of(read.sample, stands_for, grouped=grouped)
    found["calibration"] = calibration_of(run.state, run.task, brier=_brier(run.state), temperature=fit)
    if read.images is not None:
        found["classes"], found["groups"] = _image_rows(read.images, document)
    if read.odds is not None:
        found["focusing"] = read.odds.focusing("decisions" if multilabel else "positions")
    whole = with_predictions(document, found)
    found["advice"] = _advice(run, whole, form, adjusted, corrected)
    return found


def with_predictions(document: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report's document with what ``predictions_of`` found; the notes are the caller's to keep."""
    whole = {**document, "calibration": found["calibration"], "advice": found["advice"]}
    if found["focusing"] is not None:
        whole["focusing"] = found["focusing"]
    if found["classes"]:
        whole["classes"] = [{**row, **new} for row, new in zip(document["classes"], found["classes"], strict=True)]
    if found["groups"]:
        rows = [{**row, **new} for row, new in zip(document["groups"]["rows"], found["groups"], strict=True)]
        whole["groups"] = {**document["groups"], "rows": rows}
    return whole


def _form(run: Run) -> str:
    if run.task == "multilabel":
        return "sigmoids"
    foreground = bool(run.manifest["decisions"]["foreground"])
    return "sigmoid" if run.task == "binary" or (run.task == "segmentation" and foreground) else "softmax"


def _read(run: Run, document: Mapping[str, Any], preds: Any, labels: Any, watcher: Watcher) -> Read:
    if run.manifest["decisions"]["soft_labels"]:
        return Read(reason="the labels are shares of the classes")
    try:
        inputs = Inputs(run, preds=preds, labels=labels)
        return _passed(run, document, inputs, watcher)
    except EvaltoolError as error:
        return Read(reason=", ".join(line.strip().rstrip(".") for line in str(error).splitlines()[:2]))


def _passed(run: Run, document: Mapping[str, Any], inputs: Inputs, watcher: Watcher) -> Read:
    counts = [int(row["count"]) for row in document["classes"]]
    kind = run.manifest["decisions"]["preds_are"]
    numbers = 1 if _form(run) == "sigmoid" else run.num_classes
    by_label = [int(document["n_scored"])] if run.task == "multilabel" else counts
    sampler = Sampler(by_label, numbers=numbers, softmax=inputs.softmax)
    if run.task in ("multiclass", "binary"):
        drawn_rows(inputs, sampler, watcher)
        return Read(sampler.sample(), kind=kind)
    images = ImageCounts(run.num_classes, inputs.preds.shape[0]) if run.task == "segmentation" else None
    odds = OddsCounts()
    add: Callable[[Predictions], None] = sampler.add_positions if images else _adder(sampler)
    for block in inputs.blocks():
        add(block)
        odds.add(_against(block, inputs.softmax))
        if images is not None:
            n = len(block.ok)
            decided = block.odds.argmax(1) if inputs.softmax else (block.odds > 0).astype(np.int64)
            images.add(block.start, *(array.reshape(n, -1) for array in (block.labels, decided, block.valid)))
        watcher.progressed(block.start + len(block.ok), inputs.preds.shape[0])
    return Read(sampler.sample(), images, odds, kind)


def _adder(sampler: Sampler) -> Callable[[Predictions], None]:
    """Return what draws rows from a block that was read whole."""

    def add(block: Predictions) -> None:
        rows = block.start + np.arange(len(block.ok))
        kept = block.valid.reshape(len(rows), -1).any(1) & sampler.keeps(rows, block.labels)
        part = Predictions(
            block.start, block.odds[kept], block.labels[kept], block.valid[kept], np.ones(int(kept.sum()), bool)
        )
        sampler.add_rows(rows[kept], part)

    return add


def _against(block: Predictions, softmax: bool) -> Array:
    """Return the log-odds against the label of every valid decision, float64 [n]."""
    if not softmax:
        return np.asarray(np.where(block.labels > 0, -block.odds, block.odds)[block.valid])
    with np.errstate(all="ignore"):  # positions that are not valid hold anything
        own = np.take_along_axis(block.odds, block.labels[:, None], 1)[:, 0][block.valid]
        # near 1, log(1 - p) keeps no digit beyond 1e-16: log-odds of -36 and below are as easy as can be
        return np.asarray(np.log(-np.expm1(np.minimum(own, 0.0))) - own)


def _image_rows(images: ImageCounts, document: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    groups = document["groups"]["rows"] if document["groups"] else []
    by_class, by_group = images.rates([row["classes"] for row in groups])
    rows = [
        {"per_image": quantiles, **{name: values[c] for name, values in by_class.items()}}
        for c, quantiles in enumerate(images.per_image())
    ]
    kept = ("recall", "precision", "f1")
    return rows, [{name: found[name] for name in kept} for found in by_group]


def _brier(state: Mapping[str, Array]) -> float | None:
    counts = state.get("brier")
    if counts is None or not counts[-1]:
        return None
    return float(octave_totals(counts[:-1])) / float(counts[-1])


def _training_counts(document: Mapping[str, Any]) -> list[float]:
    """Return the training counts where there are any, else the label counts."""
    trained = [row["train_count"] for row in document["classes"]]
    if trained and all(count is not None for count in trained):
        return [float(count) for count in trained]
    return [float(row["count"]) for row in document["classes"]]


def _prior(document: Mapping[str, Any], form: str) -> list[float]:
    """Return the prior that adjusts logits; of multilabel that of the labels, as training counts have no negatives."""
    if form == "sigmoids":
        return [row["count"] / max(1, document["n_scored"]) for row in document["classes"]]
    counts = _training_counts(document)
    shares = [count / max(sum(counts), 1) for count in counts]
    return shares[1:] if form == "sigmoid" else shares


def _advice(run: Run, document: dict[str, Any], form: str, adjusted: Adjustment, corrected: Correction) -> Advice:
    counts = _training_counts(document)
    labels = [float(row["count"]) for row in document["classes"]]
    of_labels = (labels, float(document["n_scored"])) if form == "sigmoids" else (counts, sum(counts))
    weights = weight_rules(counts, form, labels, float(document["n_scored"]))
    thresholds = _thresholds(run, document, form)
    parts = {
        "adjustment": adjusted,
        "correction": corrected,
        "thresholds": thresholds,
        "weights": weights,
        "calibration": document["calibration"],
        "focusing": document["focusing"],
        "softmax": form == "softmax",
    }
    stored = all(record["role"] != "model" for record in run.manifest["inputs"])
    return {
        "actions": actions_of(document, parts, "RUN" if run.path is None else str(run.path), stored=stored),
        "weights": weights,
        "alpha": alpha_of(counts, form),
        "prior_bias": bias_of(*of_labels, form),
        "adjustment": adjusted,
        "correction": corrected,
        "thresholds": thresholds,
    }


def _thresholds(run: Run, document: Mapping[str, Any], form: str) -> list[Threshold]:
    ranking = run.state.get("ranking")
    if ranking is None or form == "softmax" or run.task == "segmentation":
        return []
    rows: Sequence[Mapping[str, Any]] = document["classes"][1:] if form == "sigmoid" else document["classes"]
    now = [[round(row["count"] * (row["recall"]["value"] or 0.0)), row["predicted"], row["count"]] for row in rows]
    found = thresholds_of(ranking, np.asarray(now, np.int64).reshape(-1, 3))
    for threshold, row in zip(found, rows, strict=True):
        threshold["index"] = row["index"]
    return found
