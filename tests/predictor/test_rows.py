"""Rows that a model computes: the same whoever reads them, in memory that does not grow."""

import numpy as np
import pytest
import torch

from evaltool.errors import EvaltoolError
from evaltool.predictor import rows as rows_module
from evaltool.predictor.inputs import fed
from evaltool.predictor.models import open_model
from evaltool.predictor.rows import ModelRows
from tests.predictor import nets


class Notes:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def decided(self, reasons):
        self.lines += reasons

    def warned(self, text):
        self.lines.append(f"warning: {text}")

    def progressed(self, rows, total):
        pass


class Counted:
    """A model that notes of every batch how many rows it had, and how many threads there were."""

    def __init__(self, model):
        self.model = model
        self.batches = []
        self.threads = []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, feeds):
        self.batches.append(len(next(iter(feeds.values()))))
        self.threads.append(torch.get_num_threads())
        return self.model(feeds)


@pytest.fixture
def opened(tmp_path):
    """Opens rows of a module or of an ONNX file over inputs."""
    made = []

    def opened(net, inputs, batch_size=None, output_name=None):
        path = nets.script(net, tmp_path / "m.pt") if isinstance(net, torch.nn.Module) else net
        model = Counted(open_model(path, trust=True, device=torch.device("cpu")))
        notes = Notes()
        rows = ModelRows(model, fed(model, inputs), output_name=output_name, batch_size=batch_size, watcher=notes)
        made.append(rows)
        return rows, model, notes

    yield opened
    for rows in made:
        rows.close()


FEATURES = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)


def direct(net, features=FEATURES):
    with torch.inference_mode():
        return net(torch.from_numpy(features)).numpy()


@pytest.mark.parametrize("kept", [0, 1 << 26], ids=["few blocks kept", "all kept"])
@pytest.mark.parametrize("batch_size", [None, 1, 7, 100, 1000])
def test_rows_are_the_same_in_any_order_and_block_size(opened, monkeypatch, rng, batch_size, kept):
    monkeypatch.setattr(rows_module, "KEPT_BYTES", kept)
    rows, _, _ = opened(nets.Linear(), FEATURES, batch_size)
    assert (rows.shape, rows.dtype) == ((100, 3), np.dtype("float32"))
    whole = rows.read(0, 100).numpy()
    np.testing.assert_allclose(whole, direct(nets.Linear()), rtol=1e-5, atol=1e-6)
    for _ in range(30):
        start, stop = sorted(rng.integers(0, 101, 2))
        if start < stop:
            np.testing.assert_array_equal(rows.read(start, stop), whole[start:stop])
            # peeked rows may be of another batch, in the last bits
            np.testing.assert_allclose(rows.peek(start, stop), whole[start:stop], rtol=1e-5, atol=1e-6)


def test_model_runs_once_where_all_predictions_can_be_kept(opened):
    rows, model, _ = opened(nets.Linear(), FEATURES, 10)
    for start in (90, 0, 35, 90):
        rows.peek(start, start + 10)
    rows.read(0, 100)
    assert sum(model.batches) == 100 + 3  # and the rows of another batch, to see that the output follows


def test_peeking_runs_few_rows_where_they_cannot(opened, monkeypatch):
    monkeypatch.setattr(rows_module, "KEPT_BYTES", 0)
    rows, model, _ = opened(nets.Linear(), FEATURES, 10)
    model.batches.clear()
    for start in (90, 0, 35):
        rows.peek(start, start + 3)
    assert model.batches == [3, 3, 3]


def test_memory_holds_few_blocks(opened, monkeypatch):
    monkeypatch.setattr(rows_module, "KEPT_BYTES", 0)
    rows, model, _ = opened(nets.Linear(), FEATURES, 10)
    for start in range(0, 100, 5):
        rows.read(start, start + 5)
    assert model.batches == [10, 3] + [10] * 9
    assert len(rows._blocks) == rows_module.KEPT_BLOCKS


def test_static_batch_is_filled_up(opened, tmp_path):
    rows, model, _ = opened(nets.onnx_linear(tmp_path / "m.onnx", batch=8), FEATURES)
    np.testing.assert_allclose(rows.read(0, 100), direct(nets.Linear()), rtol=1e-5, atol=1e-6)
    assert set(model.batches) == {8}


def test_static_batch_and_another_batch_size(opened, tmp_path):
    path = nets.onnx_linear(tmp_path / "m.onnx", batch=8)
    with pytest.raises(EvaltoolError) as caught:
        opened(path, FEATURES, 16)
    assert str(caught.value) == (
        f"the model takes batches of 8 rows only\n  {path}: --batch-size 16\n  Leave --batch-size out."
    )


@pytest.mark.parametrize("n", [1, 9])
def test_no_batch_has_one_row_unless_asked(opened, n):
    """A model that squeezes the axis of a batch of one row away is right all the same."""
    rows, model, _ = opened(nets.Squeezed(), FEATURES[:n], 4)
    assert rows.read(0, n).shape == (n, 3)
    assert min(model.batches) == 2


def test_output_that_is_not_one_row_per_sample(opened, tmp_path):
    with pytest.raises(EvaltoolError) as caught:
        opened(nets.Reduced(), FEATURES)
    assert str(caught.value) == (
        f"the output is not one row per sample\n  output of {tmp_path / 'm.pt'}: shape [3] for 2 rows, expected [2]\n"
        "  Export the model without reducing over the batch, or choose another output with --output-name."
    )


