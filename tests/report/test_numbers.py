"""The numbers of a report against scikit-learn, and against sums over the columns and predictions themselves."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from scipy.stats import power_divergence

import evaltool
from evaltool.metrics import AUROC, AveragePrecision
from evaltool.report.class_losses import infinite_notes
from evaltool.report.class_table import class_table
from evaltool.report.numbers import numbers_of
from evaltool.run.reader import open_run
from tests.report.problems import binary, long_tail, multilabel, scored, segmentation

NONE = {"value": None, "low": None, "high": None}


def values(rows, name):
    return [np.nan if row[name]["value"] is None else row[name]["value"] for row in rows]


def columns(run):
    """Return the columns of the rows that are ok."""
    table = next(iter(run.batches())).to_pydict() if run.n_samples else {}
    ok = np.array(table["status"]) == "ok"
    return {
        name: np.array([value for value, known in zip(column, ok, strict=True) if known])
        for name, column in table.items()
    }


@pytest.fixture(scope="module")
def problem():
    preds, labels = long_tail(np.random.default_rng(7))
    labels[:20] = -100
    preds[20:25, 0] = np.nan
    run = scored(preds, labels)
    return run, preds[25:], labels[25:], numbers_of(run)


def test_the_rates_of_classes_are_those_of_scikit_learn(problem):
    _, preds, labels, numbers = problem
    rows = numbers["classes"]
    pred = preds.argmax(1)
    precision, recall, f1, count = sk.precision_recall_fscore_support(labels, pred, labels=range(6), zero_division=0)
    iou = sk.jaccard_score(labels, pred, labels=range(6), average=None, zero_division=0)
    assert [row["count"] for row in rows] == count.tolist()
    assert [row["predicted"] for row in rows] == np.bincount(pred, minlength=6).tolist()
    assert rows[5]["count"] == 0
    assert rows[5]["recall"] == NONE
    np.testing.assert_allclose(values(rows, "recall")[:5], recall[:5], rtol=1e-12)
    np.testing.assert_allclose(values(rows, "precision"), precision, rtol=1e-12)
    np.testing.assert_allclose(values(rows, "f1"), f1, rtol=1e-12)
    np.testing.assert_allclose(values(rows, "iou"), iou, rtol=1e-12)
    np.testing.assert_allclose([row["share"] for row in rows], count / count.sum(), rtol=1e-12)


def test_rankings_and_calibration_are_those_of_the_metrics(problem):
    _, preds, labels, numbers = problem
    rows = numbers["classes"]
    inputs = torch.from_numpy(preds), torch.from_numpy(labels)
    for name, made in (("auroc", AUROC), ("average_precision", AveragePrecision)):
        expected = made(num_classes=6, average="none")(*inputs).tolist()
        np.testing.assert_array_equal(values(rows, name), expected)
    probs = torch.from_numpy(preds).double().softmax(1).numpy()
    for c in range(6):
        bins = (probs[:, c] * 15).astype(int)
        gaps = [abs((labels[bins == b] == c).sum() - probs[bins == b, c].sum()) for b in range(15)]
        assert rows[c]["ece"]["value"] == pytest.approx(sum(gaps) / len(labels), abs=1e-6)  # preds are float32


def test_the_rates_of_the_run_are_those_of_scikit_learn(problem):
    _, preds, labels, numbers = problem
    rates, pred = numbers["rates"], preds.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class that is predicted and not labelled
        expected = {
            "accuracy": sk.accuracy_score(labels, pred),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, pred),
            "macro_precision": sk.precision_score(labels, pred, average="macro", zero_division=0),
            "macro_f1": sk.f1_score(labels, pred, average="macro"),
            "mcc": sk.matthews_corrcoef(labels, pred),
            "kappa": sk.cohen_kappa_score(labels, pred),
        }
    for name, value in expected.items():
        assert rates[name]["value"] == pytest.approx(value, rel=1e-12), name
        assert rates[name]["low"] < value < rates[name]["high"]
    present = [c for c in range(6) if (labels == c).any()]
    auroc = np.mean(
        [sk.roc_auc_score(labels == c, preds.astype(float)[:, c] - logsumexp_others(preds, c)) for c in present]
    )
    assert rates["auroc"]["value"] == pytest.approx(auroc, abs=1e-3)  # 4,096 bins


def logsumexp_others(preds, c):
    return np.log(np.exp(np.delete(preds.astype(float), c, 1)).sum(1))


@pytest.mark.parametrize("loss", ["ce", "focal", "dice"])
def test_class_losses_are_those_of_the_columns(problem, loss):
    run, _, _, numbers = problem
    table = columns(run)
    values_of, label = table[loss].astype(float), table["label"]
    for c, row in enumerate(numbers["classes"]):
        own, of_class = values_of[label == c], row["losses"][loss]
        if not len(own):
            assert of_class["mean"] == NONE
            assert of_class["p50"] is None
            continue
        share = own.sum() / values_of.sum()
        assert of_class["mean"]["value"] == pytest.approx(own.mean(), rel=1e-12)
        assert of_class["share"] == pytest.approx(share, rel=1e-12)
        assert of_class["share_ratio"]["value"] == pytest.approx(share / (len(own) / len(label)), rel=1e-12)
        for name, at in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            # the bound that class_losses states
            assert of_class[name] == pytest.approx(np.quantile(own, at, method="lower"), rel=1 / 32)
        for estimate in (of_class["mean"], of_class["share_ratio"]):
            assert 0 <= estimate["low"] < estimate["value"] < estimate["high"]


def test_the_interval_of_a_mean_is_around_the_exact_one(rng):
    """Losses at the lower ends of their bins are 3% below the middles, and the interval is 0.2% wide."""
    entropy = rng.choice([1.001, 1.0635], 4000)
    preds = np.stack([np.zeros(4000), np.log(np.expm1(entropy))], 1)
    mean = numbers_of(scored(preds, np.zeros(4000, int)))["classes"][0]["losses"]["ce"]["mean"]
    assert mean["value"] == pytest.approx(entropy.mean(), rel=1e-6)
    assert mean["low"] < mean["value"] < mean["high"]
    assert mean["high"] - mean["low"] == pytest.approx(2 * 1.96 * entropy.std() / np.sqrt(4000), rel=0.2)


def test_group_losses_are_those_of_their_samples(problem):
    run, _, _, numbers = problem
    table = columns(run)
    for group in numbers["groups"]["rows"]:
        inside = np.isin(table["label"], group["classes"])
        own = table["ce"][inside].astype(float)
        loss = group["losses"]["ce"]
        if not inside.any():
            assert loss["mean"] == NONE
            continue
        assert loss["mean"]["value"] == pytest.approx(own.mean(), rel=1e-12)
        assert loss["p90"] == pytest.approx(np.quantile(own, 0.9, method="lower"), rel=1 / 32)
        share_ratio = own.mean() / table["ce"].astype(float).mean()
        assert loss["share_ratio"]["value"] == pytest.approx(share_ratio, rel=1e-12)


def test_confusions_are_ordered_by_their_loss(problem):
    run, _, _, numbers = problem
    table = columns(run)
    pairs = {}
    for label, pred, loss in zip(table["label"], table["pred"], table["ce"].astype(float), strict=True):
        if label != pred:
            pairs.setdefault((label, pred), []).append(loss)
    expected = sorted(pairs.items(), key=lambda item: -sum(item[1]))
    confusions = numbers["confusions"]
    assert confusions["loss"] == "ce"
    assert confusions["n_pairs"] == len(pairs)
    assert [(pair["label"], pair["pred"]) for pair in confusions["pairs"]] == [key for key, _ in expected]
    for pair, (key, losses) in zip(confusions["pairs"], expected, strict=True):
        assert pair["count"] == len(losses)
        assert pair["loss"] == pytest.approx(sum(losses), rel=1e-12)
        assert pair["mean_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert pair["loss_share"] == pytest.approx(sum(losses) / table["ce"].astype(float).sum(), rel=1e-12)
        assert pair["share_of_label"] == pytest.approx(len(losses) / (table["label"] == key[0]).sum(), rel=1e-12)
    assert confusions["block"] == list(range(6))
    assert confusions["counts"] == sk.confusion_matrix(table["label"], table["pred"], labels=range(6)).tolist()


def test_the_heat_map_of_many_classes_has_those_of_the_dearest_confusions(rng):
    preds, labels = rng.normal(size=(2000, 60)).astype(np.float32), rng.integers(0, 60, 2000)
    for label, pred in ((50, 3), (7, 41)):
        labels[:30], preds[:30, pred] = label, 40
        preds, labels = np.roll(preds, 30, 0), np.roll(labels, 30)
    confusions = numbers_of(scored(preds, labels))["confusions"]
    block = confusions["block"]
    assert {50, 3, 7, 41} <= set(block)
    assert block == sorted(block)
    assert 20 <= len(block) <= 25
    assert confusions["counts"][block.index(50)][block.index(3)] >= 30
    assert len(confusions["pairs"]) == 50


def test_the_imbalance_is_that_of_the_counts(problem):
    _, _, labels, numbers = problem
    imbalance = numbers["imbalance"]
    count = np.bincount(labels, minlength=6).astype(float)
    share = count[:5] / count.sum()
    # the G test of equal chances is the same likelihood ratio
    assert imbalance["lrid"] == pytest.approx(power_divergence(count, lambda_="log-likelihood").statistic, rel=1e-12)
    entropy = -(share * np.log(share)).sum()
    assert imbalance["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert imbalance["entropy_share"] == pytest.approx(entropy / np.log(6), rel=1e-12)
    assert imbalance["effective_classes"] == pytest.approx(np.exp(entropy), rel=1e-12)
    differences = np.abs(count[:, None] - count).sum() / (2 * 36 * count.mean())
    assert imbalance["gini"] == pytest.approx(differences, rel=1e-12)
    assert imbalance["ratio"] == count.max() / count[count > 0].min()
    assert imbalance["n_absent"] == 1
    lorenz = np.array(imbalance["lorenz"])
    np.testing.assert_allclose(lorenz[:, 1], np.concatenate([[0], np.cumsum(np.sort(count))]) / count.sum())
    # the area between the curve and the diagonal is half the Gini coefficient
    assert 1 - 2 * np.trapezoid(lorenz[:, 1], lorenz[:, 0]) == pytest.approx(differences, rel=1e-9)


def test_balanced_labels_have_no_imbalance(rng):
    imbalance = numbers_of(scored(rng.normal(size=(40, 4)), np.arange(40) % 4))["imbalance"]
    assert imbalance["lrid"] == 0
    assert imbalance["ratio"] == 1
    assert imbalance["gini"] == 0
    assert imbalance["entropy_share"] == pytest.approx(1)


def test_the_prior_shift_is_the_part_that_moved():
    preds = np.eye(2)[[0] * 9 + [1]] * 5
    assert numbers_of(scored(preds, np.array([0] * 6 + [1] * 4)))["imbalance"]["prior_shift"] == pytest.approx(0.3)


@pytest.mark.parametrize("loss", ["ce", "focal", "dice"])
def test_hardness_is_that_of_the_sorted_losses(problem, loss):
    run, _, _, numbers = problem
    values_of = np.sort(columns(run)[loss].astype(float))
    hardness, n = numbers["hardness"][loss], len(values_of)
    # within a bin, 1/16 octave, the loss is taken as even
    assert hardness["easy_half_share"] == pytest.approx(values_of[: n // 2].sum() / values_of.sum(), rel=0.02)
    hardest = values_of[int(0.9 * n) :].sum() / values_of.sum()
    assert hardness["hardest_tenth_share"] == pytest.approx(hardest, rel=0.02)
    rows = hardness["histogram"]
    assert len(rows) <= 120
    assert sum(row["count"] for row in rows) == n
    assert sum(row["loss"] for row in rows) == pytest.approx(values_of.sum(), rel=1e-9)
    for row in rows:
        assert row["count"] == ((values_of >= row["low"]) & (values_of < row["high"])).sum()
    widths = {round(np.log2(row["high"] / row["low"]), 1) for row in rows if row["low"]}
    assert len(widths) == 1 or len(widths) == 2  # 1/16 octaves of float32 are equal in value, not in log2
    lorenz = np.array(hardness["lorenz"])
    assert lorenz[0].tolist() == [0, 0]
    assert lorenz[-1].tolist() == [1, 1]
    assert (np.diff(lorenz, axis=0) >= 0).all()


@pytest.mark.parametrize("losses", [["ce"], ["ce:label_smoothing=0.1"]], ids=["ce", "p_label"])
def test_focusing_is_that_of_the_predictions(rng, losses):
    preds, labels = long_tail(rng)
    run = scored(preds, labels, losses=losses)
    log_probs = torch.from_numpy(preds).double().log_softmax(1).numpy()[np.arange(len(labels)), labels]
    entropy = np.sort(-log_probs)
    n = len(entropy)
    for row in numbers_of(run)["focusing"]["rows"]:
        focal = (-np.expm1(-entropy)) ** row["gamma"] * entropy
        assert row["easy_half_share"] == pytest.approx(focal[: n // 2].sum() / focal.sum(), rel=0.03)
        assert row["hardest_tenth_share"] == pytest.approx(focal[int(0.9 * n) :].sum() / focal.sum(), rel=0.02)
        assert row["effective_samples"] == pytest.approx(focal.sum() ** 2 / (focal**2).sum(), rel=1e-4)


def test_confident_samples_keep_their_focal_loss(rng):
    """1 - p from p itself is 0 there."""
    preds = np.zeros((200, 2))
    preds[:, 0] = np.linspace(20, 30, 200)
    row = numbers_of(scored(preds, np.zeros(200, int)))["focusing"]["rows"][3]
    miss = np.exp(-preds[:, 0])
    focal = np.sort(miss**3)
    assert row["effective_samples"] == pytest.approx(focal.sum() ** 2 / (focal**2).sum(), rel=1e-4)


def test_wrong_labels_are_no_reason_to_focus(rng):
    labels = rng.integers(0, 3, 5000)
    preds = np.eye(3)[labels] * 12
    labels[:40] = (labels[:40] + 1) % 3
    focusing = numbers_of(scored(preds, labels))["focusing"]
    assert focusing["suggested"] == 0
    assert "wrong labels look like this" in focusing["reason"]


def test_a_flood_of_easy_samples_is_a_reason_to_focus(rng):
    margin = np.concatenate([np.full(9000, 2.5), rng.normal(0, 0.5, 1000)])
    preds = np.stack([margin, np.zeros(10000)], 1)
    focusing = numbers_of(scored(preds, np.zeros(10000, int)))["focusing"]
    assert focusing["rows"][0]["easy_half_share"] > 0.2
    assert focusing["suggested"] == min(row["gamma"] for row in focusing["rows"] if row["easy_half_share"] < 0.05)


def test_binary_has_a_row_for_each_label(rng):
    preds, labels = binary(rng)
    numbers = numbers_of(scored(preds, labels))
    rows = numbers["classes"]
    assert values(rows, "recall") == pytest.approx(sk.recall_score(labels, preds > 0, average=None).tolist())
    # 4,096 bins: ties that are none
    assert values(rows, "average_precision") == pytest.approx(
        [sk.average_precision_score(1 - labels, -preds), sk.average_precision_score(labels, preds)], abs=5e-3
    )
    assert values(rows, "auroc") == pytest.approx([sk.roc_auc_score(labels, preds)] * 2, abs=1e-3)
    assert rows[0]["ece"]["value"] == pytest.approx(rows[1]["ece"]["value"], abs=2e-3)
    assert numbers["rates"]["average_precision"] == rows[1]["average_precision"]
    assert [(pair["label"], pair["pred"]) for pair in numbers["confusions"]["pairs"]] in (
        [(1, 0), (0, 1)],
        [(0, 1), (1, 0)],
    )
    assert numbers["focusing"]["rows"]


def test_multilabel_has_a_row_for_each_label(rng):
    preds, labels = multilabel(rng)
    numbers = numbers_of(scored(preds, labels))
    rows = numbers["classes"]
    precision, recall, f1, count = sk.precision_recall_fscore_support(labels, preds > 0)
    assert [row["count"] for row in rows] == count.tolist()
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        np.testing.assert_allclose(values(rows, name), expected, rtol=1e-12)
    assert numbers["imbalance"]["counted"] == "positives"
    assert numbers["confusions"] is None
    assert numbers["rates"]["exact_match"]["value"] == sk.accuracy_score(labels, preds > 0)
    accuracy = numbers["rates"]["accuracy"]
    assert accuracy["value"] == ((preds > 0) == labels).mean()
    of_samples = ((preds > 0) == labels).mean(1)
    width = 2 * 1.96 * of_samples.std() / np.sqrt(len(labels))
    assert accuracy["high"] - accuracy["low"] == pytest.approx(width, rel=0.2)  # 200 replicates


def test_labels_with_the_same_errors_have_a_share_ratio_of_1_however_rare(rng):
    """Multilabel sums the loss of all decisions about a label, so decisions are what its share is held against."""
    labels = (rng.uniform(size=(4000, 4)) < [0.5, 0.3, 0.05, 0.01]).astype(int)
    preds = rng.normal(size=labels.shape) + np.where(labels == 1, 2.5, -2.5)
    run = scored(preds, np.where(rng.uniform(size=labels.shape) < [0, 0, 0, 0.5], -100, labels), losses=["bce", "dice"])
    rows = numbers_of(run)["classes"]
    ratios = [row["losses"]["bce"]["share_ratio"]["value"] for row in rows]
    assert max(abs(ratio - 1) for ratio in ratios) < 0.2
    own = [row["losses"]["bce"]["share"] for row in rows]
    decisions = [4000, 4000, 4000, run.state["class_loss_count"][0][3]]
    np.testing.assert_allclose(ratios, np.array(own) / (np.array(decisions) / sum(decisions)), rtol=1e-12)


def test_infinite_losses_do_not_make_a_class_look_best(rng):
    preds, labels = rng.normal(size=(600, 3)).astype(np.float32), np.arange(600) % 3
    preds[labels == 2, 2] = np.where(np.arange(200) < 150, -np.inf, -2)
    result = evaltool.score(preds, labels, losses=["ce"], preds_are="logits", max_bad=1.0)
    table = columns(open_run(result))
    values_of, finite = table["ce"].astype(float), np.isfinite(table["ce"])
    assert (~finite).sum() == 150
    document = evaltool.report(result).document
    for c, row in enumerate(document["classes"]):
        own = finite & (table["label"] == c)
        expected = values_of[own].mean() / values_of[finite].mean()
        assert row["losses"]["ce"]["share_ratio"]["value"] == pytest.approx(expected, rel=1e-12)
    assert document["classes"][2]["losses"]["ce"]["share_ratio"]["value"] > 1
    assert (
        "ce is infinite at 150 of the 200 labels of class 2: means, shares and ratios leave them out"
        in (document["provenance"]["notes"])
    )
    preds[labels == 2, 2] = -np.inf
    document = evaltool.report(evaltool.score(preds, labels, losses=["ce"], preds_are="logits", max_bad=1.0)).document
    loss = document["classes"][2]["losses"]["ce"]
    assert (loss["share"], loss["share_ratio"], loss["mean"]) == (None, NONE, NONE)
    assert any("200 of the 200 labels of class 2" in note for note in document["provenance"]["notes"])


@pytest.mark.parametrize("made", [binary, long_tail, multilabel, segmentation])
def test_finite_losses_have_no_note(rng, made):
    run = scored(*made(rng), losses=["dice", "bce" if made in (binary, multilabel) else "ce"])
    assert infinite_notes(run, class_table(run)) == []


def test_segmentation_has_intervals_of_images_alone(rng):
    preds, labels = segmentation(rng)
    run = scored(preds, labels)
    numbers = numbers_of(run)
    rows, pred = numbers["classes"], preds.argmax(1)
    np.testing.assert_allclose(values(rows, "f1"), sk.f1_score(labels.ravel(), pred.ravel(), average=None), rtol=1e-12)
    np.testing.assert_allclose(
        values(rows, "iou"), sk.jaccard_score(labels.ravel(), pred.ravel(), average=None), rtol=1e-12
    )
    for row in rows:
        for name in ("recall", "precision", "f1", "iou", "average_precision", "auroc", "ece"):
            assert row[name]["value"] is not None
            assert row[name]["low"] is None, name
    table = columns(run)
    rate = numbers["rates"]["image_iou"]
    assert rate["value"] == pytest.approx(table["iou"].mean(), rel=1e-6)
    assert rate["high"] - rate["low"] == pytest.approx(2 * 1.96 * table["iou"].std() / np.sqrt(20), rel=0.25)
    assert numbers["rates"]["accuracy"]["value"] == (labels == pred).mean()
    assert numbers["rates"]["mean_iou"]["value"] == pytest.approx(np.mean(values(rows, "iou")))
    assert set(numbers["distributions"]) == {"iou", "accuracy", "dice"}
    iou = numbers["distributions"]["iou"]
    assert iou["count"] == 20
    assert iou["p90"] == pytest.approx(np.quantile(table["iou"], 0.9), rel=1e-6)
    assert [row["count"] for row in iou["histogram"]] == np.histogram(table["iou"], 20, (0, 1))[0].tolist()
    assert numbers["distributions"]["dice"]["mean"] == pytest.approx(1 - table["dice"].mean(), rel=1e-6)
    assert numbers["confusions"]["loss"] is None
    counts = [pair["count"] for pair in numbers["confusions"]["pairs"]]
    assert counts == sorted(counts, reverse=True)
    assert numbers["confusions"]["pairs"][0]["loss"] is None


def test_regression_has_residuals(rng):
    preds, labels = rng.normal(size=300), rng.normal(size=300)
    numbers = numbers_of(scored(preds, labels, task="regression"))
    residual = preds.astype(np.float32) - labels.astype(np.float32)
    distribution = numbers["distributions"]["residual"]
    assert distribution["mean"] == pytest.approx(residual.mean(), abs=1e-6)
    for name, at in (("p01", 0.01), ("p50", 0.5), ("p99", 0.99)):
        assert distribution[name] == pytest.approx(np.quantile(residual, at), abs=1e-6)
    assert sum(row["count"] for row in distribution["histogram"]) == 300
    assert numbers["distributions"]["abs_residual"]["mean"] == pytest.approx(np.abs(residual).mean(), rel=1e-6)
    for key in ("imbalance", "groups", "confusions", "focusing"):
        assert numbers[key] is None
    assert numbers["classes"] == []
    assert set(numbers["hardness"]) == {"l1", "mse"}


def plain_bootstrap(preds, labels, statistic, rng, replicates=400):
    rows = rng.integers(0, len(labels), (replicates, len(labels)))
    return np.array([statistic(preds[some], labels[some]) for some in rows])


def test_intervals_are_as_wide_as_a_plain_bootstrap_of_samples(problem, rng):
    run, preds, labels, numbers = problem
    entropy = columns(run)["ce"].astype(float)
    ours = numbers["classes"][2]
    here = {
        "auroc": (ours["auroc"], lambda p, y: sk.roc_auc_score(y == 2, p[:, 2] - logsumexp_others(p, 2))),
        "ap": (
            ours["average_precision"],
            lambda p, y: sk.average_precision_score(y == 2, p[:, 2] - logsumexp_others(p, 2)),
        ),
        "mcc": (numbers["rates"]["mcc"], lambda p, y: sk.matthews_corrcoef(y, p.argmax(1))),
        "kappa": (numbers["rates"]["kappa"], lambda p, y: sk.cohen_kappa_score(y, p.argmax(1))),
        "f1": (ours["f1"], lambda p, y: sk.f1_score(y == 2, p.argmax(1) == 2)),
        "recall": (ours["recall"], lambda p, y: (p.argmax(1)[y == 2] == 2).mean()),
        "macro_f1": (numbers["rates"]["macro_f1"], lambda p, y: sk.f1_score(y, p.argmax(1), average="macro")),
    }
    for name, (estimate, statistic) in here.items():
        spread = plain_bootstrap(preds, labels, statistic, rng, 200).std()
        # two spreads of 200 replicates each: 7% a standard deviation; Student's factor of 100 samples 2%
        assert estimate["high"] - estimate["low"] == pytest.approx(2 * 1.96 * spread, rel=0.25), name
    losses = {
        "mean": (ours["losses"]["ce"]["mean"], lambda e, y: e[y == 2].mean()),
        "ratio": (ours["losses"]["ce"]["share_ratio"], lambda e, y: e[y == 2].mean() / e.mean()),
    }
    for name, (estimate, statistic) in losses.items():
        spread = plain_bootstrap(entropy, labels, statistic, rng).std()
        assert estimate["high"] - estimate["low"] == pytest.approx(2 * 1.96 * spread, rel=0.25), name


def test_the_same_run_gives_the_same_numbers_from_memory_and_from_disk(problem, tmp_path):
    run, preds, labels, numbers = problem
    assert numbers_of(run) == numbers
    evaltool.score(preds, labels, preds_are="logits", output=tmp_path / "r.run", progress=None, batch_size=7)
    evaltool.score(preds, labels, preds_are="logits", output=tmp_path / "s.run", progress=None)
    first, second = (numbers_of(open_run(tmp_path / name)) for name in ("r.run", "s.run"))
    assert first | {"name": ""} == second | {"name": ""}
    assert first["name"] == "r.run"
