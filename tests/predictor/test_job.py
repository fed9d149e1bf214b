"""evaltool.predict: what it writes is what the model gives, whole or not at all."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from tests.predictor import nets

FEATURES = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def direct(net, *arrays):
    with torch.inference_mode():
        return net(*(torch.from_numpy(array) for array in arrays))


@pytest.fixture
def features(tmp_path):
    np.save(tmp_path / "features.npy", FEATURES)
    return tmp_path / "features.npy"


@pytest.mark.parametrize("kind", ["scripted", "traced", "onnx", pytest.param("pt2", marks=pytest.mark.slow)])
def test_file_holds_what_the_model_gives(tmp_path, features, kind):
    path = tmp_path / {"onnx": "m.onnx", "pt2": "m.pt2"}.get(kind, "m.pt")
    example = torch.from_numpy(FEATURES)
    make = {
        "scripted": lambda: nets.script(nets.Linear(), path),
        "traced": lambda: nets.trace(nets.Linear(), path, example),
        "onnx": lambda: nets.onnx_linear(path),
        "pt2": lambda: nets.pt2(nets.Linear(), path, example),
    }
    report = evaltool.predict(make[kind](), features, output=tmp_path / "p.npy", batch_size=7, trust=True)
    preds = np.load(tmp_path / "p.npy")
    assert preds.dtype == np.float32
    np.testing.assert_allclose(preds, direct(nets.Linear(), FEATURES), rtol=1e-5, atol=1e-6)
    assert report["output"]["shape"] == [50, 3]
    assert report["batch_size"] == 7


@pytest.mark.slow
@pytest.mark.parametrize("batches", [{"dynamic": False}, {"most": 8}], ids=["static", "up to 8"])
def test_pt2_package_of_few_batch_sizes(tmp_path, capfd, batches):
    """The package tells its batches only by failing, which is nobody's business."""
    path = nets.pt2(nets.Linear(), tmp_path / "m.pt2", torch.from_numpy(FEATURES[:8]), **batches)
    report = evaltool.predict(path, FEATURES, output=tmp_path / "p.npy", trust=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), direct(nets.Linear(), FEATURES), rtol=1e-5, atol=1e-6)
    assert report["batch_size"] == 8
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("order", ["<f4 F", ">f4 C", "<f8 C", "<f2 F"])
def test_any_float_file_feeds_the_model(tmp_path, order):
    dtype, layout = order.split()
    np.save(tmp_path / "features.npy", np.asarray(FEATURES.astype(dtype), order=layout))
    path = nets.onnx_linear(tmp_path / "m.onnx")
    evaltool.predict(path, tmp_path / "features.npy", output=tmp_path / "p.npy")
    expected = direct(nets.Linear(), FEATURES.astype(dtype).astype(np.float32))
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_predictions_have_the_models_dtype(tmp_path, features, dtype):
    evaltool.predict(nets.onnx_linear(tmp_path / "m.onnx", dtype), features, output=tmp_path / "p.npy")
    assert np.load(tmp_path / "p.npy").dtype == dtype


def test_several_inputs_and_another_output(tmp_path, features):
    np.save(tmp_path / "bias.npy", FEATURES[:, 1:])
    inputs = {"bias": tmp_path / "bias.npy", "features": features}
    path = nets.onnx_pair(tmp_path / "m.onnx")
    evaltool.predict(path, inputs, output=tmp_path / "logits.npy")
    expected = FEATURES @ nets.Linear().inner.weight.detach().numpy().T + FEATURES[:, 1:]
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5, atol=1e-6)
    evaltool.predict(path, inputs, output=tmp_path / "hidden.npy", output_name="hidden")
    np.testing.assert_array_equal(np.load(tmp_path / "hidden.npy"), np.maximum(FEATURES, 0))


