"""label-error: transitions, scores, probabilities and counts against plain loops; the same from any blocks."""

import json

import numpy as np
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine import label_errors as unit
from evaltool.mine.job import mine
from evaltool.run import inputs as run_inputs
from tests.scorer.problems import problem

from . import oracle
from .runs import scored, scored_arrays, softmax


def noisy(rng, n=400, classes=5, signal=3):
    """Return logits that know the true class, and labels of which a share is wrong."""
    true = rng.integers(0, classes, n)
    labels = np.where(rng.random(n) < 0.15, (true + 1) % classes, true)
    logits = rng.normal(0, 1, (n, classes)).astype(np.float32)
    logits[np.arange(n), true] += signal
    return logits, labels


def in_order(table, name):
    """Return a column by the rows' index."""
    return table[name].to_numpy()[np.argsort(table["index"].to_numpy())]


@pytest.mark.parametrize("signal", [0.5, 1.5, 3])
def test_softmax_against_plain_loops(tmp_path, rng, signal):
    logits, labels = noisy(rng, signal=signal)
    probs = softmax(logits)
    run = scored_arrays(tmp_path, logits, labels)
    table = (mined := mine(run, fraction=1.0)).table
    found = oracle.em_transitions(probs, labels.tolist(), 5)
    pairs = list(zip(probs, labels.tolist(), strict=True))
    # T is fitted to float32 probabilities
    np.testing.assert_allclose(
        in_order(table, "score"), [oracle.label_error_score(row, y, found) for row, y in pairs], rtol=2e-5, atol=2e-5
    )
    expected = oracle.expected_errors(probs, labels.tolist(), 5)
    # bins of the log-odds are 1/32 wide, and hold their mean
    np.testing.assert_allclose(
        in_order(table, "p_wrong"), oracle.p_wrong(probs, labels.tolist(), found, expected), rtol=1e-3
    )
    assert mined.n_expected_errors == round(expected)
    with np.load(run / "label-errors.npz") as held:
        assert held["expected"].sum() == pytest.approx(expected, rel=1e-12)
    others = probs.copy()
    others[np.arange(len(labels)), labels] = -1
    assert in_order(table, "suggested").tolist() == others.argmax(1).tolist()
    np.testing.assert_allclose(in_order(table, "p_suggested"), others.max(1), rtol=1e-6)
    np.testing.assert_allclose(in_order(table, "p_label"), probs[np.arange(len(labels)), labels], rtol=1e-6)


def test_binary_is_a_softmax_over_two_classes(tmp_path, rng):
    logits, labels = noisy(rng, classes=2)
    odds = logits[:, 1] - logits[:, 0]
    table = (mined := mine(scored_arrays(tmp_path, odds, labels), fraction=1.0)).table
    probs = softmax(np.stack([np.zeros_like(odds), odds], 1))
    found = oracle.em_transitions(probs, labels.tolist(), 2)
    expected = [oracle.label_error_score(row, y, found) for row, y in zip(probs, labels.tolist(), strict=True)]
    np.testing.assert_allclose(in_order(table, "score"), expected, rtol=2e-5, atol=2e-5)
    assert mined.n_expected_errors == round(oracle.expected_errors(probs, labels.tolist(), 2))


def test_each_class_of_multilabel_is_binary(tmp_path, rng):
    preds, labels = problem("multilabel", 80)
    labels[3, 2] = -100
    table = (mined := mine(scored_arrays(tmp_path, preds, labels), fraction=1.0)).table
    total = 0.0
    for c in range(5):
        keep = labels[:, c] >= 0
        odds, given = preds[keep, c].astype(np.float64), labels[keep, c].tolist()
        probs = softmax(np.stack([np.zeros_like(odds), odds], 1))
        found = oracle.em_transitions(probs, given, 2)
        expected = [oracle.label_error_score(row, y, found) for row, y in zip(probs, given, strict=True)]
        np.testing.assert_allclose(
            in_order(table.filter(table["class"].to_numpy() == c), "score"), expected, rtol=2e-5, atol=2e-5
        )
        total += oracle.expected_errors(probs, given, 2)
    assert mined.n_expected_errors == round(total)
    assert len(table) == 399


def test_p_wrong_keeps_the_order_of_the_posterior(tmp_path, rng):
    logits, labels = noisy(rng)
    run = scored_arrays(tmp_path, logits, labels)
    wrong = in_order(mine(run, fraction=1.0).table, "p_wrong")
    probs = softmax(logits)
    found = oracle.em_transitions(probs, labels.tolist(), 5)
    before = [oracle.posterior_wrong(row, y, found) for row, y in zip(probs, labels.tolist(), strict=True)]
    assert np.argsort(wrong, kind="stable").tolist() == np.argsort(before, kind="stable").tolist()


