"""What a pass over the predictions finds, against computations that share no code."""

import json

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, jaccard_score, log_loss

import evaltool
from evaltool.report import row_sample, temperature
from evaltool.report.adjustment import TAUS
from evaltool.report.image_counts import ImageCounts
from evaltool.report.numbers import numbers_of
from evaltool.report.predictions import predictions_of, with_predictions
from evaltool.report.row_sample import Sampler, in_second_half, label_weights
from evaltool.run.inputs import Inputs
from evaltool.run.reader import open_run
from tests.report.faults import gaussian, log_softmax, scored


def found_of(preds, labels, **options):
    run = scored(preds, labels, preds_are=options.pop("preds_are", "logits"), **options)
    numbers = numbers_of(run)
    found = predictions_of(run, numbers, preds=preds, labels=labels)
    json.dumps({**found, "document": with_predictions(numbers, found)}, allow_nan=False)
    return found


def ece(confidence, right, bins=15):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return sum(abs((right - confidence)[place == b].sum()) for b in range(bins)) / len(right)


@pytest.fixture
def problem(rng):
    preds, labels = gaussian(rng, [900, 300, 40], distance=2.0)
    return (preds * 2.5).astype(np.float32), labels


def test_the_temperature_is_that_of_the_least_cross_entropy(problem):
    preds, labels = problem
    held_out = in_second_half(np.arange(len(labels)))
    fit, measured = ~held_out, held_out
    assert 0.4 < held_out.mean() < 0.6

    def nll(t, rows):
        return log_loss(labels[rows], scipy.special.softmax(preds[rows].astype(float) / t, 1), labels=[0, 1, 2])

    best = scipy.optimize.minimize_scalar(lambda t: nll(t, fit), bounds=(0.1, 20), options={"xatol": 1e-9})
    found = found_of(preds, labels)["calibration"]["temperature"]
    assert found["value"] == pytest.approx(best.x, rel=1e-5)
    assert found["nll_before"] == pytest.approx(nll(1, measured), rel=1e-6)
    assert found["nll_after"] == pytest.approx(nll(best.x, measured), rel=1e-6)
    p = np.exp(log_softmax(preds[measured].astype(float)))
    right = p.argmax(1) == labels[measured]
    assert found["ece_before"] == pytest.approx(ece(p.max(1), right), rel=1e-4)
    p = np.exp(log_softmax(preds[measured].astype(float) / best.x))
    assert found["ece_after"] == pytest.approx(ece(p.max(1), right), abs=1e-4)
    assert found["ece_after"] < found["ece_before"]
    assert found["n_rows"] == len(labels)


@pytest.mark.parametrize("scale", [0.01, 0.4, 30])
def test_the_temperature_takes_few_passes(problem, monkeypatch, scale):
    preds, labels = problem
    passes = []
    slope = temperature._Decisions.slope
    monkeypatch.setattr(temperature._Decisions, "slope", lambda half, b: passes.append(b) or slope(half, b))
    found = found_of((scale * preds).astype(np.float32), labels)["calibration"]["temperature"]
    assert found["value"] == pytest.approx(scale * found_of(preds, labels)["calibration"]["temperature"]["value"], 1e-4)
    assert len(passes) <= 50  # of two fits


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_the_temperature_of_sigmoids(rng, task):
    shape = (3000,) if task == "binary" else (1500, 3)
    labels = (rng.random(shape) < 0.3).astype(int)
    preds = (3 * (2 * rng.standard_normal(shape) + 2 * labels - 1)).astype(np.float32)
    if task == "multilabel":
        labels[::7, 1] = -100
    fit = ~in_second_half(np.arange(len(labels)))
    z, y = preds[fit].ravel().astype(float), labels[fit].ravel()
    z, y = z[y >= 0], y[y >= 0]
    best = scipy.optimize.minimize_scalar(
        lambda t: np.logaddexp(0, np.where(y > 0, -z, z) / t).mean(), bounds=(0.1, 50), options={"xatol": 1e-9}
    )
    assert found_of(preds, labels, task=task)["calibration"]["temperature"]["value"] == pytest.approx(best.x, rel=1e-5)


