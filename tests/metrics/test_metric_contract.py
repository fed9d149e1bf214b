"""What holds of every metric alike: its state, its shards, its scripted self, and what it leaves out."""

import random
import re

import pytest
import torch

from evaltool.metrics import CalibrationError, ConfusionMatrix, F1Score, Precision
from evaltool.numerics.scripting import loaded, saved, scripted

from .metric_cases import BINNED, CASES, CLASSIFICATION, KINDS, OF_PREDS, of_kind, same, sample


def restored(script, path):
    """Return a scripted module as another process would load it."""
    saved(script, path)
    with path.open("rb") as file:
        return loaded(file)


@pytest.mark.parametrize("name", CASES)
def test_scripted_saved_and_loaded_does_what_the_module_does(name, tmp_path):
    case = CASES[name]
    metric = case.build()
    first, second = sample(case, 20), sample(case, 13, seed=1)
    script = restored(scripted(metric), tmp_path / "fresh.pt")
    for module in (metric, script):
        module.update(*first)
    script = restored(script, tmp_path / "used.pt")
    for module in (metric, script):
        module.update(*second)
    assert same(script.compute(), metric.compute())
    assert same(script(*first), metric(*first))
    state, other = script.state(), case.build()
    other.merge(metric.state())
    assert sorted(state) == ["counts", "n_bad"]
    assert all(same(state[key], other.state()[key]) for key in state)
    script.merge(metric.state())
    assert torch.equal(script.state()["counts"], 2 * state["counts"])
    script.reset()
    assert same(script.compute(), case.build().compute())


@pytest.mark.parametrize("name", CASES)
def test_shards_merge_in_any_order_to_the_same_bits(name):
    case = CASES[name]
    preds, labels = sample(case, 97)
    whole = case.build()
    whole.update(preds, labels)
    for seed, size in ((0, 1), (1, 8), (2, 41)):
        shards = []
        for part in zip(preds.split(size), labels.split(size), strict=True):
            shards.append(case.build())
            shards[-1].update(*part)
        random.Random(seed).shuffle(shards)
        merged = case.build()
        for shard in shards:
            merged.merge(shard.state())
        assert torch.equal(merged.state()["counts"], whole.state()["counts"])
        assert same(merged.compute(), whole.compute())


@pytest.mark.parametrize("name", CASES)
def test_a_call_gives_the_value_of_its_batch_and_leaves_the_state(name):
    case = CASES[name]
    metric, batch = case.build(), sample(case, 20)
    value = metric(*batch)
    assert not metric.state()["counts"].any()
    metric.update(*sample(case, 5, seed=1))
    assert same(metric(*batch), value)
    metric.reset()
    metric.update(*batch)
    assert same(metric.compute(), value)


@pytest.mark.parametrize("name", CASES)
def test_state_is_whole_numbers_and_a_copy(name):
    case = CASES[name]
    metric = case.build()
    metric.update(*sample(case, 6))
    state = metric.state()
    assert {value.dtype for value in state.values()} == {torch.int64}
    before = metric.compute()
    metric.update(*sample(case, 6, seed=1))
    again = case.build()
    again.merge(state)
    assert same(again.compute(), before)


@pytest.mark.parametrize("name", CASES)
def test_a_scripted_module_and_its_source_have_states_of_their_own(name):
    case = CASES[name]
    metric = case.build()
    scripted(metric).update(*sample(case, 6))
    assert not metric.state()["counts"].any()


@pytest.mark.parametrize("name", CASES)
def test_of_nothing_the_value_is_the_documented_one(name):
    case = CASES[name]
    metric = case.build()
    preds, labels = sample(case, 4)
    metric.update(preds[:0], labels[:0])
    value = metric.compute().to(torch.float64)
    assert same(value, torch.full_like(value, case.undefined))
    assert same(metric(preds[:0], labels[:0]), metric.compute())


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_ignored_samples_count_for_nothing(name):
    case = CASES[name]
    preds, labels = sample(case, 12)
    for ignore_index in (-100, 255):
        marked = labels.clone()
        marked[4:8] = ignore_index
        metric = case.build(ignore_index=ignore_index)
        metric.update(preds, marked)
        rest = case.build()
        rest.update(torch.cat([preds[:4], preds[8:]]), torch.cat([labels[:4], labels[8:]]))
        assert torch.equal(metric.state()["counts"], rest.state()["counts"])
        assert int(metric.n_bad) == 0


@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if CASES[name].form in ("image", "mask")])
def test_ignored_positions_count_for_nothing(name):
    case = CASES[name]
    preds, labels = sample(case, 3)
    labels[..., 2:] = -100
    labels[0] = -100
    preds[0] = torch.nan  # nor what stands there
    metric, rest = case.build(), case.build()
    metric.update(preds, labels)
    rest.update(preds[1:, ..., :2], labels[1:, ..., :2])
    torch.testing.assert_close(metric.compute(), rest.compute(), rtol=1e-6, atol=0)  # a Dice sums in another order
    assert int(metric.n_bad) == 0


