"""What score_torchscript says of files, arrays, models and arguments that it cannot use: whole messages, status 2."""

import shutil
from io import BytesIO

import numpy as np
import pytest
import torch

from tests.cpp.cases import classes, numbers

pytestmark = pytest.mark.slow


def npy(array, **changes):
    """Return the bytes of a .npy file whose header is changed."""
    header = np.lib.format.header_data_from_array_1_0(array) | changes
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


GOOD = npy(np.zeros((4, 3), np.float32))
DTYPES = "expected little-endian integers, bool or float16 to float64"
BAD_FILES = {
    "empty": (b"", "the file is empty\n  preds.npy: 0 bytes\n  Write it again with np.save."),
    "text": (b"1,2,3\n", r"not a .npy file|  preds.npy: does not begin with \x93NUMPY|  Save the array with np.save."),
    "cut in its magic": (
        GOOD[:8],
        "the file is truncated|  preds.npy: ends within its header|  Copy or write it again.",
    ),
    "cut in its header": (
        GOOD[:90],
        "the file is truncated|  preds.npy: ends within its header|  Copy or write it again.",
    ),
    "cut in its data": (
        GOOD[:-1],
        "the file is truncated|  preds.npy: 47 bytes of data, expected shape [4, 3] of float32"
        "|  Copy or write it again.",
    ),
    "claims terabytes": (
        npy(np.zeros(3, np.float32), shape=(10**12, 3)),
        "the file is truncated|  preds.npy: 12 bytes of data, expected shape [1000000000000, 3] of float32"
        "|  Copy or write it again.",
    ),
    "size overflows": (
        npy(np.zeros(3, np.float32), shape=(2**62, 2**62)),
        "the file is truncated|  preds.npy: 12 bytes of data, "
        "expected shape [4611686018427387904, 4611686018427387904] of float32|  Copy or write it again.",
    ),
    "length overflows": (
        npy(np.zeros(3, np.float32), shape=(2**64, 3)),
        "the .npy header is damaged|  preds.npy|  Copy or write the file again.",
    ),
    "negative length": (
        npy(np.zeros(3, np.float32), shape=(-1, 3)),
        "the .npy header is damaged|  preds.npy|  Copy or write the file again.",
    ),
    "header claims too much": (
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD[10:],
        "the .npy header is damaged|  preds.npy|  Copy or write the file again.",
    ),
    "no dict": (
        GOOD.replace(b"{'descr'", b"['descr'"),
        "the .npy header is damaged|  preds.npy|  Copy or write the file again.",
    ),
    "Fortran order": (
        npy(np.asfortranarray(np.zeros((4, 3), np.float32))),
        "the array is in Fortran order|  preds.npy: fortran_order True, expected False"
        "|  Convert it: np.save(path, np.ascontiguousarray(array)).",
    ),
    "big-endian": (
        npy(np.zeros((4, 3), ">f4")),
        f"the array is big-endian|  preds.npy: dtype >f4, {DTYPES}"
        '|  Convert it: np.save(path, array.astype(array.dtype.newbyteorder("<"))).',
    ),
    "objects": (
        npy(np.zeros((4, 3), np.float32), descr="|O"),
        f"the array holds Python objects|  preds.npy: dtype |O, {DTYPES}|  Save a plain array of numbers.".replace(
            "|O", "\0O"
        ),
    ),
    "complex": (
        npy(np.zeros((4, 3), np.complex64)),
        f"the array has a dtype that is not read|  preds.npy: dtype <c8, {DTYPES}"
        "|  Convert it: np.save(path, array.astype(np.float32)), or another of these.",
    ),
    "structured": (
        npy(np.zeros(4, [("a", "f4"), ("b", "i4")])),
        f"the array has a dtype that is not read|  preds.npy: dtype a structured dtype, {DTYPES}"
        "|  Convert it: np.save(path, array.astype(np.float32)), or another of these.",
    ),
    "integers": (
        npy(np.zeros((4, 3), np.uint8)),
        "preds are not floats|  preds.npy: dtype uint8, expected float16, float32 or float64"
        "|  Convert them: np.save(path, preds.astype(np.float32)). Are the two files swapped?",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_read_is_told(run, modules, tmp_path, case):
    content, message = BAD_FILES[case]
    np.save(tmp_path / "labels.npy", np.zeros(4, np.int64))
    (tmp_path / "preds.npy").write_bytes(content)
    done = run("score_torchscript", "--models", modules / "models")
    message = message.replace("|", "\n").replace("\0", "|")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


BAD_SHAPES = {
    "another N": ([4, 3], [5], "expected [4, 3] or [4]"),
    "another S": ([4, 3, 2], [4, 3], "expected [4, 3, 2] or [4, 2]"),
    "one axis": ([4], [4, 1], "expected [4]"),
    "no axis": ([], [], "expected an axis of samples"),
}


@pytest.mark.parametrize("case", BAD_SHAPES)
def test_shapes_that_do_not_match_are_told(run, modules, case):
    preds, labels, wanted = BAD_SHAPES[case]
    done = run(
        "score_torchscript", "--models", modules / "models", preds=np.zeros(preds), labels=np.zeros(labels, "i8")
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: labels do not match predictions\n  preds.npy: shape {preds}\n  labels.npy: shape {labels}, {wanted}\n"
        "  Predictions are [N, C, *S], labels [N, *S] or the same shape. Are both of the same samples?\n"
    )


def test_samples_without_values_are_told(run, modules):
    done = run("score_torchscript", "--only", modules / "dice.pt", preds=np.zeros((4, 0)), labels=np.zeros(4, "i8"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the samples are empty\n  preds.npy: shape [4, 0]\n  Only the number of samples may be 0.\n"
    )


def test_a_label_beyond_int64_is_told(run, modules):
    labels = np.full(4, 2**64 - 100, np.uint64)
    done = run("score_torchscript", "--models", modules / "models", preds=numbers("f4", 4, 3), labels=labels)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        "error: a label does not fit int64\n  labels.npy: 18446744073709551516\n"
        "  Is it a missing value that was stored as unsigned?\n"
    )


BAD_MODELS = {
    "mean": (
        "the model does not give one loss per sample\n  {}: gave Float [], expected floats [4]\n"
        '  Export the loss with reduction="none".'
    ),
    "pair": (
        "the model gives several columns\n  {}: gave 2 values, expected one loss [N]\n"
        "  Is it a scorecard? Export the loss itself, as in evaltool export focal."
    ),
    "weighted": (
        "the model does not take these arrays\n  {}: builtins.ValueError: 2 numbers per class, expected 1 or 3 = C\n"
        "  preds.npy: float32 [4, 3], labels.npy: int64 [4]\n  Is it the loss for this task?"
    ),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_model_that_does_not_fit_is_told(run, modules, name):
    path = modules / f"{name}.pt"
    done = run("score_torchscript", "--only", path, preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path}\n  it holds no metadata\nerror: {BAD_MODELS[name].format(path)}\n"


def test_a_network_is_told_when_it_is_loaded(run, modules):
    path = modules / "network.pt"
    done = run("score_torchscript", "--only", path, preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: the model is not a loss\n  {path}: inputs input, expected inputs preds labels\n"
        "  Name a model that evaltool exported.\n"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad.pt", "Save it with torch.jit.script(module).save(path)."),
        ("bad.onnx", "An ONNX file? Give it to score_onnxruntime."),
    ],
)
def test_a_file_that_is_no_torchscript_is_told(run, tmp_path, name, message):
    (tmp_path / name).write_text("no zip")
    done = run("score_torchscript", "--only", name, preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert (done.returncode, done.stdout) == (2, "")
    what, where, advice = done.stderr.splitlines()
    assert what == "error: not a TorchScript file"
    assert where.startswith(f"  {name}: PytorchStreamReader failed")  # the rest is PyTorch's
    assert advice == f"  {message}"


USAGE = "usage: score_torchscript [options] PREDS LABELS [MODEL...]\nerror: "
BAD_ARGUMENTS = {
    "--only": f"{USAGE}--only needs a MODEL",
    "--model": f"{USAGE}no such option: --model",
    "--device": f"{USAGE}--device needs a value",
    "no.pt": "error: no such file\n  no.pt\n  Check the path.",
    "/dev/null": "error: this is not a regular file\n  /dev/null: a device or a pipe\n  Name a model.pt on a disk.",
    "/": "error: this is a directory\n  /\n  Name the model.pt in it.",
    "--models here": "error: no such file\n  here/torchscript/focal/1/model.pt\n"
    "  Say with --models where the folder is, or pass --only and models of your own.",
    "--only dice.pt --device tpux": "error: no such device\n  --device: got tpux, expected cpu, cuda or cuda:1\n"
    "  Leave it out for the CPU.",
    "--only dice.pt --device cuda:99": "error: the GPU cannot be used\n"
    f"  --device: got cuda:99, but this PyTorch sees {torch.cuda.device_count()} CUDA devices\n"
    "  Build against a PyTorch with CUDA, look at nvidia-smi, or leave --device out.",
}


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS)
def test_a_wrong_argument_is_told(run, modules, tmp_path, arguments):
    shutil.copy(modules / "dice.pt", tmp_path)
    done = run("score_torchscript", *arguments.split(), preds=numbers("f4", 4, 3), labels=classes("i8", 3, 4))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{BAD_ARGUMENTS[arguments]}\n")
