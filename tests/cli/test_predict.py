"""evaltool predict, and evaltool score --model, as a user meets them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.predictor import nets

EVALTOOL = [sys.executable, "-m", "evaltool"]
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 4)).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    """Models and inputs in the empty directory."""
    nets.onnx_linear(tmp_path / "linear.onnx")
    nets.onnx_pair(tmp_path / "pair.onnx")
    nets.script(nets.Linear(), tmp_path / "linear.pt")
    np.save(tmp_path / "features.npy", FEATURES)
    np.save(tmp_path / "bias.npy", FEATURES[:, :3])
    np.save(tmp_path / "labels.npy", RNG.integers(0, 3, 60))
    (tmp_path / "link.npy").symlink_to("features.npy")
    (tmp_path / "dangling.npy").symlink_to("no_such.npy")


def plain(text):
    """Return what is printed without times."""
    return re.sub(r"\d+\.\d s \([\d,]+ per second\)", "_ s", text)


def test_predictions_and_where_they_went(cli, files):
    result = cli("predict", "linear.onnx", "features.npy", "-o", "preds.npy", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert plain(result.stdout) == (
        "preds.npy: logits float32 [60, 3]\n60 rows in _ s, batches of 60, CPUExecutionProvider on cpu\n"
    )
    assert result.stderr == ""
    assert np.load("preds.npy").shape == (60, 3)


def test_choices_are_said_on_stderr(cli, files):
    np.save("wide.npy", FEATURES.astype(np.float64))
    result = cli("predict", "pair.onnx", "features=wide.npy", "bias=bias.npy", "-o", "preds.npy")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "input features: wide.npy is cast from float64 to float32\n"
        "output: logits, the first of logits, hidden; --output-name takes another\n"
    )


def test_json_report(cli, files):
    arguments = ("features=features.npy", "bias.npy", "-o", "hidden.npy", "--output-name", "hidden", "--json")
    result = cli("predict", "pair.onnx", *arguments, "--batch-size", "8", "--device", "cpu", "--dtype", "float16")
    report = json.loads(result.stdout)
    assert report.pop("seconds") >= 0
    fed = {"dtype": "float32", "given_as": "float32"}
    assert report == {
        "model": {"path": "pair.onnx", "format": "onnx"},
        "inputs": [
            {"name": "features", "source": "features.npy", "shape": [60, 4], **fed},
            {"name": "bias", "source": "bias.npy", "shape": [60, 3], **fed},
        ],
        "output": {"path": "hidden.npy", "name": "hidden", "shape": [60, 4], "dtype": "float16"},
        "n_nonfinite": 0,
        "n_overflowed": 0,
        "batch_size": 8,
        "device": "cpu",
        "provider": "CPUExecutionProvider",
    }


CASES = {
    "predict linear.pt features.npy -o p.npy": """\
error: a TorchScript file is code and is not run unasked
  linear.pt: no manifest.json beside it (or one folder above) holds its sha256 _...
  Pass --trust if you know where it comes from.
""",
    "predict pair.onnx features.npy bias.npy -o p.npy": """\
error: several inputs have no name
  features.npy and bias.npy
  Name every input once, as in name=file.npy.
""",
    "predict pair.onnx bias=features.npy bias=bias.npy -o p.npy": """\
error: the input 'bias' is given twice
  features.npy and bias.npy
  Name every input once, as in name=file.npy.
""",
    "predict pair.onnx features.npy -o p.npy": """\
error: which input of the model is this?
  features.npy: given without a name
  pair.onnx: takes features float32 [N, 4]
  pair.onnx: takes bias float32 [N, 3]
  Name every input, as in name=file.npy.
""",
    "predict linear.onnx labels.npy -o p.npy": """\
error: the input does not fit the model
  labels.npy: shape [60]
  linear.onnx: takes features float32 [N, 4]
  Prepare the rows as in training, one per sample.
""",
    "predict linear.onnx no_such.npy -o p.npy": """\
error: no such file
  no_such.npy
  Check the path.
""",
    "predict features.npy features.npy -o p.npy": """\
error: not a model that can be run
  features.npy: got .npy, expected TorchScript (.pt), ONNX (.onnx) or .pt2
  Export the model to one of them.
""",
    "predict linear.onnx features.npy -o labels.npy": """\
error: the output exists
  labels.npy
  Pass --overwrite to replace it, or name another with -o.
""",
    "predict linear.onnx features.npy -o features.npy": """\
error: the output is what the predictions are made from
  features.npy: the same file as features.npy
  Name another file with -o.