def test_rows_that_are_not_finite_are_counted(tmp_path, features, capsys):
    class Logarithm(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.log()

    path = nets.script(Logarithm(), tmp_path / "m.pt")
    array = np.ones((5, 4), np.float32)
    array[1, 2], array[3], array[4, 0] = -1, np.inf, 0  # NaN, +inf; the logarithm of 0 is a legal -inf
    report = evaltool.predict(path, array, output=tmp_path / "p.npy", trust=True, progress="none")
    assert report["n_nonfinite"] == 2
    assert capsys.readouterr().err == "warning: 2 of 5 rows hold NaN or +inf: did the model overflow?\n"


def test_rows_that_a_smaller_dtype_cannot_hold_are_counted(tmp_path, capsys):
    array = np.full((3, 4), 1.0, np.float32)
    array[1] = 1e6
    path = nets.script(nets.InPlace(), tmp_path / "m.pt")
    report = evaltool.predict(path, array, output=tmp_path / "p.npy", trust=True, dtype="float16", progress="none")
    assert (report["n_overflowed"], report["n_nonfinite"]) == (1, 0)
    assert capsys.readouterr().err == "warning: 1 of 3 rows hold numbers that float16 cannot: write float32\n"
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy")[[0, 2]], np.full((2, 4), 2, np.float16))


def test_integers_are_written_as_they_are(tmp_path, features):
    class Class(nets.Linear):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.inner(features).argmax(1)

    path = nets.script(Class(), tmp_path / "m.pt")
    evaltool.predict(path, features, output=tmp_path / "p.npy", trust=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), direct(nets.Linear(), FEATURES).argmax(1))
    with pytest.raises(EvaltoolError, match="--dtype is for predictions that are floats"):
        evaltool.predict(path, features, output=tmp_path / "q.npy", trust=True, dtype="float16")


def test_error_midway_leaves_nothing(tmp_path):
    np.save(tmp_path / "codes.npy", np.r_[np.zeros(900, np.int64), np.full(100, 10)].reshape(-1, 1))
    path = nets.script(nets.Tokens(), tmp_path / "m.pt")
    with pytest.raises(EvaltoolError, match="the model failed on rows 900 to 910"):
        evaltool.predict(path, tmp_path / "codes.npy", output=tmp_path / "p.npy", trust=True, batch_size=10)
    assert sorted(os.listdir(tmp_path)) == ["codes.npy", "m.pt"]


def test_file_that_is_there_stays_until_the_new_one_is_whole(tmp_path):
    np.save(tmp_path / "p.npy", np.arange(3))
    path = nets.script(nets.Tokens(), tmp_path / "m.pt")
    good, bad = np.zeros((20, 1), np.int64), np.full((20, 1), 10)
    with pytest.raises(EvaltoolError, match="the output exists"):
        evaltool.predict(path, good, output=tmp_path / "p.npy", trust=True)
    with pytest.raises(EvaltoolError, match="the model failed"):
        evaltool.predict(path, np.r_[good, bad], output=tmp_path / "p.npy", trust=True, batch_size=5, overwrite=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), np.arange(3))
    evaltool.predict(path, good, output=tmp_path / "p.npy", trust=True, overwrite=True)
    assert np.load(tmp_path / "p.npy").shape == (20, 3)


def test_what_is_read_is_not_replaced(tmp_path, features):
    model = nets.onnx_pair(tmp_path / "m.npy")
    for output in ("m.npy", "features.npy", "bias.npy"):
        np.save(tmp_path / "bias.npy", FEATURES[:, :3])
        before = (tmp_path / output).read_bytes()
        inputs = {"features": features, "bias": str(tmp_path / "bias.npy")}
        with pytest.raises(EvaltoolError, match="the output is what the predictions are made from"):
            evaltool.predict(model, inputs, output=tmp_path / output, overwrite=True)
        assert (tmp_path / output).read_bytes() == before


SLOW_MODEL = "import sys, evaltool\nevaltool.predict('m.onnx', 'large.npy', output='p.npy', batch_size=2)\n"