@pytest.mark.parametrize(
    ("n", "columns", "batch_size", "other"), [(100, 8, 8, 3), (2, 2, None, 3), (100, 3, 3, 4)], ids=str
)
def test_batch_that_is_reduced_to_as_many_numbers(opened, tmp_path, n, columns, batch_size, other):
    class Mean(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.mean(0)

    with pytest.raises(EvaltoolError) as caught:
        opened(Mean(), np.zeros((n, columns), np.float32), batch_size)
    assert str(caught.value).splitlines()[1] == (
        f"  output of {tmp_path / 'm.pt'}: shape [{columns}] for {other} rows, expected [{other}]"
    )


class Traced(nets.Linear):
    """Takes the number of rows that its code names."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.inner(features.reshape(8, 4))


@pytest.mark.parametrize("n", [5, 16, 100])
def test_batch_that_a_model_was_traced_with_is_filled_up(opened, n):
    rows, model, _ = opened(Traced(), FEATURES[:n], 8)
    np.testing.assert_allclose(rows.read(0, n), direct(nets.Linear(), FEATURES[:n]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rows.peek(1, 4), rows.read(1, 4))
    assert model.batches[-1] == 8


def test_batch_that_a_model_was_traced_with_has_to_be_named(opened, tmp_path):
    with pytest.raises(EvaltoolError) as caught:
        opened(Traced(), FEATURES)
    assert str(caught.value) == (
        f"the model failed on rows 0 to 2\n  {tmp_path / 'm.pt'}: shape '[8, 4]' is invalid for input of size 8\n"
        "  It was given features float32 [2, 4]: is that what it takes? Or pass the batch it was traced with by "
        "--batch-size."
    )


@pytest.mark.parametrize("stored", ["uint8", "int16"])
def test_ids_that_a_module_refuses_should_be_int64(opened, tmp_path, stored):
    with pytest.raises(EvaltoolError) as caught:
        opened(nets.Tokens(), np.zeros((6, 5), stored), 2)
    first, _, hint = str(caught.value).splitlines()
    assert first == "the model failed on rows 0 to 2"
    assert hint == (
        f"  It was given tokens {stored} [2, 5]: is that what it takes? Save ids as int64, as in "
        "array.astype(np.int64), and quantities as float32."
    )


def test_batches_are_halved_until_they_fit_in_memory(opened):
    """A real allocation fails at three rows."""
    rows, _, notes = opened(nets.Hungry(), FEATURES)
    np.testing.assert_array_equal(rows.read(0, 100), FEATURES)
    assert notes.lines == [f"warning: out of memory: going on with batches of {n} rows" for n in (50, 25, 12, 6, 3, 1)]


def test_batch_size_that_was_asked_for_is_not_halved(opened, tmp_path):
    with pytest.raises(EvaltoolError) as caught:
        opened(nets.Hungry(), FEATURES, 8)
    assert str(caught.value) == (
        f"out of memory\n  rows 0 to 8 of features through {tmp_path / 'm.pt'} on cpu\n"
        "  Pass a smaller --batch-size than 8."
    )


def test_onnx_runtime_out_of_memory(opened, tmp_path):
    path = nets.onnx_hungry(tmp_path / "m.onnx")
    with pytest.raises(EvaltoolError) as caught:
        opened(path, FEATURES[:, :1])
    assert str(caught.value) == (
        f"out of memory\n  rows 0 to 1 of features through {path} on cpu\n  Use a smaller model or another device."
    )


def test_failing_model_says_why_and_on_what(opened, tmp_path):
    with pytest.raises(EvaltoolError) as caught:
        opened(nets.Linear(), FEATURES[:, :2])
    assert str(caught.value) == (
        f"the model failed on rows 0 to 2\n  {tmp_path / 'm.pt'}: mat1 and mat2 shapes cannot be multiplied (2x2 and "
        "4x3)\n  It was given features float32 [2, 2]: is that what it takes? Or pass the batch it was traced with by "
        "--batch-size."
    )


def test_output_is_chosen_by_name(opened):
    sources = {"features": FEATURES, "bias": FEATURES[:, :3]}
    first, _, notes = opened(nets.Pair(), sources)
    assert (first.output, first.shape) == ("logits", (100, 3))
    assert notes.lines == ["output: logits, the first of logits, hidden; --output-name takes another"]
    hidden, _, notes = opened(nets.Pair(), sources, output_name="hidden")
    np.testing.assert_array_equal(hidden.read(0, 100), np.maximum(FEATURES, 0))
    assert notes.lines == []
    with pytest.raises(EvaltoolError, match=r"the model has no output 'x'\n.*: returns logits, hidden\n"):
        opened(nets.Pair(), sources, output_name="x")


def test_bfloat16_outputs_are_coarse_float32(opened):
    rows, _, _ = opened(nets.Linear().to(torch.bfloat16), FEATURES)
    assert (rows.dtype, rows.coarse) == (np.dtype("float32"), True)


def test_callers_tensor_is_not_changed(opened):
    features = torch.from_numpy(FEATURES.copy())
    rows, _, _ = opened(nets.InPlace(), features)
    np.testing.assert_array_equal(rows.read(0, 100), FEATURES + 1)
    np.testing.assert_array_equal(features, FEATURES)


def test_threads_of_the_scoring_do_not_slow_the_model(opened):
    before = torch.get_num_threads()
    rows, model, _ = opened(nets.Linear(), FEATURES, 10)
    torch.set_num_threads(before + 1)
    try:
        rows.read(50, 60)
        assert set(model.threads) == {before}
    finally:
        torch.set_num_threads(before)
