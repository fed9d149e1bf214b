"""Segmentation: soft Dice, worst class and worst region against plain NumPy and a flood fill."""

import sys

import numpy as np
import pytest

from evaltool.errors import EvaltoolError
from evaltool.mine.job import mine

from . import oracle
from .runs import scored_arrays


def dice(probs, labels, c):
    """Return the soft Dice loss of one class of one image, smoothed by one position."""
    p, y = probs[c].astype(np.float64), labels == c
    return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


@pytest.fixture
def masks(rng):
    """Logits [N, C, H, W] that draw the labels' rectangles, and labels of which some are shifted."""
    n, classes, h, w = 20, 3, 16, 12
    labels = np.zeros((n, h, w), np.int64)
    for i in range(n):
        top, left = rng.integers(0, 8, 2)
        labels[i, top : top + 6, left : left + 4] = 1 + i % 2
    logits = np.where(labels[:, None] == np.arange(classes)[:, None, None], 3.0, 0.0)
    logits = (logits + rng.normal(0, 0.3, logits.shape)).astype(np.float32)
    shifted = labels.copy()
    for i in range(5):
        shifted[i] = np.roll(labels[i], 5, axis=0)
    return logits, shifted


@pytest.mark.parametrize("losses", [None, ["ce"]], ids=["dice column", "no dice column"])
def test_bad_masks_come_first(tmp_path, masks, losses):
    logits, labels = masks
    table = mine(scored_arrays(tmp_path, logits, labels, losses=losses), fraction=1.0).table
    assert set(table["index"].to_pylist()[:5]) == set(range(5))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for index, score in zip(table["index"].to_pylist(), table["score"].to_pylist(), strict=True):
        present = [dice(probs[index], labels[index], c) for c in np.unique(labels[index])]
        assert score == pytest.approx(np.mean(present), rel=1e-5)


def test_the_worst_region_is_the_disagreement_that_lacks_most(tmp_path, masks):
    logits, labels = masks
    table = mine(scored_arrays(tmp_path, logits, labels), fraction=1.0).table
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    boxes = 0
    for row in table.to_pylist():
        y, p = labels[row["index"]], probs[row["index"]]
        regions = oracle.disagreement_regions(y.tolist(), p.argmax(0).tolist())
        if not regions:
            assert row["box"] is None
            continue
        worst = max(regions, key=lambda region: sum(1 - p[y[i, j], i, j] for i, j in region))
        rows, cols = zip(*worst, strict=True)
        assert row["box"] == [min(rows), min(cols), 1 + max(rows) - min(rows), 1 + max(cols) - min(cols)]
        assert f"in the worst region {len(worst):,} positions" in row["why"]
        boxes += 1
    assert boxes >= 5


def test_one_foreground_class(tmp_path, rng):
    labels = np.zeros((6, 8, 8), np.int64)
    labels[:, 2:5, 2:6] = 1
    logits = np.where(labels == 1, 4.0, -4.0).astype(np.float32)[:, None]
    labels[4, :] = 0
    labels[4, 6:, 6:] = 1
    table = mine(scored_arrays(tmp_path, logits, labels, losses=["ce"]), fraction=1.0).table
    first = table.to_pylist()[0]
    assert first["index"] == 4
    assert first["class_name"] == "foreground"
    assert first["box"] == [2, 2, 3, 4]
    p = 1 / (1 + np.exp(-logits[4, 0].astype(np.float64)))
    assert first["score"] == pytest.approx(dice(np.stack([1 - p, p]), labels[4], 1), rel=1e-6)
    assert first["why"].endswith("in the worst region 12 positions, most labelled background and predicted foreground")


def test_volumes_have_boxes_of_six_numbers_and_ignored_positions_do_not_count(tmp_path, rng):
    labels = np.zeros((2, 4, 5, 6), np.int64)
    logits = np.zeros((2, 2, 4, 5, 6), np.float32)
    logits[:, 0] = 3
    logits[0, 1, 1:3, 2:4, 3:6] = 9
    labels[0, :, :, 5] = -100
    table = mine(scored_arrays(tmp_path, logits, labels), fraction=1.0).table
    assert table["box"].to_pylist() == [[1, 2, 3, 2, 2, 2], None]


def test_without_scipy_it_is_said(tmp_path, masks, monkeypatch):
    run = scored_arrays(tmp_path, *masks)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(EvaltoolError, match=r"pip install 'evaltool\[mine\]'"):
        mine(run)


def test_without_predictions_a_column_ranks_and_boxes_are_missed_aloud(tmp_path, masks, capsys):
    run = scored_arrays(tmp_path, *masks)
    whole = mine(run).table
    (tmp_path / "preds.npy").unlink()
    table = mine(run, progress="none").table
    assert table["index"].equals(whole["index"])
    assert "box" not in table.column_names
    assert table["why"][0].as_py().startswith("dice 0.")
    assert (
        "warning: no boxes of the worst regions: the preds of this run are no longer there" in capsys.readouterr().err
    )
    with pytest.raises(EvaltoolError, match="no longer there"):
        mine(run, dedup=True)


def test_images_are_alike_where_their_masks_are(tmp_path, masks):
    logits, labels = masks
    twice = scored_arrays(tmp_path, np.concatenate([logits, logits]), np.concatenate([labels, labels]))
    assert sorted(mine(twice, fraction=1.0, dedup=True).table["index"].to_pylist()) == list(range(20))