def test_no_temperature_where_there_is_none(rng):
    preds, labels = gaussian(rng, [100, 100], distance=20.0)
    found = found_of(preds, labels)["calibration"]["temperature"]
    assert found["value"] is None
    assert "no row of the half that fits is wrong" in found["reason"]
    labels = rng.integers(0, 2, 2000)
    preds = -np.eye(2, dtype=np.float32)[labels]  # always wrong
    assert "no more about the labels than chance" in found_of(preds, labels)["calibration"]["temperature"]["reason"]
    assert "too few rows" in found_of(preds[:10], labels[:10])["calibration"]["temperature"]["reason"]


def test_probabilities_of_0_are_clamped_and_masked_classes_left_out(problem):
    preds, labels = problem
    probs = scipy.special.softmax(preds, 1)
    probs[:5] = np.eye(3)[(labels[:5] + 1) % 3]
    found = found_of(probs, labels, preds_are="probs")["calibration"]["temperature"]
    assert np.isfinite([found["value"], found["nll_before"]]).all()
    preds[:5, 2] = -np.inf
    found = found_of(preds, labels)["calibration"]["temperature"]
    assert np.isfinite([found["value"], found["nll_after"]]).all()


def test_the_adjustment_is_chosen_and_measured_as_it_says(rng):
    preds, labels = gaussian(rng, [6000, 600, 60], distance=2.0)
    log_p = log_softmax(preds.astype(float))
    log_prior = np.log(np.bincount(labels) / len(labels))
    measured = in_second_half(np.arange(len(labels)))

    def balanced(tau, rows):
        return balanced_accuracy_score(labels[rows], (log_p - tau * log_prior)[rows].argmax(1))

    tau = TAUS[np.argmax([balanced(tau, ~measured) for tau in TAUS])]
    found = found_of(preds, labels)["advice"]["adjustment"]
    assert found["tau"] == pytest.approx(tau)
    assert found["balanced_accuracy_before"] == pytest.approx(balanced(0, measured))
    assert found["balanced_accuracy_after"] == pytest.approx(balanced(tau, measured))
    assert found["accuracy_before"] == pytest.approx((log_p.argmax(1) == labels)[measured].mean())
    assert found["n_rows"] == measured.sum()
    scope = {}
    exec(found["torch"], scope)
    import torch

    adjusted = scope["adjusted"](torch.from_numpy(preds)).argmax(1).numpy()
    after = balanced_accuracy_score(labels[measured], adjusted[measured])
    assert after == pytest.approx(found["balanced_accuracy_after"])
    # the interval is that of a bootstrap of rows
    draws = []
    rows = np.flatnonzero(measured)
    for _ in range(300):
        some = rng.choice(rows, len(rows))
        draws.append(balanced(tau, some) - balanced(0, some))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found["gain"]["low"] == pytest.approx(low, abs=0.25 * (high - low))
    assert found["gain"]["high"] == pytest.approx(high, abs=0.25 * (high - low))


def test_no_gain_is_said_where_there_is_none(rng):
    found = found_of(*gaussian(rng, [1000] * 4, distance=2.0))["advice"]
    assert found["adjustment"]["gain"]["low"] <= 0
    assert not any("prior" in action["title"] for action in found["actions"])


@pytest.mark.parametrize("softmax", [True, False])
def test_the_correction_is_the_bias_of_the_least_cross_entropy(rng, softmax):
    if softmax:
        preds, labels = gaussian(rng, [3000, 300, 100], distance=2.0, prior=[1, 5, 2])
        truth = np.eye(3)[labels]
    else:
        labels = (rng.random((3000, 2)) < [0.1, 0.5]).astype(int)
        preds, truth = (2 * (rng.standard_normal((3000, 2)) + 2 * labels) - 1).astype(np.float32), labels
    fit = ~in_second_half(np.arange(len(labels)))

    def nll(bias):
        z = preds.astype(float)[fit] + bias
        if softmax:
            return -(truth[fit] * log_softmax(z)).sum(1).mean()
        return np.logaddexp(0, np.where(truth[fit] > 0, -z, z)).mean()

    best = scipy.optimize.minimize(nll, np.zeros(preds.shape[1]), tol=1e-10).x
    found = found_of(preds, labels, task="multiclass" if softmax else "multilabel")["advice"]["correction"]
    values = np.array(found["values"])
    # steps end below a thousandth of a nat
    np.testing.assert_allclose(values, best - best.mean() * softmax, atol=0.01)
    decided = (lambda z: z.argmax(1) == labels) if softmax else (lambda z: (z > 0) == labels)
    assert found["accuracy_before"] == pytest.approx(decided(preds)[~fit].mean())
    assert found["accuracy_after"] == pytest.approx(decided(preds + values)[~fit].mean())
    assert found["gain"]["low"] > 0
    scope = {}
    exec(found["torch"], scope)
    import torch

    np.testing.assert_allclose(scope["adjusted"](torch.from_numpy(preds)), preds + values, atol=1e-4)


