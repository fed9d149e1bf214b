"""Flipped labels of scikit-learn's digits: more are found than by cleanlab's best score on the same probabilities."""

import numpy as np
import pytest
import torch

from .settings import Setting
from .table import CLEANLAB, measured


@pytest.mark.slow
@pytest.mark.parametrize("flips", ["look-alike", "leaky"])
def test_more_flips_are_found_than_by_cleanlab(flips):
    pytest.importorskip("cleanlab")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks
    try:
        (single, averaged), sure = measured(Setting("digits", flips), seed=7)
    finally:
        torch.set_num_threads(threads)
    for found in (single, averaged):
        assert found["evaltool"] > max(found[method] for method in CLEANLAB)
    assert averaged["evaltool"] > 0.8
    # the number of errors, within a third
    assert np.log(1.5) > abs(np.log(averaged["expected/true"]))
    for judged in sure:
        losses = {name: -np.log(np.where(wrong, p, 1 - p)).mean() for name, (p, wrong) in judged.items()}
        assert losses["p_wrong"] < 0.9 * losses["posterior"]