def test_p_wrong_of_multilabel_and_binary_is_halfway_to_the_expected_errors(tmp_path, rng):
    logits, labels = noisy(rng, classes=2)
    odds = (logits[:, 1] - logits[:, 0]).astype(np.float64)
    both = np.stack([odds, -odds / 2], 1)
    given = np.stack([labels, rng.integers(0, 2, len(labels))], 1)
    given[5, 1] = -100
    table = (mined := mine(scored_arrays(tmp_path, both, given), fraction=1.0)).table
    posteriors, expected = [], 0.0
    for c in (0, 1):
        keep = given[:, c] >= 0
        probs = softmax(np.stack([np.zeros(keep.sum()), both[keep, c]], 1))
        found = oracle.em_transitions(probs, given[keep, c].tolist(), 2)
        posteriors += [oracle.posterior_wrong(p, y, found) for p, y in zip(probs, given[keep, c].tolist(), strict=True)]
        expected += oracle.expected_errors(probs, given[keep, c].tolist(), 2)
    assert mined.n_expected_errors == round(expected)
    assert table["p_wrong"].to_numpy().sum() == pytest.approx((sum(posteriors) + expected) / 2, rel=1e-3)


def test_p_wrong_is_no_certainty_where_the_joint_counts_all_or_none(tmp_path, rng):
    logits, _ = noisy(rng)
    clean = logits.argmax(1)
    for name, given in (("right", clean), ("wrong", (clean + 1) % 5)):
        folder = tmp_path / name
        folder.mkdir()
        wrong = mine(scored_arrays(folder, logits, given), fraction=1.0).table["p_wrong"].to_numpy()
        assert np.isfinite(wrong).all()
        assert 0 < wrong.mean() < 1


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_blocks_do_not_matter(tmp_path, monkeypatch, task):
    run = evaltool.score(*problem(task), preds_are="logits")
    source = dict(zip(("preds", "labels"), problem(task), strict=True))
    whole = mine(run, fraction=1.0, **source).table
    monkeypatch.setattr(run_inputs, "BLOCK_NUMBERS", 35)
    blocks = mine(run, fraction=1.0, **source).table
    assert blocks["index"].equals(whole["index"])
    np.testing.assert_allclose(blocks["score"].to_numpy(), whole["score"].to_numpy(), rtol=1e-6, atol=1e-6)


def test_rows_that_are_not_ok_count_for_nothing(tmp_path, rng):
    logits, labels = noisy(rng, 100)
    clean = mine(evaltool.score(logits, labels, preds_are="logits"), fraction=1.0, preds=logits, labels=labels).table
    bad = np.concatenate([logits, logits[:3]])
    more = np.concatenate([labels, [-100, 99, 0]])
    bad[102] = np.nan
    scores = evaltool.score(bad, more, preds_are="logits", max_bad=1.0)
    with_bad = mine(scores, fraction=1.0, preds=bad, labels=more).table
    assert with_bad.equals(clean)


def test_many_rows_are_fitted_by_a_share_of_them(tmp_path, monkeypatch, rng):
    logits, labels = noisy(rng, 2000)
    run = scored_arrays(tmp_path, logits, labels)
    whole = mine(run, fraction=1.0).table
    monkeypatch.setattr(unit, "KEPT_NUMBERS", 5000)
    some = mine(run, fraction=1.0).table
    with np.load(run / "label-errors.npz") as held:
        assert 800 < held["n_fitted"] < 1200
    # half the rows know the same noise
    np.testing.assert_allclose(in_order(some, "score"), in_order(whole, "score"), atol=1.0)
    assert mine(run, fraction=1.0).table.equals(some)


def test_above_so_many_classes_the_log_odds_alone_rank(tmp_path, monkeypatch, rng):
    from evaltool.mine import ranking

    logits, labels = noisy(rng)
    probs = softmax(logits)
    run = scored_arrays(tmp_path, logits, labels)
    for module in (unit, ranking):
        monkeypatch.setattr(module, "MAX_CLASSES", 4)
    table = mine(run, fraction=1.0).table
    own = probs[np.arange(len(labels)), labels]
    others = probs.copy()
    others[np.arange(len(labels)), labels] = 0
    np.testing.assert_allclose(in_order(table, "score"), np.log(others.max(1)) - np.log(own), rtol=1e-6, atol=1e-9)
    assert table["p_wrong"].null_count == len(table)
    with pytest.raises(EvaltoolError, match="p_wrong"):
        mine(run, as_weights=tmp_path / "w.npy")