def test_killed_job_leaves_no_file_and_the_next_one_cleans_up(tmp_path):
    nets.onnx_linear(tmp_path / "m.onnx")
    np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (50_000_000, 4))
    process = subprocess.Popen([sys.executable, "-c", SLOW_MODEL], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".p.npy.partial-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert sorted(os.listdir(tmp_path)) == [f".p.npy.partial-{process.pid}", "large.npy", "m.onnx"]
    evaltool.predict(tmp_path / "m.onnx", FEATURES, output=tmp_path / "p.npy")
    assert sorted(os.listdir(tmp_path)) == ["large.npy", "m.onnx", "p.npy"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    """4 GB of inputs and 0.8 GB of predictions, within 400 MB above the imports."""
    nets.script(torch.nn.Linear(1000, 200), tmp_path / "m.pt")
    np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (1_000_000, 1000))
    np.save(tmp_path / "small.npy", np.zeros((4, 1000), np.float32))
    code = (
        "import resource, evaltool\n"
        "evaltool.predict('m.pt', 'small.npy', output='small_preds.npy', trust=True)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "evaltool.predict('m.pt', 'large.npy', output='preds.npy', trust=True)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600
    )
    assert int(result.stdout) / 1024 < 400
    assert np.load(tmp_path / "preds.npy", mmap_mode="r").shape == (1_000_000, 200)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("no/p.npy", "no such directory\n  {folder}/no\n  Make it, or name another file with -o."),
        ("p.npz", "the output is a .npy file\n  {folder}/p.npz: got .npz\n  Name it with -o."),
        ("folder", "the output is a directory\n  {folder}/folder\n  Name a .npy file with -o."),
        (
            "there.npy",
            "the output exists\n  {folder}/there.npy\n  Pass --overwrite to replace it, or name another with -o.",
        ),
    ],
)
def test_output_that_cannot_be_written(tmp_path, features, output, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.npy").touch()
    with pytest.raises(EvaltoolError) as caught:
        evaltool.predict("no_such.onnx", features, output=tmp_path / output)
    assert str(caught.value) == said.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"batch_size": 0}, "batch_size=0, expected auto or an integer above 0"),
        ({"batch_size": "all"}, "batch_size='all', expected auto or an integer above 0"),
        ({"dtype": "int8"}, "dtype='int8', expected float16, float32, float64"),
        ({"progress": "loud"}, "progress='loud', expected None, auto, rich, plain, none"),
        ({"device": "tpu"}, "device='tpu', expected auto, cpu, cuda or cuda:i"),
    ],
)
def test_wrong_arguments(tmp_path, features, option, said):
    path = nets.onnx_linear(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="expected") as caught:
        evaltool.predict(path, features, output=tmp_path / "p.npy", **option)
    assert str(caught.value) == said


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["scripted", "onnx"])
def test_gpu_gives_the_same(tmp_path, features, kind):
    path = nets.onnx_linear(tmp_path / "m.onnx")
    if kind == "scripted":
        path = nets.script(nets.Linear(), tmp_path / "m.pt")
    report = evaltool.predict(path, features, output=tmp_path / "p.npy", trust=True, device="cuda")
    assert report["device"].startswith("cuda")
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), direct(nets.Linear(), FEATURES), rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_batches_are_halved_until_they_fit_on_the_gpu(tmp_path, capsys):
    class Wide(torch.nn.Module):
        """64 MB for every row."""

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            wide = features[:, :1].repeat(1, 1 << 24)
            return features + wide.amax(1, keepdim=True) * 0

    path = nets.script(Wide(), tmp_path / "m.pt")
    array = np.random.default_rng(0).normal(size=(8192, 4)).astype(np.float32)  # 512 GB in one batch
    evaltool.predict(path, array, output=tmp_path / "p.npy", trust=True, device="cuda", progress="none")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), array)
    assert "warning: out of memory: going on with batches of 4096 rows\n" in capsys.readouterr().err
