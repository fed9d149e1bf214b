"""Intervals of AUROC and average precision: around the metrics' own values, and as often right as they say."""

import numpy as np
import pytest
import torch

from evaltool.metrics import AUROC, AveragePrecision
from evaltool.report.intervals import Resampler
from evaltool.report.rankings import ranking_bounds

METRICS = {"auroc": AUROC, "average_precision": AveragePrecision}


def value_of(name, ranking):
    metric = METRICS[name](task="multilabel", num_classes=len(ranking), num_bins=ranking.shape[2], average="none")
    metric.merge({"counts": torch.from_numpy(ranking), "n_bad": torch.zeros([], dtype=torch.int64)})
    return metric.compute().numpy()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("at_once", [1 << 20, 64])
def test_many_samples_leave_the_metric_s_value_alone(rng, monkeypatch, name, at_once):
    monkeypatch.setattr("evaltool.report.rankings.CELLS_AT_ONCE", at_once)
    ranking = rng.integers(0, 3, (9, 2, 16)) * rng.integers(0, 2, (9, 2, 16)) * 10_000_000
    ranking[4, 1] = 0  # no positives
    ranking[6, 0] = 0  # no negatives
    ranking[7, 1, -1] = ranking[8, 1, 0] = 10_000_000
    bounds = ranking_bounds(ranking, Resampler())[name]
    values = value_of(name, ranking)
    known = np.isfinite(values) & (np.arange(9) != 6)
    assert known.sum() == 7
    assert np.isnan(bounds.low[~known]).all()
    np.testing.assert_allclose(bounds.low[known], values[known], atol=1e-3)
    np.testing.assert_allclose(bounds.high[known], values[known], atol=1e-3)
    assert (bounds.low[known] <= values[known]).all()
    assert (bounds.high[known] >= values[known]).all()
    assert bounds.mean_low == pytest.approx(values[known].mean(), abs=1e-3)
    assert bounds.mean_high == pytest.approx(values[known].mean(), abs=1e-3)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("positives", "least"), [(8, 0.88), (100, 0.92)])
def test_the_intervals_cover(rng, name, positives, least):
    def table(classes, size):
        logits = [rng.normal(mean, 1, (classes, number)) for mean, number in ((0, 5 * size), (1.5, size))]
        bins = [np.clip((x * 16 + 128).astype(int), 0, 255) for x in logits]
        return np.stack([[np.bincount(row, minlength=256) for row in some] for some in bins], 1)

    truth = value_of(name, table(1, 300_000))[0]
    bounds = ranking_bounds(table(400, positives), Resampler())[name]
    covered = np.mean((bounds.low <= truth) & (truth <= bounds.high))
    assert least <= covered <= 0.99