""",
    "predict linear.onnx features=features.npy -o ./features.npy --overwrite": """\
error: the output is what the predictions are made from
  features.npy: the same file as features.npy
  Name another file with -o.
""",
    "predict linear.onnx features.npy -o link.npy --overwrite": """\
error: the output is what the predictions are made from
  link.npy: the same file as features.npy
  Name another file with -o.
""",
    "predict linear.onnx features.npy -o dangling.npy": """\
error: the output exists
  dangling.npy
  Pass --overwrite to replace it, or name another with -o.
""",
    "predict linear.onnx features.npy -o p.npy --output-name probs": """\
error: the model has no output 'probs'
  linear.onnx: returns logits
  Pass one of them to --output-name.
""",
    "score features.npy labels.npy --input bias=bias.npy": """\
Usage: main score [OPTIONS] PREDS [PREDS]... LABELS
Try 'main score --help' for help.

Error: --input is an input of --model, which is not given.
""",
    "score features.npy labels.npy --output-name logits": """\
error: an output is chosen, but no model is given
  --output-name logits
  Pass --model FILE, or leave --output-name out.
""",
}


@pytest.mark.parametrize("typed", CASES)
def test_bad_input(cli, files, typed):
    before = sorted(os.listdir())
    result = cli(*typed.split())
    assert re.sub(r"sha256 \w+", "sha256 _", result.output) == CASES[typed]
    assert result.exit_code == 2
    assert sorted(os.listdir()) == before


def test_gpu_asked_for_and_not_there(cli, files):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = cli("predict", "linear.onnx", "features.npy", "-o", "preds.npy", "--device", "cuda")
    assert result.stderr.startswith("error: there is no such GPU\n  --device cuda: 0 CUDA devices found")
    assert result.exit_code == 2
    assert not Path("preds.npy").exists()


@pytest.mark.parametrize("size", ["0", "all", "-1", "1.5"])
def test_bad_batch_size(cli, files, size):
    result = cli("predict", "linear.onnx", "features.npy", "-o", "preds.npy", "--batch-size", size)
    assert f"'{size}' is no batch size; write auto or an integer above 0." in result.output
    assert result.exit_code == 2


def test_path_with_an_equals_sign(cli, files):
    os.rename("features.npy", "run=1.npy")
    assert cli("predict", "linear.onnx", "run=1.npy", "-o", "preds.npy").exit_code == 0


def test_scoring_with_a_model_is_predicting_and_scoring(cli, files):
    assert cli("predict", "pair.onnx", "features=features.npy", "bias.npy", "-o", "preds.npy").exit_code == 0
    first = cli("score", "preds.npy", "labels.npy", "--json")
    second = cli(
        *("score", "features=features.npy", "labels.npy", "--model", "pair.onnx", "--input", "bias=bias.npy", "--json")
    )
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout) == json.loads(first.stdout)
    assert Path("features.run/run.json").exists()


def test_scoring_says_which_model_ran(cli, files):
    result = cli("score", "features.npy", "labels.npy", "--model", "linear.onnx", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "model: linear.onnx, output logits [N, 3], CPUExecutionProvider on cpu"


def test_module_takes_every_format(cli):
    text = " ".join(cli("score", "--help").output.split())
    assert "--module FILE .onnx, .pt or .pt2 file (preds, labels) -> [N] as one more column" in text


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["Ctrl-C", "SIGTERM"],
)
@pytest.mark.parametrize("command", ["predict", "score"])
def test_stopped_job_leaves_nothing(tmp_path, files, command, how, code, said):
    np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (50_000_000, 4))
    np.lib.format.open_memmap(tmp_path / "many_labels.npy", "w+", np.int8, (50_000_000,))
    before = sorted(os.listdir(tmp_path))
    arguments = {
        "predict": ("linear.onnx", "large.npy", "-o", "preds.npy"),
        "score": ("large.npy", "many_labels.npy", "--preds-are", "logits", "--task", "multiclass"),
    }
    process = subprocess.Popen(
        [*EVALTOOL, command, *arguments[command], "--batch-size", "2"], cwd=tmp_path, stderr=subprocess.PIPE
    )
    partial = {"predict": ".preds.npy.partial-*", "score": "large.run/.scores.parquet.partial-*"}[command]
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(partial)) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(how)
    stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code
    assert stderr.endswith(f"{said}: nothing was written\n")
    assert "Traceback" not in stderr
    assert sorted(os.listdir(tmp_path)) == before