def test_a_class_without_labels_is_not_adjusted_to_always(rng):
    preds, labels = gaussian(rng, [2000, 200, 1], distance=2.0)
    found = found_of(preds, np.minimum(labels, 1))["advice"]["adjustment"]
    assert found["balanced_accuracy_after"] > 0.7


def test_thresholds_beat_every_other_edge(rng):
    labels = (rng.random((4000, 3)) < [0.3, 0.05, 0.0]).astype(int)
    preds = (2 * (rng.standard_normal(labels.shape) + 2 * labels) - 2 + np.log(0.1)).astype(np.float32)
    rows = found_of(preds, labels, task="multilabel")["advice"]["thresholds"]
    p = scipy.special.expit(preds.astype(float))
    for row in rows[:2]:
        mine, y = p[:, row["index"]], labels[:, row["index"]]
        assert row["f1_before"] == pytest.approx(f1_score(y, mine > 0.5))
        assert row["f1_after"] == pytest.approx(f1_score(y, mine >= row["threshold"]))
        others = [f1_score(y, mine >= t) for t in np.linspace(0.01, 0.9, 90)]
        assert row["f1_after"] >= max(others) - 0.005
    assert rows[2]["threshold"] is None
    assert rows[2]["f1_before"] is None
    perfect = found_of(np.where(labels[:, 0] > 0, 5.0, -5.0), labels[:, 0], task="binary")["advice"]["thresholds"]
    assert (perfect[0]["index"], perfect[0]["threshold"], perfect[0]["f1_after"]) == (1, 0.5, 1.0)
    nothing = found_of(np.zeros(400), labels[:400, 0], task="binary")["advice"]["thresholds"][0]
    assert nothing["f1_before"] == 0
    assert nothing["f1_after"] == pytest.approx(f1_score(labels[:400, 0], np.ones(400)))


def test_a_threshold_keeps_away_from_the_rows_on_either_side():
    """Any threshold in the gap has the same F1 on these rows; one at its edge has not on the next ones."""
    preds = np.concatenate([np.linspace(-9, -6.456, 50), np.linspace(-3.82, -1, 50)])
    row = found_of(preds, np.repeat([0, 1], 50), task="binary")["advice"]["thresholds"][0]
    assert scipy.special.logit(row["threshold"]) == pytest.approx((-6.456 - 3.82) / 2, abs=64 / 4096)
    assert row["f1_after"] == 1
    even = found_of(np.zeros(400), np.arange(400) % 2, task="binary")["advice"]["thresholds"][0]
    assert even["threshold"] == 0.5
    assert even["f1_after"] == pytest.approx(2 / 3)
    far = found_of(np.full(400, -40.0), np.arange(400) % 2, task="binary")["advice"]["thresholds"][0]
    assert far["threshold"] == 0  # nothing above it would take rows below the first edge
    low = found_of(np.full(400, -10.0), np.arange(400) % 2, task="binary")["advice"]["thresholds"][0]
    assert 0 < low["threshold"] < scipy.special.expit(-10.0)


def test_calibration_is_that_of_the_run(problem):
    preds, labels = problem
    found = found_of(preds, labels)["calibration"]
    p = np.exp(log_softmax(preds.astype(float)))
    right = p.argmax(1) == labels
    assert found["ece"]["value"] == pytest.approx(ece(p.max(1), right), rel=1e-4)
    class_wise = np.mean([ece(p[:, c], labels == c) for c in range(3)])
    assert found["ece_class_wise"]["value"] == pytest.approx(class_wise, rel=1e-4)
    assert found["brier"] == pytest.approx(((p - np.eye(3)[labels]) ** 2).sum(1).mean(), rel=1e-5)
    assert found["ece"]["low"] <= found["ece"]["value"] <= found["ece"]["high"]
    place = np.minimum((p.max(1) * 15).astype(int), 14)
    assert [row["count"] for row in found["bins"]] == np.bincount(place, minlength=15).tolist()
    for b, row in enumerate(found["bins"]):
        mine = place == b
        if mine.any():
            assert row["confidence"] == pytest.approx(p.max(1)[mine].mean(), rel=1e-5)
            assert row["accuracy"]["value"] == pytest.approx(right[mine].mean())


