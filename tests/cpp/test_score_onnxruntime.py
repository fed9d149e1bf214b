"""score_onnxruntime prints what Python computes, by the library of the installed wheel.

The wheel has no headers: the tests need the environment's ORT_INCLUDE_DIR, or headers in the system's folders.
"""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evaltool.losses import FocalLoss
from tests.cpp.cases import CASES, METADATA, MORE, TOLD, TOLERANCE, classes, columns, expected, numbers

pytestmark = pytest.mark.slow

# float64 preds and float labels would lose digits
FITTING = [
    case
    for case, (names, preds, labels) in CASES.items()
    if "focal" in names and preds.dtype != np.float64 and labels.dtype.kind != "f"
]


@pytest.fixture(scope="module")
def onnx_models(built, tmp_path_factory):
    """A folder with focal where --models looks for it and for images, and the arguments that name the library."""
    if not (built.folder / "score_onnxruntime").exists():
        pytest.skip("score_onnxruntime needs ONNX Runtime's headers: set ORT_INCLUDE_DIR to their folder")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("onnx_models")
    focal = folder / "models/onnx/focal/1/model.onnx"
    focal.parent.mkdir(parents=True)
    export(focal, (2, 3), (2,), "N C")
    export(folder / "images.onnx", (2, 3, 4, 5), (2, 4, 5), "N C H W")
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*")
    return SimpleNamespace(
        folder=folder, models=["--models", folder / "models"], library=["--ort-library", library], focal=focal
    )


def export(path, preds, labels, axes):
    """Write FocalLoss as an ONNX model with symbolic axes and METADATA."""
    names = axes.split()
    dims = {name: torch.export.Dim(name) for name in names}
    shapes = (
        {i: dims[name] for i, name in enumerate(names)},
        {i: dims[name] for i, name in enumerate(name for name in names if name != "C")},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            FocalLoss().eval(),
            (torch.zeros(preds), torch.zeros(labels, dtype=torch.int64)),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=["preds", "labels"],
            output_names=["loss"],
            verbose=False,
        )
    program.model.metadata_props.update(
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in METADATA.items()}
    )
    program.save(str(path))


@pytest.mark.parametrize("case", FITTING)
def test_onnxruntime_prints_what_python_computes(run, onnx_models, case):
    _, preds, labels = CASES[case]
    which = onnx_models.models if preds.ndim == 2 else ["--only", onnx_models.folder / "images.onnx"]
    done = run("score_onnxruntime", *which, *onnx_models.library, preds=preds, labels=labels)
    _, losses = columns(done)
    np.testing.assert_allclose(losses, expected(["focal"], preds, labels), rtol=TOLERANCE, atol=TOLERANCE)


def test_onnxruntime_prints_the_metadata(run, onnx_models):
    preds, labels = numbers("f4", 4, 3), classes("i8", 3, 4)
    arguments = *onnx_models.models, *onnx_models.library
    done = run("score_onnxruntime", *arguments, preds=preds, labels=labels)
    assert columns(done)[0] == ["focal"]
    assert done.stderr.splitlines() == [str(onnx_models.focal), *TOLD, "  and 2 more with --metadata"]
    done = run("score_onnxruntime", *arguments, "--metadata", preds=preds, labels=labels)
    assert done.stderr.splitlines() == [str(onnx_models.focal), *TOLD, *MORE]


def told(run, onnx_models, preds, labels, *arguments):
    """Return the error of a run that prints nothing else but the metadata."""
    done = run(
        "score_onnxruntime", *(arguments or [*onnx_models.models, *onnx_models.library]), preds=preds, labels=labels
    )
    assert (done.returncode, done.stdout) == (2, "")
    return "error: " + done.stderr.partition("error: ")[2]


