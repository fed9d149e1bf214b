"""The predictions and labels of a run, found again: their log p against SciPy, and what is wrong with others."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, log_softmax, logit

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.numerics.scripting import saved, scripted
from evaltool.run.inputs import Inputs
from evaltool.run.reader import open_run

N = 30
LOGITS = np.random.default_rng(5).normal(0, 3, (N, 4)).astype(np.float32)
LABELS = np.random.default_rng(6).integers(0, 4, N)


def scored(preds, labels, **options):
    return open_run(evaltool.score(preds, labels, **{"progress": None, "max_bad": 1.0} | options))


def inputs_of(preds, labels, **options):
    return Inputs(scored(preds, labels, **options), preds=preds, labels=labels)


def whole(inputs, rows=7):
    """Return the blocks as one."""
    blocks = list(inputs.blocks(rows))
    assert [block.start for block in blocks] == list(range(0, len(blocks) * rows, rows))
    return [np.concatenate([block[i] for block in blocks]) for i in range(1, 5)]


# what is rounded to float32 before it is read
KINDS = {"logits": (lambda x: x, 1e-12), "probs": (np.exp, 1e-6), "log-probs": (lambda x: x, 1e-6)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spatial", [(), (5,), (3, 2)], ids=["flat", "sequence", "image"])
def test_softmax_gives_log_p(rng, kind, spatial):
    logits = rng.normal(0, 3, (N, 4, *spatial)).astype(np.float32)
    expected = log_softmax(logits.astype(float), axis=1)
    made, tolerance = KINDS[kind]
    preds = made(logits if kind == "logits" else expected).astype(np.float32)
    labels = rng.integers(0, 4, (N, *spatial))
    odds, given, valid, ok = whole(inputs_of(preds, labels, preds_are=kind))
    assert odds.dtype == np.float64
    np.testing.assert_allclose(odds, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(given, labels)
    assert valid.all()
    assert ok.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("task", "shape", "label_shape"),
    [
        ("binary", (N,), (N,)),
        ("binary", (N, 1), (N,)),
        ("binary", (N, 1), (N, 1)),
        ("multilabel", (N, 3), (N, 3)),
        ("segmentation", (N, 1, 4, 2), (N, 4, 2)),
        ("segmentation", (N, 4, 2), (N, 4, 2)),
    ],
)
def test_sigmoids_give_log_odds(rng, kind, task, shape, label_shape):
    logits = rng.normal(0, 3, shape).astype(np.float32)
    preds = {"logits": logits, "probs": expit(logits), "log-probs": log_expit(logits)}[kind].astype(np.float32)
    labels = rng.integers(0, 2, label_shape)
    odds, given, valid, _ = whole(inputs_of(preds, labels, task=task, preds_are=kind))
    expected = logits.astype(float).reshape(odds.shape)
    if kind == "probs":
        expected = logit(preds.astype(float)).reshape(odds.shape)
    np.testing.assert_allclose(odds, expected, rtol=1e-12 if kind != "log-probs" else 1e-4)  # 1 - p of float32 log p
    assert odds.shape == given.shape == valid.shape
    np.testing.assert_array_equal(given, labels.reshape(given.shape))


def test_probabilities_are_divided_by_their_sum():
    preds = np.full((N, 4), 0.2499, np.float32)
    odds = whole(inputs_of(preds, LABELS, preds_are="probs"))[0]
    np.testing.assert_allclose(odds, np.log(0.25))


def test_shares_give_the_largest_class(rng):
    shares = rng.dirichlet(np.ones(4), N)
    _, labels, valid, _ = whole(inputs_of(LOGITS, shares, task="multiclass", preds_are="logits"))
    np.testing.assert_array_equal(labels, shares.argmax(1))
    assert valid.all()


def test_what_is_not_scored_is_not_valid():
    preds, labels = LOGITS.copy(), LABELS.copy()
    preds[3, 1], labels[5], labels[8] = np.nan, -100, 99
    _, given, valid, ok = whole(inputs_of(preds, labels, task="multiclass", preds_are="logits"))
    assert np.flatnonzero(~ok).tolist() == np.flatnonzero(~valid).tolist() == [3, 5, 8]
    assert given[[3, 5, 8]].tolist() == [0, 0, 0]


def test_ignored_positions_are_not_valid(rng):
    labels = rng.integers(0, 4, (N, 5))
    labels[2, 3] = -100
    preds = rng.normal(size=(N, 4, 5))
    _, _, valid, ok = whole(inputs_of(preds, labels, preds_are="logits"))
    assert np.argwhere(~valid).tolist() == [[2, 3]]
    assert ok.all()


@pytest.mark.parametrize("index", [[0], [29], [0, 1, 2, 9, 10, 28, 29], list(range(N)), []])
def test_some_rows_are_those_of_the_blocks(index):
    labels = LABELS.copy()
    labels[9] = -100
    inputs = inputs_of(LOGITS, labels, preds_are="logits")
    some = inputs.rows(np.array(index, np.int64))
    assert some.start == 0
    for ours, all_rows in zip(some[1:], whole(inputs), strict=True):
        np.testing.assert_array_equal(ours, all_rows[index])


def test_neighbours_are_read_together():
    inputs = inputs_of(LOGITS, LABELS, preds_are="logits")
    spans = []
    read = inputs.preds.read
    inputs.preds.read = lambda *span: spans.append(span) or read(*span)
    inputs.rows(np.array([0, 1, 2, 9, 11, 12]))
    assert spans == [(0, 3), (9, 10), (11, 13)]


def test_blocks_are_as_large_as_memory_allows(monkeypatch):
    monkeypatch.setattr("evaltool.run.inputs.BLOCK_NUMBERS", 40)
    blocks = list(inputs_of(LOGITS, LABELS, preds_are="logits").blocks())
    assert [len(block.ok) for block in blocks] == [10, 10, 10]


def test_tensors_are_inputs():
    preds, labels = torch.from_numpy(LOGITS).bfloat16(), torch.from_numpy(LABELS)
    odds = whole(inputs_of(preds, labels, preds_are="logits"))[0]
    np.testing.assert_allclose(odds, log_softmax(preds.float().numpy().astype(float), axis=1), rtol=1e-12)


def test_integers_over_a_scale_are_inputs(rng):
    preds = rng.integers(1, 255, N).astype(np.uint8)
    odds = whole(inputs_of(preds, LABELS % 2, task="binary", preds_are="probs", scale=255))[0]
    np.testing.assert_allclose(odds, logit(preds / 255), rtol=1e-5)  # float32 probabilities


@pytest.fixture
def files(tmp_path):
    """A run of files."""
    for name, array in (("preds", LOGITS), ("labels", LABELS)):
        np.save(tmp_path / f"{name}.npy", array)
    evaltool.score(
        tmp_path / "preds.npy", tmp_path / "labels.npy", preds_are="logits", output=tmp_path / "r.run", progress=None
    )
    return tmp_path


def error_of(run, **given):
    with pytest.raises(EvaltoolError) as error:
        Inputs(run, **given)
    return str(error.value)


def test_recorded_files_are_found(files):
    odds = whole(Inputs(open_run(files / "r.run")))[0]
    np.testing.assert_allclose(odds, log_softmax(LOGITS.astype(float), axis=1), rtol=1e-12)


def test_a_moved_file_can_be_named(files):
    (files / "preds.npy").rename(files / "moved.npy")
    run = open_run(files / "r.run")
    assert error_of(run) == (
        f"the preds of this run are no longer there\n  {files / 'preds.npy'}\n  Say where they are with --preds FILE."
    )
    assert len(whole(Inputs(run, preds=files / "moved.npy"))[0]) == N
    assert len(whole(Inputs(run, preds=str(files / "moved.npy")))[0]) == N


def test_another_file_is_refused(files):
    np.save(files / "labels.npy", (LABELS + 1) % 4)
    size = (files / "labels.npy").stat().st_size
    assert error_of(open_run(files / "r.run")) == (
        f"the labels are not those that were scored\n  {files / 'labels.npy'}: {size} bytes, another digest than in "
        f"run.json ({size} bytes)\n  Score them again, or say where the others are with --labels FILE."
    )


def test_an_array_of_another_shape_is_refused(files):
    assert error_of(open_run(files / "r.run"), preds=LOGITS[:9]) == (
        "the preds are not those that were scored\n  preds: shape [9, 4], expected [30, 4]\n"
        "  Give the preds of this run."
    )


def test_inputs_from_memory_must_be_given_again_to_a_saved_run(tmp_path):
    scores = evaltool.score(LOGITS, LABELS, preds_are="logits", progress=None)
    assert Inputs(open_run(scores)).preds.shape == (30, 4)
    scores.save(tmp_path / "a.run")
    assert not Inputs(open_run(scores)).are_recorded
    assert error_of(open_run(tmp_path / "a.run")) == (
        "the preds of this run came from memory\n  a.run: preds [30, 4]\n"
        "  Give them again: preds=array in Python, --preds FILE on the command line."
    )


def test_a_model_s_predictions_were_not_stored(tmp_path):
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    path = tmp_path / "net.pt"
    saved(scripted(Net()), path)
    run = scored(LOGITS, LABELS, model=path, trust=True, preds_are="logits")
    assert error_of(run).startswith("the predictions of this run were not stored\n  scores: scored with --model ")
    assert error_of(run).endswith("\n  Store them with `evaltool predict`, and score those.")
    odds = whole(Inputs(run, preds=LOGITS * 2, labels=LABELS))[0]
    np.testing.assert_allclose(odds, log_softmax(LOGITS.astype(float) * 2, axis=1), rtol=1e-12)