def test_brier_of_binary_is_that_of_scikit_learn(rng):
    labels = rng.integers(0, 2, 500)
    probs = rng.random(500)
    found = found_of(probs, labels, preds_are="probs", task="binary")["calibration"]
    assert found["brier"] == pytest.approx(brier_score_loss(labels, probs), rel=1e-5)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_weights_alpha_and_bias_are_code_that_runs(rng, task):
    import torch

    from evaltool.weights import class_weights, prior_bias

    counts = [700, 200, 100]
    if task == "multilabel":
        labels = (np.arange(1000)[:, None] < counts).astype(int)
    else:
        labels = np.repeat([0, 1, 2] if task == "multiclass" else [0, 1, 1], counts)
    preds = rng.standard_normal(labels.shape if task != "multiclass" else (1000, 3)).astype(np.float32)
    expected = [700, 300] if task == "binary" else counts
    advice = found_of(preds, labels, task=task)["advice"]
    logits, targets = torch.from_numpy(preds), torch.from_numpy(labels)
    targets = targets if task == "multiclass" else targets.float()
    assert [rule["rule"] for rule in advice["weights"]] == [
        *("inverse", "sqrt-inverse", "median-frequency", "enet", "effective-number")
    ]
    for rule in advice["weights"]:
        assert rule["weights"] == pytest.approx(class_weights(expected, rule["rule"]).tolist())
        scope = {}
        exec(rule["torch"], scope)
        assert torch.isfinite(scope["criterion"](logits, targets))
        word, _, numbers = rule["option"].partition(" ")
        assert word == "--class-weights"
        # six digits
        assert [float(x) for x in numbers.split(",")] == pytest.approx(rule["weights"], rel=1e-5)
        evaltool.score(preds, labels, task=task, preds_are="logits", class_weights=numbers)
    scope = {}
    exec(advice["alpha"]["torch"], scope)
    assert torch.isfinite(scope["criterion"](logits, targets))
    assert np.mean(advice["alpha"]["values"]) == pytest.approx(1)
    evaltool.score(preds, labels, task=task, preds_are="logits", losses=[advice["alpha"]["option"].split()[1]])
    bias = advice["prior_bias"]
    scope = {"last_layer": torch.nn.Linear(4, len(bias["values"]))}
    exec(bias["torch"], scope)
    if task == "multiclass":
        np.testing.assert_allclose(scope["last_layer"].bias.softmax(0).detach(), [0.7, 0.2, 0.1], rtol=1e-5)
    else:
        positives = [0.3] if task == "binary" else [0.7, 0.2, 0.1]
        np.testing.assert_allclose(bias["values"], prior_bias(positives).tolist(), rtol=1e-6)


def test_many_classes_name_the_rule_in_the_option(rng):
    labels = np.arange(200).repeat(3)
    advice = found_of(rng.standard_normal((600, 200)).astype(np.float32), labels)["advice"]
    assert advice["weights"][0]["option"] == "--class-weights inverse"


