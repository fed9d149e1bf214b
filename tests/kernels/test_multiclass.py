"""The kernel of rows of a softmax: columns and statuses against the definitions and the torch engine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaltool.kernels.multiclass import MulticlassKernel
from evaltool.schema import BAD_LABEL, BAD_PREDS, IGNORED, NONFINITE, OK

from .. import oracle
from .engines import kernel_loss, multiclass_job, torch_scores

FLOATS = ("p_label", "p_pred", "margin", "entropy")


def all_losses(num_classes):
    """Return every form of loss that the kernel has."""
    factors = (np.arange(num_classes) % 5 * 0.5 + 0.25).tolist()
    return [
        kernel_loss("ce", "ce"),
        kernel_loss("weighted", "ce", weight=factors),
        kernel_loss("focal", "focal"),
        kernel_loss("focal-high", "focal", gamma=4.3, alpha=0.3),
        kernel_loss("focal-by-class", "focal", gamma=factors, alpha=factors),
        kernel_loss("dice", "dice"),
        kernel_loss("squared", "dice", squared=True, smooth_nr=0.5),
    ]


def as_dtype(values, dtype):
    """Return float64 values in a dtype; bfloat16 as the uint16 of its bits, cut off."""
    if dtype == "bfloat16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def problem(seed, rows, classes, dtype="float32", kind="logits"):
    """Return predictions with masked and equal classes, faults of every sort, and labels to go with them."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((rows, classes)) * rng.choice([0.01, 1, 5, 60], (rows, 1))
    logits[::7] = np.round(logits[::7])
    logits[rng.random((rows, classes)) < 0.02] = -np.inf
    logits[:, 0] = np.where(np.isinf(logits[:, 0]), 0.5, logits[:, 0])
    labels = np.where(rng.random(rows) < 0.5, logits.argmax(1), rng.integers(0, classes, rows))
    largest = logits.max(1, keepdims=True)
    log_probs = logits - largest - np.log(np.exp(logits - largest).sum(1, keepdims=True))
    values = {"logits": logits, "probs": np.exp(log_probs), "log-probs": log_probs}[kind]
    for fault in (np.nan, -np.nan, np.inf, -np.inf, 3.0, -0.5):
        values[rng.random(rows) < 0.02, rng.integers(classes)] = fault
    values[rng.random(rows) < 0.01] = -np.inf
    for label in (-100, -1, classes, -(2**62)):
        labels[rng.random(rows) < 0.03] = label
    return as_dtype(values, dtype), labels.astype(np.int64)


def assert_like_torch(job, preds, labels):
    """Assert that statuses are the torch engine's and columns within 1e-5 of its."""
    status, columns = MulticlassKernel(job).score(preds, labels)
    expected_status, expected, _ = torch_scores(job, preds, labels)
    np.testing.assert_array_equal(status, expected_status)
    ok = status == OK
    np.testing.assert_array_equal(columns["pred"][ok], expected["pred"][ok])
    assert set(columns) == set(expected) - {"label"}
    for name in set(columns) - {"pred"}:
        assert columns[name].dtype == np.float32
        np.testing.assert_allclose(columns[name][ok], expected[name][ok], rtol=1e-5, atol=1e-41, err_msg=name)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**16),
    rows=st.integers(1, 200),
    classes=st.one_of(st.integers(2, 128), st.integers(129, 200)),
    dtype=st.sampled_from(["float32", "float32", "float16", "bfloat16", "float64"]),
    kind=st.sampled_from(["logits", "log-probs"]),
)
def test_logits_score_as_in_torch(seed, rows, classes, dtype, kind):
    preds, labels = problem(seed, rows, classes, dtype, kind)
    tolerance = 1e-3 if dtype in ("float32", "float64") else 0.05
    job = multiclass_job(classes, all_losses(classes), preds_are=kind, tolerance=tolerance)
    assert_like_torch(job, preds, labels)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**16), rows=st.integers(1, 200), classes=st.integers(2, 200))
def test_probabilities_score_as_in_torch(seed, rows, classes):
    preds, labels = problem(seed, rows, classes, kind="probs")
    assert_like_torch(multiclass_job(classes, all_losses(classes), preds_are="probs"), preds, labels)


@pytest.mark.parametrize("classes", [1000, 32_000, 100_000])
def test_many_classes_score_as_in_torch(classes):
    preds, labels = problem(classes, 30, classes)
    job = multiclass_job(classes, [kernel_loss("ce", "ce"), kernel_loss("focal", "focal")])
    assert_like_torch(job, preds, labels)


@pytest.mark.parametrize("classes", [3, 140], ids=["tiles", "rows"])
def test_both_tails_match_sixty_digits(classes):
    rng = np.random.default_rng(5)
    grid = np.array(oracle.GRID)
    logits = rng.choice(grid, (300, classes)).astype(np.float32)
    # rows in which one class stands alone, as sure networks have them
    logits[::2] = -1e4
    places = rng.integers(0, classes, (300, 2))
    logits[np.arange(300), places[:, 0]] = rng.choice(grid, 300)
    logits[np.arange(300), places[:, 1]] = rng.choice(grid, 300)
    labels = places[np.arange(300), rng.integers(0, 2, 300)].astype(np.int64)
    losses = [kernel_loss("ce", "ce"), kernel_loss("dice", "dice")]
    losses += [kernel_loss(f"focal {gamma}", "focal", gamma=gamma) for gamma in oracle.GAMMAS]
    status, columns = MulticlassKernel(multiclass_job(classes, losses)).score(logits, labels)
    assert (status == OK).all()
    probs = [oracle.softmax(row) for row in logits]
    expected = {
        "ce": [oracle.minus_log(p, t) for p, t in zip(probs, labels, strict=True)],
        "p_label": [p[t] for p, t in zip(probs, labels, strict=True)],
        "p_pred": [max(p) for p in probs],
        "margin": [oracle.margin(p, t) for p, t in zip(probs, labels, strict=True)],
        "entropy": [oracle.entropy(p) for p in probs],
        "dice": [2 * oracle.rest(p, t) / 3 for p, t in zip(probs, labels, strict=True)],
    }
    for gamma in oracle.GAMMAS:
        expected[f"focal {gamma}"] = [oracle.focal(p, t, gamma) for p, t in zip(probs, labels, strict=True)]
    for name, values in expected.items():
        assert oracle.worst_error(columns[name], values) < 1e-5, name