# what an infinite logit of a sigmoid costs is the loss's to say
@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in CLASSIFICATION for fault in ("nan", "label", "far label")]
    + [(name, "inf") for name in CLASSIFICATION if name in OF_PREDS or CASES[name].task == "multiclass"],
)
def test_a_bad_sample_is_left_out_as_a_whole_and_counted(name, fault):
    case = CASES[name]
    preds, labels = sample(case, 9)
    if fault in ("nan", "inf"):
        preds[3].view(-1)[-1] = float(fault)
    else:
        labels.view(9, -1)[3, -1] = {"label": -1, "far label": 2**40}[fault]
    metric, rest = case.build(), case.build()
    metric.update(preds, labels)
    kept = [0, 1, 2, 4, 5, 6, 7, 8]
    rest.update(preds[kept], labels[kept])
    assert torch.equal(metric.state()["counts"], rest.state()["counts"])
    assert (int(metric.n_bad), int(rest.n_bad)) == (1, 0)


@pytest.mark.parametrize("name", OF_PREDS)
def test_preds_that_contradict_their_kind_are_bad(name):
    case = CASES[name]
    logits, labels = sample(case, 6)
    preds = of_kind(logits, case, "probs")
    preds[2] = preds[2] * 0 + 1.5
    metric, rest = case.build(preds_are="probs"), case.build(preds_are="probs")
    metric.update(preds, labels)
    kept = [0, 1, 3, 4, 5]
    rest.update(preds[kept], labels[kept])
    assert torch.equal(metric.state()["counts"], rest.state()["counts"])
    assert int(metric.n_bad) == 1


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_logits_probs_and_log_probs_mean_the_same(name):
    case = CASES[name]
    logits, labels = sample(case, 40)
    values = []
    for kind in KINDS:
        metric = case.build(preds_are=kind)
        metric.update(of_kind(logits.double(), case, kind).float(), labels)
        values.append(metric.compute().to(torch.float64))
    if name in BINNED:
        for value in values[1:]:  # a few land in the next bin
            assert (value - values[0]).abs().sum() <= 0.02 * values[0].abs().sum() + 1e-3
        return
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=1e-5, atol=1e-7)  # float32 probabilities


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_half_types_are_computed_in_float32(name, dtype):
    case = CASES[name]
    preds, labels = sample(case, 20)
    half, full = case.build(), case.build()
    half.update(preds.to(dtype), labels)
    full.update(preds.to(dtype).float(), labels)
    assert torch.equal(half.state()["counts"], full.state()["counts"])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_labels_of_any_dtype_mean_the_same(name, dtype):
    case = CASES[name]
    preds, labels = sample(case, 20)
    one, other = case.build(), case.build()
    one.update(preds, labels)
    other.update(preds, labels.to(dtype))
    assert torch.equal(one.state()["counts"], other.state()["counts"])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.task == "binary"])
def test_one_foreground_class_with_and_without_its_axis(name):
    case = CASES[name]
    preds, labels = sample(case, 8)
    assert same(case.build()(preds.unsqueeze(1), labels), case.build()(preds, labels))


@pytest.mark.parametrize("name", [name for name in OF_PREDS if CASES[name].task == "multiclass"])
def test_the_largest_share_is_the_label(name):
    case = CASES[name]
    preds, labels = sample(case, 8)
    shares = torch.full_like(preds, 0.1).scatter(1, labels.unsqueeze(1), 0.7)
    assert same(case.build()(preds, shares), case.build()(preds, labels))


def test_metrics_of_the_confusion_matrix_merge_with_each_other():
    case = CASES["f1-image"]
    confusion = ConfusionMatrix(num_classes=4)
    confusion.update(*sample(case, 5))
    f1 = case.build()
    f1.merge(confusion.state())
    assert same(f1.compute(), case.build()(*sample(case, 5)))


def test_a_state_of_another_shape_is_refused_and_nothing_changes():
    metric = ConfusionMatrix(num_classes=3)
    for module in (metric, scripted(metric)):
        with pytest.raises(Exception, match=r"counts are .*\[4, 4\], expected .*\[3, 3\]: the state of a metric built"):
            module.merge(ConfusionMatrix(num_classes=4).state())
        assert not module.state()["counts"].any()


def test_preds_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"^preds have 5 classes, expected num_classes=4$"):
        ConfusionMatrix(num_classes=4)(torch.randn(3, 5), torch.tensor([0, 1, 2]))


WRONG = {
    "num_classes=None, expected 2 or more where task='multiclass'": lambda: ConfusionMatrix(),
    "num_classes=1, expected 2 or more where task='multiclass'": lambda: ConfusionMatrix(num_classes=1),
    "num_classes=3, expected 2 or nothing where task='binary'": lambda: F1Score(num_classes=3, task="binary"),
    "average='binary', expected task='binary' beside it, not 'multilabel'": lambda: Precision(
        average="binary", num_classes=3, task="multilabel"
    ),
    "form='top-label', expected 'class-wise' where task='multilabel'": lambda: CalibrationError(
        form="top-label", num_classes=3, task="multilabel"
    ),
    "task='regression', expected one of 'multiclass', 'binary', 'multilabel'": lambda: ConfusionMatrix(
        task="regression"
    ),
    "threshold=1.0, expected a number in (0, 1)": lambda: ConfusionMatrix(task="binary", threshold=1.0),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_argument_is_told_with_what_was_expected(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WRONG[message]()