def test_onnxruntime_takes_no_dtype_that_would_lose_digits(run, onnx_models):
    for preds, labels, where in [
        ("f8", "i8", "preds.npy: float64, expected float32 = preds"),
        ("f4", "f4", "labels.npy: float32, expected int64 = labels"),
    ]:
        assert told(run, onnx_models, numbers(preds, 4, 3), classes(labels, 3, 4)) == (
            f"error: the model takes another dtype\n  {where}\n  {onnx_models.focal}\n"
            "  Save the array with that dtype: np.save(path, array.astype(...)).\n"
        )


def test_onnxruntime_tells_which_shape_the_model_takes(run, onnx_models):
    assert told(run, onnx_models, numbers("f4", 4, 3, 2), classes("i8", 3, 4, 2)) == (
        f"error: the model takes another shape\n  {onnx_models.focal}\n"
        "  preds.npy: float32 [4, 3, 2], labels.npy: int64 [4, 2], expected float32 [N, C] and int64 [N]\n"
        "  A model has a fixed number of axes: is there a file for this one?\n"
    )


def test_onnxruntime_tells_labels_that_are_one_hot(run, onnx_models):
    assert told(run, onnx_models, numbers("f4", 4, 3), np.eye(3, dtype="f4")[[0, 1, 2, 0]]) == (
        "error: the model takes class labels\n  labels.npy: float32 [4, 3], expected int64 [N]\n"
        f"  {onnx_models.focal}\n  The labels look one-hot: save labels.argmax(axis=1).\n"
    )


def test_onnxruntime_tells_a_model_of_several_columns(run, onnx_models, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_models.focal)
    model.graph.output[0].name = "ce"
    for node in model.graph.node:
        node.output[:] = ["ce" if name == "loss" else name for name in node.output]
    model.graph.output.append(onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, ["N"]))
    onnx.save(model, tmp_path / "card.onnx")
    arrays = numbers("f4", 4, 3), classes("i8", 3, 4)
    assert told(run, onnx_models, *arrays, "--only", "card.onnx", *onnx_models.library) == (
        "error: the model gives several columns\n  card.onnx: gave 2 values, expected one loss [N]\n"
        "  Is it a scorecard? Export the loss itself, as in evaltool export focal.\n"
    )


def test_onnxruntime_tells_a_file_that_is_no_model(run, onnx_models, tmp_path):
    (tmp_path / "bad.onnx").write_text("no protobuf")
    arrays = numbers("f4", 4, 3), classes("i8", 3, 4)
    what, where, advice = told(run, onnx_models, *arrays, "--only", "bad.onnx", *onnx_models.library).splitlines()
    assert what == "error: not an ONNX model"
    assert where.startswith("  bad.onnx: ")  # the rest is ONNX Runtime's
    assert advice == "  Copy or export it again."
    (tmp_path / "bad.pt").write_text("no protobuf")
    advice = told(run, onnx_models, *arrays, "--only", "bad.pt", *onnx_models.library).splitlines()[-1]
    assert advice == "  A TorchScript file? Give it to score_torchscript."


def test_onnxruntime_tells_a_library_that_it_cannot_use(run, onnx_models, tmp_path):
    arrays = numbers("f4", 4, 3), classes("i8", 3, 4)
    assert told(run, onnx_models, *arrays, *onnx_models.models) == (
        "error: ONNX Runtime's library is not known\n  --ort-library and ORT_LIBRARY: neither is given\n"
        "  Name libonnxruntime.so; README.md tells how to find the one in the Python package.\n"
    )
    missing = told(run, onnx_models, *arrays, *onnx_models.models, "--ort-library", tmp_path / "libno.so")
    assert missing.startswith("error: ONNX Runtime's library cannot be loaded\n")
    assert missing.endswith("\n  Name the file libonnxruntime.so*.\n")
    other = Path(torch.__file__).parent / "lib/libc10.so"
    assert told(run, onnx_models, *arrays, *onnx_models.models, "--ort-library", other) == (
        f"error: this library is not ONNX Runtime\n  {other}: has no OrtGetApiBase\n"
        "  Name the file libonnxruntime.so*.\n"
    )