@pytest.mark.parametrize("foreground", [False, True], ids=["softmax", "foreground"])
def test_images_of_a_segmentation(rng, foreground):
    classes = 2 if foreground else 3
    labels = np.where(rng.random((40, 6, 7)) < 0.3, rng.integers(0, classes, (40, 6, 7)), 0)
    labels[:, 0, 0] = -100
    labels[3] = -100
    if foreground:
        preds = (rng.standard_normal(labels.shape) + 2 * (labels == 1) - 1).astype(np.float32)
        decided = (preds > 0).astype(int)
    else:
        preds = rng.standard_normal((40, classes, 6, 7)).astype(np.float32)
        preds += 2 * (labels[:, None] == np.arange(classes)[:, None, None])
        decided = preds.argmax(1)
    found = found_of(preds, labels, task="segmentation")
    for c in range(classes):
        ious = [
            jaccard_score(y[y >= 0] == c, d[y >= 0] == c)
            for y, d in zip(labels, decided, strict=True)
            if (y == c).any()
        ]
        row = found["classes"][c]
        assert row["per_image"]["n"] == len(ious)
        for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            # a bin is 1/2048
            assert row["per_image"][name] == pytest.approx(np.quantile(ious, share), abs=1 / 2048)
        y, d = labels[labels >= 0] == c, decided[labels >= 0] == c
        assert row["iou"]["value"] == pytest.approx(jaccard_score(y, d))
        assert row["f1"]["value"] == pytest.approx(f1_score(y, d))
        draws = []
        for _ in range(300):
            w = rng.multinomial(40, [1 / 40] * 40)[:, None, None] * (labels >= 0)
            both, either = (labels == c) & (decided == c), (labels == c) | (decided == c)
            draws.append((w * both).sum() / (w * either).sum())
        low, high = np.quantile(draws, [0.025, 0.975])
        assert row["iou"]["low"] == pytest.approx(low, abs=0.3 * (high - low))
        assert row["iou"]["high"] == pytest.approx(high, abs=0.3 * (high - low))


