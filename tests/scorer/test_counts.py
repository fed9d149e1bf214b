"""What a run counts for its metrics is what their modules count, and scikit-learn makes the same of the rows."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

import evaltool
from evaltool import metrics
from evaltool.block import count_shapes, ranking_bins
from evaltool.losses import BinaryCrossEntropyLoss, CrossEntropyLoss
from evaltool.numerics.float_bits import OCTAVES, octave_sizes
from evaltool.run.counts import class_loss_sums, confusion_pairs, label_confusion, loss_sums, merged

from .problems import TASKS, problem

CLASSIFICATION = TASKS[:5]
KINDS = ("logits", "probs", "log-probs")
SOFTMAX = ("multiclass", "segmentation")


def hard(task, kind, dtype=np.float32, n=60):
    """Return predictions and labels with ties, far tails, masked classes, ignored labels and rows that are bad."""
    preds, labels = problem(task, n)
    preds[::3] *= 20
    preds[1::5] = np.round(preds[1::5])
    logits = torch.from_numpy(preds).double()
    if task in SOFTMAX:
        logits[7, 0] = -torch.inf if kind != "log-probs" else logits[7, 0]
        given = {"logits": logits, "probs": logits.softmax(1), "log-probs": logits.log_softmax(1)}[kind]
    else:
        log_probs = torch.nn.functional.logsigmoid(logits)
        given = {"logits": logits, "probs": logits.sigmoid(), "log-probs": log_probs}[kind]
    preds = given.numpy().astype(dtype)
    preds[2] = np.nan
    flat = labels.reshape(n, -1)
    flat[3, 0] = 9
    flat[4] = -100
    if flat.shape[1] > 1:
        flat[5:, 1::7] = -100
        preds.reshape(n, -1)[6, 1] = np.nan  # of an ignored position, but in a softmax of one class of five
    return preds, labels


def state_of(preds, labels, task, **options):
    """Return the arrays of state.npz."""
    task = "segmentation" if task == "foreground" else task
    # the engine that counts as the metrics' modules do, bit for bit
    return evaltool.score(preds, labels, task=task, max_bad=1, engine="torch", **options).state.arrays()


def modules(task, classes, **options):
    """Return the metrics by the name of the array that holds their counts."""
    task = {"segmentation": "multiclass", "foreground": "binary"}.get(task, task)
    known = {"task": task, **options}
    sized = known | ({} if task == "binary" else {"num_classes": classes})
    found = {
        "ranking": metrics.AUROC(num_bins=ranking_bins(1 if task == "binary" else classes), **sized),
        "calibration_class_wise": metrics.CalibrationError(form="class-wise", **sized),
        "brier": metrics.BrierScore(**known),
    }
    if task != "multilabel":
        found["calibration_top_label"] = metrics.CalibrationError(form="top-label", **known)
    return found


def assert_counts_are_the_modules(state, preds, labels, task, **options):
    tensors = torch.from_numpy(preds), torch.from_numpy(labels)
    for name, module in modules(task, preds.shape[1] if preds.ndim > 1 else 2, **options).items():
        module.update(*tensors)
        np.testing.assert_array_equal(state[name], module.state()["counts"], err_msg=name)
    assert ("label_rank" in state) == (task in SOFTMAX)
    if task in SOFTMAX:
        for k in range(1, min(preds.shape[1], 6) + 1):
            top_k = metrics.Accuracy(top_k=k, **options)
            top_k.update(*tensors)
            right, counted = top_k.state()["counts"].tolist()
            assert (state["label_rank"][:k].sum(), state["label_rank"].sum()) == (right, counted)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", CLASSIFICATION)
def test_counts_are_those_of_the_modules(task, kind, dtype):
    preds, labels = hard(task, kind, dtype)
    tolerance = 0.02 if dtype == np.float16 else 1e-3
    options = {"preds_are": kind} | ({"tolerance": tolerance} if task in SOFTMAX else {})
    state = state_of(preds, labels, task, preds_are=kind)
    assert state["status"][0] > 40
    assert state["status"][2:].sum() >= 2
    assert_counts_are_the_modules(state, preds, labels, task, **options)


def test_hard_inputs_ignore_and_mask():
    """Else the test above would see less than it says."""
    for task in CLASSIFICATION:
        state = state_of(*hard(task, "logits"), task)
        assert state["status"][1] == 1
        assert state["status"][2] >= 1
        assert state["status"][3] == 1


@pytest.mark.parametrize("classes", [2, 300, 1000])
def test_counts_of_many_classes(classes, rng):
    """Where the table of the ranking is larger than a block, too."""
    preds = rng.normal(0, 3, (700, classes)).astype(np.float32)
    labels = rng.integers(0, classes, 700)
    state = state_of(preds, labels, "multiclass", preds_are="logits")
    assert state["ranking"].shape[2] == {2: 4096, 300: 2048, 1000: 1024}[classes]
    assert_counts_are_the_modules(state, preds, labels, "multiclass")
    ranks = (preds > preds[np.arange(700), labels][:, None]).sum(1)
    size = min(classes, 100) + 1
    assert np.array_equal(state["label_rank"], np.bincount(np.minimum(ranks, size - 1), minlength=size))


def test_too_many_classes_have_no_counts_of_each(rng, tmp_path):
    preds, labels = rng.normal(size=(20, 20_000)).astype(np.float32), rng.integers(0, 20_000, 20)
    scores = evaltool.score(preds, labels, output=tmp_path / "a.run")
    with np.load(tmp_path / "a.run/state.npz") as state:
        assert {"brier", "calibration_top_label", "label_rank"} <= set(state)
        assert not {"ranking", "calibration_class_wise"} & set(state)
    assert scores.summary["metrics"]["auroc_macro"] is None
    assert scores.summary["metrics"]["brier"] > 0
    assert scores.summary["classes"][7]["auroc"] is None


def test_bins_by_the_number_of_classes():
    assert [ranking_bins(c) for c in (1, 10, 256, 257, 1000, 1024, 1025, 16384, 16385)] == [
        *(4096, 4096, 4096, 2048, 1024, 1024, 512, 64, 0)
    ]


def test_large_samples_are_counted_in_pieces(rng, monkeypatch):
    preds, labels = rng.normal(0, 3, (3, 4, 33, 31)).astype(np.float32), rng.integers(-1, 4, (3, 33, 31))
    whole = state_of(preds, labels, "segmentation", ignore_index=-1)
    monkeypatch.setattr("evaltool.engines.tallies.PIECE_NUMBERS", 100)
    pieces = state_of(preds, labels, "segmentation", ignore_index=-1)
    assert_same(pieces, whole)
    assert_counts_are_the_modules(pieces, preds, labels, "segmentation", ignore_index=-1)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_no_block_size_order_or_merge_changes_a_bit(task, rng):
    preds, labels = hard(task, "logits") if task != "regression" else problem(task)
    whole = state_of(preds, labels, task)
    for name, values in whole.items():
        assert values.dtype == {"losses": whole["losses"].dtype, "loss_max": np.float64}.get(name, np.int64), name
    for size in (1, 7, 59):
        assert_same(state_of(preds, labels, task, batch_size=size), whole)
    order = rng.permutation(60)
    assert_same(state_of(preds[order], labels[order], task), whole)
    cuts = [state_of(preds[a:b], labels[a:b], task, preds_are="logits") for a, b in ((0, 11), (11, 12), (12, 60))]
    assert_same(merged(cuts[0], merged(cuts[1], cuts[2])), whole)
    assert_same(merged(merged(cuts[2], cuts[0]), cuts[1]), whole)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "segmentation", "foreground"])
def test_summaries_equal_scikit_learn(task):
    preds, labels = problem(task, 300)
    summary = evaltool.score(preds, labels).summary
    state = state_of(preds, labels, task)
    values, classes = summary["metrics"], summary["classes"]
    z = torch.from_numpy(preds).double()
    if task in SOFTMAX:
        rows = lambda x: np.moveaxis(x.reshape(300, x.shape[1], -1), 1, 2).reshape(-1, x.shape[1])  # noqa: E731
        probs, y = rows(z.softmax(1).numpy()), labels.reshape(-1)
        positive, scores = np.eye(probs.shape[1])[y], probs
        brier = ((probs - positive) ** 2).sum(1).mean()
        pred = probs.argmax(1)
    else:
        probs = z.sigmoid().numpy()
        positive = labels.reshape(len(labels), -1) if task == "multilabel" else labels.reshape(-1, 1)
        scores = probs.reshape(positive.shape)
        brier = ((scores - positive) ** 2).mean()
        y, pred = positive[:, 0], scores[:, 0] > 0.5
    assert values["brier"] == pytest.approx(brier, rel=1e-6)
    auroc = (
        oracle.roc_auc_score(positive, scores, average=None)
        if positive.shape[1] > 1
        else [oracle.roc_auc_score(positive[:, 0], scores[:, 0])]
    )
    precision = [oracle.average_precision_score(positive[:, c], scores[:, c]) for c in range(positive.shape[1])]
    kept = classes[-positive.shape[1] :]
    for name, metric, wanted in (
        ("auroc", metrics.AUROC, auroc),
        ("average_precision", metrics.AveragePrecision, precision),
    ):
        module = metric(task="multilabel", num_classes=positive.shape[1], num_bins=4096, average="none")
        module.merge({"counts": torch.from_numpy(state["ranking"]), "n_bad": torch.tensor(0)})
        got = np.array([row[name] for row in kept])
        assert (np.abs(got - wanted) <= module.error_bound().numpy() + 1e-12).all()
        assert values[f"{name}_macro"] == pytest.approx(got.mean())
    errors = [calibration_error(scores[:, c], positive[:, c]) for c in range(positive.shape[1])]
    assert [row["ece"] for row in kept] == pytest.approx(errors, abs=1e-6)
    assert values["ece_class_wise"] == pytest.approx(np.mean(errors), abs=1e-6)
    if task == "multilabel":
        assert values["ece"] is values["mcc"] is values["kappa"] is None
        return
    sure = probs.max(1) if task in SOFTMAX else np.maximum(scores, 1 - scores)[:, 0]
    assert values["ece"] == pytest.approx(calibration_error(sure, pred == y), abs=1e-6)
    assert values["mcc"] == pytest.approx(oracle.matthews_corrcoef(y, pred))
    assert values["kappa"] == pytest.approx(oracle.cohen_kappa_score(y, pred))


def calibration_error(probs, right):
    """Return the expected calibration error over 15 bins of equal width, by its definition."""
    bins = np.minimum((probs * 15).astype(int), 14)
    gaps = [abs(right[bins == b].mean() - probs[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return sum(gaps) / len(probs)


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("multiclass", CrossEntropyLoss),
        ("segmentation", CrossEntropyLoss),
        ("binary", BinaryCrossEntropyLoss),
        ("multilabel", BinaryCrossEntropyLoss),
    ],
)
def test_sums_of_losses_are_exact(task, loss):
    preds, labels = hard(task, "logits")
    scores = evaltool.score(preds, labels, task=task, max_bad=1, engine="torch")
    state = scores.state.arrays()
    units = [Fraction(size) for size in octave_sizes().tolist()]
    for i, name in enumerate(state["losses"].tolist()):
        finite = [Fraction(float(v)) for v in scores[name] if np.isfinite(v)]
        assert sum(int(n) * unit for n, unit in zip(state["loss_octaves"][i], units, strict=True)) == sum(finite)
        assert loss_sums(state)[i] == pytest.approx(float(sum(finite)), rel=1e-15)
        assert scores.summary["losses"][name]["mean"] == pytest.approx(float(sum(finite) / len(finite)), rel=1e-15)
    classes = state["class_loss_count"].shape[1]
    share = metrics.LossShare(
        loss(), num_classes=None if task == "binary" else classes, task="multiclass" if task == "segmentation" else task
    )
    ok = scores["status"] == "ok"
    share.update(torch.from_numpy(preds[ok]), torch.from_numpy(labels[ok]))
    keys, sums = state["class_loss"]
    first = keys < classes * OCTAVES
    dense = np.zeros(classes * OCTAVES, np.int64)
    dense[keys[first]] = sums[first]
    np.testing.assert_array_equal(dense.reshape(classes, OCTAVES), share.state()["counts"])
    np.testing.assert_allclose(class_loss_sums(state)[0] / class_loss_sums(state)[0].sum(), share.compute(), rtol=1e-14)


def test_parts_of_a_region_loss_sum_to_it():
    preds, labels = problem("segmentation")
    state = state_of(preds, labels, "segmentation")
    assert state["losses"].tolist() == ["ce", "focal", "dice"]
    assert class_loss_sums(state)[2].sum() == pytest.approx(loss_sums(state)[2], rel=1e-6)
    assert state["class_loss_count"][2].sum() == 0


def test_shares_count_by_their_largest():
    preds, _ = problem("multiclass")
    shares = np.random.default_rng(1).dirichlet(np.ones(5), 60)
    state = state_of(preds, shares, "multiclass")
    assert_counts_are_the_modules(state, preds, shares, "multiclass")
    hardened = state_of(preds, shares.argmax(1), "multiclass", losses=["ce", "dice"])
    for name in count_shapes("multiclass", 5, False):
        assert np.array_equal(state[name], hardened[name])


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_soft_labels_of_sigmoids_count_above_a_half(task, rng):
    preds, labels = problem(task)
    soft = rng.uniform(size=labels.shape).astype(np.float32)
    state = state_of(preds, soft, task)
    assert_counts_are_the_modules(state, preds, soft, task)


def test_regression_has_losses_alone():
    state = state_of(*problem("regression"), "regression")
    assert not {"brier", "ranking", "label_rank"} & set(state)
    assert state["class_loss"].shape == (2, 0)
    summary = evaltool.score(*problem("regression")).summary
    assert set(summary["metrics"].values()) == {None}


def test_confusion_is_read_alike_dense_and_sparse(rng):
    for classes in (5, 1100):
        preds, labels = rng.normal(size=(200, classes)).astype(np.float32), rng.integers(0, classes, 200)
        state = state_of(preds, labels, "multiclass")
        label, pred, count = confusion_pairs(state)
        wanted = sorted(zip(labels.tolist(), preds.argmax(1).tolist(), strict=True))
        assert sorted(zip(label.repeat(count).tolist(), pred.repeat(count).tolist(), strict=True)) == wanted
        assert (np.diff(label * classes + pred) > 0).all()
    preds, labels = problem("multilabel")
    state = state_of(preds, labels, "multilabel")
    assert np.array_equal(label_confusion(state), oracle.multilabel_confusion_matrix(labels, preds > 0))


def test_runs_that_count_different_things_do_not_merge():
    a = state_of(*problem("multiclass"), "multiclass", losses=["ce"])
    b = state_of(*problem("multiclass"), "multiclass", losses=["focal"])
    with pytest.raises(evaltool.errors.EvaltoolError) as caught:
        merged(a, b)
    assert str(caught.value) == (
        "these runs do not count the same\n  losses: ['ce'] and ['focal']\n"
        "  Score both with the same task, losses and classes."
    )
    preds, labels = problem("multiclass")
    with pytest.raises(evaltool.errors.EvaltoolError, match="number of classes: 5 and 6"):
        merged(a, state_of(np.pad(preds, ((0, 0), (0, 1))), labels, "multiclass", losses=["ce"]))


def test_undefined_metrics_are_null():
    summary = evaltool.score(np.array([[1.0, -1.0]] * 3), np.zeros(3, int), preds_are="logits").summary
    assert summary["metrics"]["auroc_macro"] is None
    assert summary["metrics"]["kappa"] is None
    assert summary["metrics"]["mcc"] == 0
    assert summary["classes"][1]["average_precision"] is None