def test_what_is_computed_is_kept_and_goes_with_the_run(tmp_path, monkeypatch, rng):
    logits, labels = noisy(rng)
    run = scored_arrays(tmp_path, logits, labels)
    first = mine(run).table
    monkeypatch.setattr(unit, "_fitted", lambda *_: pytest.fail("computed again"))
    assert mine(run).table.equals(first)
    monkeypatch.undo()
    scored_arrays(tmp_path, logits, (labels + 1) % 5, overwrite=True)
    assert not (run / "label-errors.npz").exists()
    assert mine(run).n_expected_errors > 300


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_or_foreign_cache_is_computed_again(tmp_path, rng, damage):
    logits, labels = noisy(rng)
    run = scored_arrays(tmp_path, logits, labels)
    first = mine(run).table
    if damage is None:
        with np.load(run / "label-errors.npz") as held:
            arrays = dict(held)
        key = json.loads(str(arrays["key"]))
        np.savez(
            run / "label-errors.npz",
            **{**arrays, "key": json.dumps({**key, "preds": "others"}), "expected": np.ones(5)},
        )
    else:
        (run / "label-errors.npz").write_bytes(damage)
    assert mine(run).table.equals(first)


def test_probabilities_of_zero_and_one(tmp_path):
    probs = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    labels = np.array([0, 1, 2, 0, 1, 0])
    table = mine(scored_arrays(tmp_path, probs, labels, preds_are="probs"), fraction=1.0).table
    assert table["index"][0].as_py() == 5
    assert np.isfinite(table["score"].to_numpy()).all()
    assert table["p_wrong"].to_numpy()[0] == 1


def test_ambiguous_is_entropy_among_labels_likely_right(tmp_path, rng):
    logits, labels = noisy(rng)
    run = scored_arrays(tmp_path, logits, labels)
    table = mine(run, by="ambiguous", fraction=1.0).table
    probs = softmax(logits)
    entropy = -(probs * np.log(probs)).sum(1)
    wrong = in_order(mine(run, fraction=1.0).table, "p_wrong")
    expected = sorted(np.flatnonzero(wrong < 0.5), key=lambda i: -entropy[i])
    assert table["index"].to_pylist() == expected
    np.testing.assert_allclose(table["score"].to_numpy(), entropy[expected], rtol=1e-6)


def test_regression_has_no_label_errors(tmp_path):
    run = scored(tmp_path, "regression")
    assert mine(run).by == "l1"
    with pytest.raises(EvaltoolError, match="needs classes"):
        mine(run, by="label-error")


def test_cleanlab_counts_and_scores_the_same(tmp_path, rng):
    count = pytest.importorskip("cleanlab.count")
    logits, labels = noisy(rng)
    probs = softmax(logits)
    joint = count.compute_confident_joint(labels, probs, calibrate=True)
    expected = joint.sum() - np.trace(joint)
    mined = mine(scored_arrays(tmp_path, logits, labels))
    assert abs(mined.n_expected_errors - expected) <= 5  # theirs is rounded per pair of classes


def listed(run, **options):
    table = mine(run, top=20, **options).table
    return table["index"].to_pylist(), table["score"].to_pylist()


@pytest.mark.parametrize("before", [True, False])
def test_arrays_in_place_of_the_files_neither_use_nor_leave_a_cache(tmp_path, rng, before):
    logits, labels = noisy(rng)
    run = scored_arrays(tmp_path, logits, labels)
    expected = listed(run)
    if not before:
        (run / "label-errors.npz").unlink()
    others = rng.permutation(logits)
    (tmp_path / "other").mkdir()
    by_itself = listed(scored_arrays(tmp_path / "other", others, labels))
    assert listed(run, preds=others) == by_itself
    mine(run, top=20, labels=rng.permutation(labels))
    assert (run / "label-errors.npz").exists() == before
    assert listed(run) == expected


@pytest.mark.parametrize("name", ["transitions", "expected", "counts"])
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_cache_of_other_shapes_is_computed_again(tmp_path, task, name):
    run = scored(tmp_path, task, 50)
    expected = listed(run)
    with np.load(run / "label-errors.npz") as held:
        arrays = dict(held)
    np.savez(run / "label-errors.npz", **{**arrays, name: arrays[name][:-1]})
    assert listed(run) == expected


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_a_row_of_nan_warns_of_nothing(tmp_path, task):
    preds, labels = problem(task, 40, 0)
    preds[3] = np.nan
    assert 3 not in listed(scored_arrays(tmp_path, preds, labels))[0]
