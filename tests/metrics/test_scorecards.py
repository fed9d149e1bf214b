"""Columns beside the losses, against 60-digit arithmetic and scikit-learn; eager and scripted."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from evaltool.metrics import (
    BinaryScorecard,
    MulticlassScorecard,
    MultilabelScorecard,
    RegressionScorecard,
    SegmentationScorecard,
)
from evaltool.numerics.scripting import scripted
from evaltool.schema import STATUSES
from tests import oracle

TOLERANCE = 1e-5


@pytest.fixture(params=["eager", "scripted"])
def way(request):
    return scripted if request.param == "scripted" else lambda module: module


def statuses(columns):
    return [STATUSES[code] for code in columns["status"].tolist()]


@pytest.mark.parametrize("kind", ["logits", "probs", "log-probs"])
def test_multiclass_columns(way, kind, rng):
    logits = np.concatenate([rng.normal(0, 3, (150, 6)), rng.uniform(-90, 90, (150, 6)), rng.normal(0, 1e-4, (50, 6))])
    preds = torch.from_numpy(logits)
    preds = {"logits": preds, "probs": preds.softmax(1), "log-probs": preds.log_softmax(1)}[kind].float()
    labels = rng.integers(0, 6, len(logits))
    got = way(MulticlassScorecard(preds_are=kind))(preds, torch.from_numpy(labels))
    truth = [oracle.normalised(row) if kind == "probs" else oracle.softmax(row) for row in preds.numpy()]
    rows = list(zip(truth, labels.tolist(), strict=True))
    assert set(statuses(got)) == {"ok"}
    assert got["pred"].tolist() == [p.index(max(p)) for p in truth]
    p_label = [max(p[t], oracle.SMALLEST_NORMAL) if kind == "probs" else p[t] for p, t in rows]
    assert oracle.worst_error(got["p_label"], p_label) < TOLERANCE
    assert oracle.worst_error(got["p_pred"], [max(p) for p in truth]) < TOLERANCE
    assert oracle.worst_error(got["margin"], [oracle.margin(p, t) for p, t in rows]) < TOLERANCE
    assert oracle.worst_error(got["entropy"], [oracle.entropy(p) for p in truth]) < TOLERANCE


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_binary_columns(way, kind, rng):
    logits = np.concatenate([rng.normal(0, 3, 200), rng.uniform(-90, 90, 200), rng.normal(0, 1e-5, 50), [0.0]])
    preds = torch.from_numpy(logits)
    preds = (preds if kind == "logits" else preds.sigmoid()).float()
    if kind == "probs":
        preds = preds.clamp(1e-37, 1 - 1e-7)
    labels = rng.integers(0, 2, len(logits))
    got = way(BinaryScorecard(preds_are=kind))(preds, torch.from_numpy(labels))
    truth = [oracle.pair(x) if kind == "logits" else [1 - oracle.exact(x), oracle.exact(x)] for x in preds.numpy()]
    rows = list(zip(truth, labels.tolist(), strict=True))
    assert got["pred"].tolist() == [int(p[1] > p[0]) for p in truth]
    assert oracle.worst_error(got["p_label"], [p[t] for p, t in rows]) < TOLERANCE
    assert oracle.worst_error(got["p_pred"], [max(p) for p in truth]) < TOLERANCE
    assert oracle.worst_error(got["margin"], [oracle.margin(p, t) for p, t in rows]) < TOLERANCE
    assert oracle.worst_error(got["entropy"], [oracle.entropy(p) for p in truth]) < TOLERANCE


def test_multilabel_columns(way, rng):
    preds = torch.from_numpy(rng.normal(0, 4, (60, 5)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, (60, 5)))
    labels[3, 1:] = -100
    got = way(MultilabelScorecard())(preds, labels)
    for n in range(60):
        valid = [c for c in range(5) if labels[n, c] != -100]
        pairs = {c: oracle.pair(preds[n, c]) for c in valid}
        p_label = {c: pairs[c][int(labels[n, c])] for c in valid}
        worst = min(valid, key=p_label.__getitem__)
        assert int(got["worst_class"][n]) == worst
        assert int(got["n_wrong"][n]) == sum(p_label[c] < 0.5 for c in valid)
        assert float(got["worst_class_loss"][n]) == pytest.approx(
            float(oracle.minus_log(pairs[worst], int(labels[n, worst]))), rel=1e-5
        )
        assert float(got["p_label"][n]) == pytest.approx(float(p_label[worst]), rel=1e-5)
        mean_entropy = sum(float(oracle.entropy(pairs[c])) for c in valid) / len(valid)
        assert float(got["entropy"][n]) == pytest.approx(mean_entropy, rel=1e-5)


def test_segmentation_columns(way, rng):
    preds = torch.from_numpy(rng.normal(0, 2, (6, 4, 9, 8)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 3, (6, 9, 8)))  # class 3 is in no label
    labels[0, :4] = -100
    got = way(SegmentationScorecard())(preds, labels)
    for n in range(6):
        valid = labels[n] != -100
        given, pred = labels[n][valid].numpy(), preds[n].argmax(0)[valid].numpy()
        present = sorted(set(given.tolist()))
        iou = jaccard_score(given, pred, labels=present, average=None)
        assert int(got["n_valid"][n]) == int(valid.sum())
        assert float(got["accuracy"][n]) == pytest.approx((given == pred).mean(), rel=1e-6)
        assert float(got["iou"][n]) == pytest.approx(iou.mean(), rel=1e-6)
        assert int(got["worst_class"][n]) == present[int(iou.argmin())]
        p = preds[n].double().softmax(0)[:, valid].numpy()
        assert float(got["p_pred"][n]) == pytest.approx(p.max(0).mean(), rel=1e-5)
        assert float(got["entropy"][n]) == pytest.approx(-(p * np.log(p)).sum(0).mean(), rel=1e-5)


def test_segmentation_of_one_foreground_class(way, rng):
    preds = torch.from_numpy(rng.normal(0, 2, (5, 9, 8)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 2, (5, 9, 8)))
    labels[4] = 0
    preds[4] = -5
    got = way(SegmentationScorecard(foreground=True))(preds, labels)
    for n in range(4):
        expected = jaccard_score(labels[n].flatten(), preds[n].flatten() > 0)
        assert float(got["iou"][n]) == pytest.approx(expected, rel=1e-6)
    assert float(got["iou"][4]) == 1  # both empty


def test_statuses_of_logits(way):
    inf, nan = torch.inf, torch.nan
    preds = torch.tensor(
        [[1.0, 2, 3], [nan, 2, 3], [1, inf, 3], [1, -inf, 3], [-inf, -inf, -inf], [1, 2, 3], [nan, 2, 3], [nan, 2, 3]]
    )
    labels = torch.tensor([0, 0, 0, 0, 0, 3, -100, -1])
    got = statuses(way(MulticlassScorecard())(preds, labels))
    expected = ["ok", "nonfinite", "nonfinite", "ok", "nonfinite", "bad_label", "ignored", "nonfinite"]
    assert got == expected


def test_statuses_of_probs(way):
    rows = [[0.2, 0.8], [0.2, 0.81], [-0.1, 1.1], [0.0, 1.0], [torch.nan, 0.5], [torch.inf, 0.0]]
    got = statuses(way(MulticlassScorecard(preds_are="probs"))(torch.tensor(rows), torch.zeros(6, dtype=torch.int64)))
    assert got == ["ok", "bad_preds", "bad_preds", "ok", "nonfinite", "nonfinite"]


def test_statuses_of_log_probs(way):
    rows = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [0.5, 0.6]]).log()
    rows[2, 0] = 3.0
    got = statuses(way(MulticlassScorecard(preds_are="log-probs"))(rows, torch.zeros(4, dtype=torch.int64)))
    assert got == ["ok", "ok", "bad_preds", "bad_preds"]


def test_statuses_of_binary(way):
    preds = torch.tensor([0.5, torch.nan, torch.inf, -torch.inf, 0.5, 0.5])
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0, 2.0, -100.0])
    got = statuses(way(BinaryScorecard())(preds, labels))
    assert got == ["ok", "nonfinite", "nonfinite", "ok", "bad_label", "ignored"]
    got = statuses(way(BinaryScorecard(preds_are="probs"))(torch.tensor([0.5, 1.5, -0.1]), torch.zeros(3)))
    assert got == ["ok", "bad_preds", "bad_preds"]


def test_faults_at_ignored_positions_count_for_nothing(way):
    preds, labels = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
    preds[:, 0, 1] = torch.nan
    labels[0, 1] = -100
    got = way(SegmentationScorecard())(preds, labels)
    assert statuses(got) == ["ok", "nonfinite"]
    assert float(got["p_pred"][0]) == pytest.approx(1 / 3)


def test_statuses_of_regression(way):
    got = way(RegressionScorecard())(
        torch.tensor([1.0, torch.nan, torch.inf, -torch.inf, 1.0]), torch.tensor([1.0, 0, 0, 0, torch.nan])
    )
    assert statuses(got) == ["ok", "nonfinite", "nonfinite", "nonfinite", "bad_label"]