@pytest.mark.parametrize("task", ["multilabel", "segmentation"])
def test_focusing_counts_every_valid_decision(rng, task):
    if task == "multilabel":
        labels = rng.integers(0, 2, (300, 4))
        labels[::5, 2] = -100
        preds = (3 * rng.standard_normal(labels.shape)).astype(np.float32)
        z = np.where(labels > 0, preds, -preds)[labels >= 0].astype(float)
        p = scipy.special.expit(z)
    else:
        labels = rng.integers(0, 3, (30, 5, 5))
        labels[:, 1, 1] = -100
        preds = (3 * rng.standard_normal((30, 3, 5, 5))).astype(np.float32)
        own = np.take_along_axis(log_softmax(preds.astype(float)), np.maximum(labels, 0)[:, None], 1)[:, 0]
        p = np.exp(own[labels >= 0])
    found = found_of(preds, labels, task=task)["focusing"]
    assert [row["gamma"] for row in found["rows"]] == [0, 0.5, 1, 2, 3, 5]
    for row in found["rows"]:
        losses = np.sort((1 - p) ** row["gamma"] * -np.log(p))
        n = len(losses)
        # the median may divide a bin of 1/16 octave
        assert row["easy_half_share"] == pytest.approx(losses[: n // 2].sum() / losses.sum(), abs=2e-3)
        assert row["hardest_tenth_share"] == pytest.approx(losses[-(n // 10) :].sum() / losses.sum(), abs=5e-3)
        assert row["effective_samples"] == pytest.approx(losses.sum() ** 2 / (losses**2).sum(), rel=1e-3)


def test_what_cannot_be_read_is_said_and_the_rest_is_there(problem, tmp_path):
    preds, labels = problem
    for name, array in (("preds", preds), ("labels", labels)):
        np.save(tmp_path / f"{name}.npy", array)
    paths = [tmp_path / f"{name}.npy" for name in ("preds", "labels")]
    evaltool.score(*paths, preds_are="logits").save(tmp_path / "a.run")
    run = open_run(tmp_path / "a.run")
    numbers = numbers_of(run)
    whole = predictions_of(run, numbers)
    assert whole["notes"] == []
    np.save(paths[0], preds + 1)
    changed = predictions_of(run, numbers)
    paths[0].unlink()
    moved = predictions_of(run, numbers)
    memory = predictions_of(
        open_run(evaltool.score(preds, labels, preds_are="logits").save(tmp_path / "m.run")), numbers
    )
    for found, words in ((changed, "not those that were scored"), (moved, "no longer there"), (memory, "from memory")):
        assert words in found["notes"][0]
        assert words in found["calibration"]["temperature"]["reason"]
        assert words in found["advice"]["adjustment"]["reason"]
        assert found["calibration"]["ece"] == whole["calibration"]["ece"]
        assert found["advice"]["weights"] == whole["advice"]["weights"]
        json.dumps(found, allow_nan=False)
    assert predictions_of(run, numbers, preds=preds)["advice"]["adjustment"] == whole["advice"]["adjustment"]


def test_soft_labels_have_no_temperature(rng):
    labels = rng.dirichlet([1, 1, 1], 50).astype(np.float32)
    found = found_of(rng.standard_normal((50, 3)).astype(np.float32), labels)
    assert "shares" in found["calibration"]["temperature"]["reason"] if found["calibration"] else found["notes"]


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation"])
def test_runs_of_few_rows(rng, task, n):
    shapes = {"multiclass": ((3, 3), (3,)), "binary": ((3,), (3,)), "multilabel": ((3, 2), (3, 2))}
    shape, of_labels = shapes.get(task, ((3, 2, 4, 4), (3, 4, 4)))
    labels = rng.integers(0, 2, of_labels)
    labels[n:] = -100
    found = found_of(rng.standard_normal(shape).astype(np.float32), labels, task=task)
    assert found["calibration"] is None or found["calibration"]["temperature"]["value"] is None
    assert found["advice"]["adjustment"]["tau"] is None


def test_a_sample_keeps_the_rare_and_stands_for_the_run(rng):
    counts = [20_000, 2000, 50]
    preds, labels = gaussian(rng, counts, distance=2.0)
    run = scored(preds, labels, preds_are="logits")
    sampler = Sampler(counts, numbers=3, softmax=True, most=3 * 1500)
    for rows, block in Inputs(run, preds=preds, labels=labels).chosen(sampler.keeps):
        sampler.add_rows(rows, block)
    sample = sampler.sample()
    kept = np.bincount(sample.labels)
    assert kept[2] == 50
    assert kept[:2] == pytest.approx([725, 725], abs=100)
    np.testing.assert_array_equal(sample.labels, labels[sample.rows])
    np.testing.assert_allclose(sample.odds, log_softmax(preds[sample.rows].astype(float)), atol=1e-5)
    weights = label_weights(sample, counts)[sample.labels]
    assert weights.sum() == pytest.approx(len(labels))
    right = preds.argmax(1) == labels
    assert (weights * right[sample.rows]).sum() / weights.sum() == pytest.approx(right.mean(), abs=0.02)


def test_numbers_do_not_depend_on_the_blocks(problem, monkeypatch):
    preds, labels = problem
    whole = found_of(preds, labels)
    monkeypatch.setattr("evaltool.run.inputs.BLOCK_NUMBERS", 100)
    monkeypatch.setattr("evaltool.report.temperature.CHUNK", 64)
    monkeypatch.setattr("evaltool.report.adjustment.CHUNK", 64)
    found = found_of(preds, labels)
    assert found["advice"] == whole["advice"]
    before, after = (which["calibration"]["temperature"]["value"] for which in (whole, found))
    assert after == pytest.approx(before, rel=1e-9)


def test_few_images_have_a_bucket_each(rng):
    images = ImageCounts(2, 60)
    images.add(0, *rng.integers(0, 2, (2, 60, 9)), np.ones((60, 9), bool))
    assert (images.buckets[:, :, 0].sum(1) == 9).all()
    many = ImageCounts(2, 100_000)
    many.add(5000, *rng.integers(0, 2, (2, 600, 9)), np.ones((600, 9), bool))
    assert len(many.buckets) == 512
    assert many.buckets[:, :, 0].sum() == 5400


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
@pytest.mark.parametrize("column", [False, True])
def test_odd_inputs_of_binary(rng, dtype, column):
    labels = rng.integers(0, 2, 200)
    preds = (rng.standard_normal(200) + 2 * labels).astype(dtype)
    expected = found_of(preds.astype(np.float32), labels, task="binary")["advice"]["adjustment"]
    shape = (-1, 1) if column else (-1,)
    found = found_of(preds.reshape(shape), labels.reshape(shape).astype(np.float32), task="binary")["advice"]
    assert found["adjustment"]["tau"] == expected["tau"]
    assert found["adjustment"]["n_rows"] == expected["n_rows"]


def test_halves_and_hashes_are_even():
    index = np.arange(100_000)
    assert in_second_half(index).mean() == pytest.approx(0.5, abs=0.01)
    buckets = (row_sample.hashed(index, row_sample.BUCKET) % np.uint64(64)).astype(int)
    assert np.bincount(buckets).std() < 3 * np.sqrt(100_000 / 64)
    # what one purpose decides says nothing of another
    assert np.corrcoef(in_second_half(index), buckets < 32)[0, 1] == pytest.approx(0, abs=0.02)