def test_probabilities_match_sixty_digits():
    probs = np.array([[1.0, 1e-30, 0.0], [0.5, 0.5, 1e-45], [1e-38, 0.999, 0.001], [0.0, 1.0, 0.0]], np.float32)
    labels = np.array([0, 2, 1, 1])
    job = multiclass_job(3, [kernel_loss("ce", "ce"), kernel_loss("focal", "focal")], preds_are="probs")
    _, columns = MulticlassKernel(job).score(probs, labels)
    probs[np.arange(4), labels] = np.maximum(probs[np.arange(4), labels], 2.0**-126)
    true = list(zip([oracle.normalised(row) for row in probs], labels, strict=True))
    assert oracle.worst_error(columns["ce"], [oracle.minus_log(p, t) for p, t in true]) < 1e-5
    assert oracle.worst_error(columns["focal"], [oracle.focal(p, t, 2) for p, t in true]) < 1e-5


@pytest.mark.parametrize("classes", [10, 150], ids=["tiles", "rows"])
def test_a_row_is_the_same_bits_beside_any_others(classes):
    preds, labels = problem(3, 333, classes)
    job = multiclass_job(classes, all_losses(classes))
    status, columns = MulticlassKernel(job).score(preds, labels)
    for size in (1, 7, 64, 100):
        kernel = MulticlassKernel(job)
        parts = [kernel.score(preds[i : i + size], labels[i : i + size]) for i in range(0, 333, size)]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), status)
        for name, values in columns.items():
            joined = np.concatenate([part[1][name] for part in parts])
            assert joined.tobytes() == values.tobytes(), (name, size)
    order = np.random.default_rng(0).permutation(333)
    _, shuffled = MulticlassKernel(job).score(preds[order], labels[order])
    for name, values in columns.items():
        assert shuffled[name].tobytes() == values[order].tobytes(), name


@pytest.mark.parametrize("classes", [4, 140], ids=["tiles", "rows"])
def test_edges_by_name(classes):
    rows = np.zeros((8, classes), np.float32)
    rows[1, 2] = np.nan
    rows[2, 2] = np.inf
    rows[3] = -np.inf
    rows[4, :] = -np.inf
    rows[4, 3] = 1.0  # the label is the only class
    rows[5, 1] = -np.inf  # the label is masked
    rows[7, :2] = [-0.0, 0.0]  # equal: the first is the prediction
    labels = np.array([-100, 0, 0, 0, 3, 1, classes, 1])
    status, columns = MulticlassKernel(multiclass_job(classes, all_losses(classes))).score(rows, labels)
    assert status.tolist() == [IGNORED, NONFINITE, NONFINITE, NONFINITE, OK, OK, BAD_LABEL, OK]
    assert columns["ce"][4] == 0.0
    assert columns["margin"][4] == 1.0
    assert columns["entropy"][4] == 0.0
    assert columns["ce"][5] == np.inf
    assert columns["p_label"][5] == 0.0
    assert columns["pred"][7] == 0
    assert columns["margin"][7] == 0.0
    assert np.isnan(columns["ce"][[0, 1, 2, 3, 6]]).all()


def test_rows_that_are_no_probabilities_are_named():
    rows = np.array([[0.5, 0.5], [0.5, 0.4], [1.5, -0.5], [0.5, 0.5009]], np.float32)
    labels = np.array([0, 0, 0, 0])
    status, _ = MulticlassKernel(multiclass_job(2, all_losses(2), preds_are="probs")).score(rows, labels)
    assert status.tolist() == [OK, BAD_PREDS, BAD_PREDS, OK]


def test_maps_of_files_and_no_rows_at_all_are_scored(tmp_path):
    preds, labels = problem(1, 70, 10)
    np.save(tmp_path / "preds.npy", preds)
    kernel = MulticlassKernel(multiclass_job(10, all_losses(10)))
    _, columns = kernel.score(np.load(tmp_path / "preds.npy", mmap_mode="r"), labels)
    _, again = MulticlassKernel(multiclass_job(10, all_losses(10))).score(preds, labels)
    assert columns["ce"].tobytes() == again["ce"].tobytes()
    status, columns = kernel.score(preds[:0], labels[:0])
    assert len(status) == len(columns["ce"]) == 0


def test_what_the_kernel_has_not_is_refused_by_name():
    job = multiclass_job(3, [kernel_loss("smooth", "ce", label_smoothing=0.1)])
    assert MulticlassKernel.refusal(job) == "the kernel of softmax rows has no label smoothing (column 'smooth')"
    assert "no loss 'lovasz'" in str(MulticlassKernel.refusal(multiclass_job(3, [kernel_loss("x", "lovasz")])))
    assert MulticlassKernel.refusal(multiclass_job(3, all_losses(3))) is None
