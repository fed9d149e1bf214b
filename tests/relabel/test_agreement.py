import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evaltool.relabel.agreement import cohen_kappa, fleiss_kappa, pairs_agreeing, share_of


def test_cohens_kappa_equals_scikit_learns(rng):
    first, second = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    second[:30] = first[:30]
    assert cohen_kappa(list(zip(first, second, strict=True))) == pytest.approx(cohen_kappa_score(first, second))


def test_fleiss_kappa_of_his_example():
    # Fleiss 1971, as tabulated in the literature: ten items, fourteen votes each, kappa 0.210
    table = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    items = [np.repeat(np.arange(5), counts).tolist() for counts in table]
    assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)


def test_kappa_is_1_for_equal_votes_and_nothing_without_chance():
    assert cohen_kappa([(0, 0), (1, 1)]) == fleiss_kappa([[0, 0, 0], [1, 1, 1]]) == 1
    assert cohen_kappa([(0, 0), (0, 0)]) is None
    assert fleiss_kappa([[0, 0], [0, 0]]) is None
    assert cohen_kappa([]) is None
    assert fleiss_kappa([[1]]) is None


def test_pairs():
    assert pairs_agreeing([[1, 1, 2], [3], [4, 4]]) == (2, 4)


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (3, 10), (10, 10), (81, 263), (1, 1)])
def test_wilsons_interval_solves_its_equation(hits, total):
    """The ends are where |p - end| = z sqrt(end (1 - end) / n)."""
    share = share_of(hits, total)
    for end in (share.low, share.high):
        assert abs(share.value - end) == pytest.approx(
            1.959963984540054 * np.sqrt(end * (1 - end) / total), abs=1e-9
        ) or (end == share.value)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_a_known_interval():
    # Newcombe 1998, table I: 81 of 263, score method without continuity correction
    assert share_of(81, 263)[3:] == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_no_share_of_nothing():
    assert share_of(0, 0)[2:] == (None, None, None)
