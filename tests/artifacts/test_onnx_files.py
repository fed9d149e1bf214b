"""ONNX files that point elsewhere, claim too much or are cut short are refused before ONNX Runtime sees them."""

import os

import numpy as np
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from evaltool.artifacts import onnx_files
from evaltool.artifacts.onnx_files import checked_onnx, open_onnx
from evaltool.errors import EvaltoolError

WEIGHTS = np.arange(4, dtype=np.float32)
ADVICE = "\n  Put the data file itself, no link to it, beside the model, or export the model again."
TIB_4 = [1024, 1024, 1024, 1024]  # of FLOAT


def inline(name="w", values=WEIGHTS):
    return numpy_helper.from_array(values, name)


def external(dims=(4,), dtype=TensorProto.FLOAT, **entries):
    tensor = TensorProto(name="w", dims=dims, data_type=dtype, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


ENTRY = external(location="w.bin").external_data


def model_of(*nodes, initializers=(), sparse=(), **fields):
    """Return a model (x + w) with more nodes and tensors in it."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([*nodes, add], "g", [x], [y], list(initializers), sparse_initializer=list(sparse))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, **fields)


@pytest.fixture
def write(tmp_path):
    """Writes a model into a folder of its own beside a file secret.bin, with its weights in w.bin."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())

    def save(model):
        path = folder / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save


def refusal(path):
    with pytest.raises(EvaltoolError) as caught:
        open_onnx(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "tensor",
    [
        inline(),
        external(location="w.bin"),
        external(location="./w.bin", offset=0, length=16, checksum="00"),
        helper.make_tensor("w", TensorProto.FLOAT, [4], WEIGHTS),
    ],
    ids=["raw", "external", "external with bounds", "values"],
)
def test_sound_file_runs(write, tensor, monkeypatch):
    path = write(model_of(initializers=[tensor]))
    monkeypatch.chdir(path.parent)
    session = open_onnx(path.relative_to(path.parent))
    got = session.run({"x": torch.ones(1, 4)})["y"]
    torch.testing.assert_close(got, torch.tensor([[1.0, 2.0, 3.0, 4.0]]), rtol=0, atol=0)


def test_external_data_are_checked_and_not_loaded(write):
    tensor = checked_onnx(write(model_of(initializers=[external(location="w.bin")]))).graph.initializer[0]
    assert tensor.data_location == TensorProto.EXTERNAL
    assert not tensor.raw_data


@pytest.mark.parametrize("dtype", [name for name, number in TensorProto.DataType.items() if number])
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_every_dtype_as_onnx_writes_it_passes(write, dtype, count):
    code = TensorProto.DataType.Value(dtype)
    values = [b"1"] * count if dtype == "STRING" else [1] * count
    by_value = helper.make_tensor("v", code, [count], values)
    tensors = [inline(), by_value]
    if dtype != "STRING":
        tensors.append(numpy_helper.from_array(numpy_helper.to_array(by_value), "r"))
    checked_onnx(write(model_of(initializers=tensors)))


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "sub/../../secret.bin", "..\\secret.bin", "C:w.bin", "w.bin\0", "", "*/_ORT_MEM_ADDR_/*", "a/.."],
)
def test_location_that_leads_out_of_the_folder_is_refused(write, location):
    path = write(model_of(initializers=[external(location=location)]))
    assert refusal(path) == (
        f"external data of the ONNX file cannot be used\n  {path}: the tensor 'w', [4] FLOAT is in {location!r}, "
        f"expected a file in the model's folder{ADVICE}"
    )


def test_absolute_location_is_refused(write):
    path = write(model_of())
    secret = path.parent / "w.bin"
    write(model_of(initializers=[external(location=secret)]))
    assert f"is in {str(secret)!r}, expected a file in the model's folder" in refusal(path)


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic link", "hard link"])
def test_link_is_refused(write, tmp_path, link):
    path = write(model_of(initializers=[external(location="link.bin")]))
    link(tmp_path / "secret.bin", path.parent / "link.bin")
    told = "a symbolic link at 'link.bin'" if link is os.symlink else "a hard link: the file has 2 names"
    assert refusal(path) == (
        "external data of the ONNX file cannot be used\n"
        f"  {path}: the tensor 'w', [4] FLOAT is in 'link.bin', {told}{ADVICE}"
    )


def test_folder_that_is_a_link_is_refused(write, tmp_path):
    path = write(model_of(initializers=[external(location="sub/secret.bin")]))
    (path.parent / "sub").symlink_to(tmp_path)
    assert "is in 'sub/secret.bin', a symbolic link at 'sub'" in refusal(path)


def test_what_is_no_file_is_refused(write):
    path = write(model_of(initializers=[external(location="pipe")]))
    os.mkfifo(path.parent / "pipe")
    assert "is in 'pipe', which is no regular file" in refusal(path)
    write(model_of(initializers=[external(location="gone.bin")]))
    assert "is in 'gone.bin': No such file or directory" in refusal(path)


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (external(location="w.bin", offset=8), "ends at byte 24 of 'w.bin', which has 16"),
        (external(location="w.bin", offset=2**62), "ends at byte 4611686018427387920 of 'w.bin', which has 16"),
        (external(location="w.bin", offset=-8), "has offset '-8' and length None, expected numbers"),
        (external(location="w.bin", offset="0x8"), "has offset '0x8' and length None, expected numbers"),
        (external(location="w.bin", offset="9" * 99), f"has offset '{'9' * 39} and length None, expected numbers"),
        (external(location="w.bin", length=-1), "has offset None and length '-1', expected numbers"),
        (external(location="w.bin", length=8), "needs 16 bytes, got length 8"),
        (external(location="w.bin", length=2**42), "needs 16 bytes, got length 4398046511104"),
        (external(location="w.bin", basepath="/etc"), "has the keys ['location', 'basepath'], expected each at most"),
        (TensorProto(name="w", dims=[4], data_type=1, raw_data=bytes(16), external_data=ENTRY), "is stored here and"),
        (
            TensorProto(name="w", dims=[4], data_type=1, data_location=1, raw_data=bytes(16), external_data=ENTRY),
            "is stored here and elsewhere, expected one of the two",
        ),
        (external([4], TensorProto.STRING, location="w.bin"), "is stored here and elsewhere, expected one of the two"),
        (external(TIB_4, location="w.bin"), "claims 4398046511104 bytes, expected at most 68719476736"),
        (external([2**33], location="w.bin"), "ends at byte 34359738368 of 'w.bin', which has 16"),
    ],
)
def test_external_data_with_false_bounds_are_refused(write, tensor, told):
    assert told in refusal(write(model_of(initializers=[tensor])))


def test_location_given_twice_is_refused(write):
    tensor = external(location="w.bin")
    tensor.external_data.add(key="location", value="../secret.bin")
    assert "has the keys ['location', 'location'], expected each at most once" in refusal(
        write(model_of(initializers=[tensor]))
    )


@pytest.mark.parametrize("hit", [b"w.bin", b"16777"])
def test_external_data_that_are_no_text_are_refused(write, hit):
    whole = model_of(initializers=[external(location="w.bin", offset=16777)]).SerializeToString()
    assert "'w', [4] FLOAT says where in no UTF-8" in refusal(write(whole.replace(hit, b"\xff" * 5)))


def test_many_large_tensors_in_one_sparse_file_are_refused(write):
    path = write(model_of(initializers=[external([2**33], location="holes.bin") for _ in range(9)]))
    with (path.parent / "holes.bin").open("wb") as file:
        file.truncate(2**35)
    assert refusal(path) == (
        f"the ONNX model is too large\n  {path}: its external data claim 309237645312 bytes, expected at most "
        "274877906944\n  Export a smaller model."
    )


def everywhere(tensor):
    """Return models that hold a tensor in every place where ONNX lets one stand, by place."""
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)])
    branch = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)], [tensor])
    function = helper.make_function("local", "f", [], ["c"], [constant], opset_imports=[helper.make_opsetid("", 18)])
    in_default = helper.make_function(
        "local", "f", [], [], [], [helper.make_opsetid("", 18)], [], [helper.make_attribute("a", tensor)]
    )
    tensors = AttributeProto(name="many", type=AttributeProto.TENSORS, tensors=[tensor])
    several = helper.make_node("Identity", ["w"], ["i"])
    several.attribute.append(tensors)
    sparse = helper.make_sparse_tensor(tensor, inline("i", np.arange(4)), [4])
    trained = model_of(initializers=[inline()])
    trained.training_info.add().algorithm.CopyFrom(inner)
    return {
        "initializer": model_of(initializers=[tensor]),
        "sparse initializer": model_of(initializers=[inline()], sparse=[sparse]),
        "constant": model_of(constant, initializers=[inline()]),
        "sparse constant": model_of(helper.make_node("Constant", [], ["c"], sparse_value=sparse)),
        "list of tensors": model_of(several),
        "constant of a branch": model_of(helper.make_node("If", ["b"], ["c"], then_branch=inner, else_branch=inner)),
        "initializer of a branch": model_of(helper.make_node("If", ["b"], ["c"], then_branch=branch)),
        "function": model_of(functions=[function]),
        "default of a function": model_of(functions=[in_default]),
        "training": trained,
    }


PLACES = list(everywhere(inline()))


@pytest.mark.parametrize("place", PLACES)
def test_no_place_for_a_tensor_is_overlooked(write, place):
    checked_onnx(write(everywhere(inline())[place]))
    assert "is in '../secret.bin'" in refusal(write(everywhere(external(location="../secret.bin"))[place]))


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (TensorProto(name="w", dims=TIB_4, data_type=1, raw_data=bytes(8)), "needs 4398046511104 bytes, got 8"),
        (TensorProto(name="w", dims=TIB_4, data_type=1, float_data=[1.0]), "needs 1099511627776 values, got 1"),
        (TensorProto(name="w", dims=TIB_4, data_type=1), "needs 1099511627776 values, got 0"),
        (TensorProto(name="w", dims=[4], data_type=1, raw_data=bytes(17)), "needs 16 bytes, got 17"),
        (TensorProto(name="w", dims=[4], data_type=1, int32_data=[1] * 4), "needs 4 values, got 0"),
        (TensorProto(name="w", dims=[1], data_type=1, raw_data=bytes(4), float_data=[1.0]), "needs 4 bytes, got 4"),
        (TensorProto(name="w", dims=[-4], data_type=1, raw_data=bytes(16)), "has a negative size"),
        (TensorProto(name="w", dims=[2**32, 2**32], data_type=1), "has more values than 64 bits can count"),
        (TensorProto(name="w", dims=[0, 2**32, 2**32], data_type=1), "has more values than 64 bits can count"),
        (TensorProto(name="w", dims=[4], data_type=99, raw_data=bytes(16)), "has dtype 99, expected one of ONNX's"),
    ],
)
def test_tensor_that_does_not_hold_what_it_says_is_refused(write, tensor, told):
    assert told in refusal(write(model_of(initializers=[tensor])))


def test_the_whole_message_of_a_tensor_that_claims_4_tib(write):
    path = write(model_of(initializers=[TensorProto(name="w", dims=TIB_4, data_type=1, raw_data=bytes(8))]))
    assert refusal(path) == (
        f"a tensor of the ONNX file does not hold what its shape says\n  {path}: the tensor 'w', [1024, 1024, 1024, "
        "1024] FLOAT needs 4398046511104 bytes, got 8\n  Export the model again."
    )


def fill(shape):
    return helper.make_node("ConstantOfShape", [shape], ["filled"], name="fill")


def test_constant_of_a_4_tib_shape_is_refused(write):
    shape = inline("shape", np.array(TIB_4))
    by_value = helper.make_node("Constant", [], ["shape"], value=shape)
    by_ints = helper.make_node("Constant", [], ["shape"], value_ints=TIB_4)
    empty = [helper.make_tensor_value_info("filled", TensorProto.FLOAT, None)]
    branch = helper.make_node("If", ["b"], ["c"], then_branch=helper.make_graph([fill("shape")], "inner", [], empty))
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("local", "f", [], ["filled"], [by_value, fill("shape")], opsets)
    models = [
        model_of(fill("shape"), initializers=[shape]),
        model_of(by_value, fill("shape")),
        model_of(by_ints, fill("shape")),
        model_of(by_ints, branch),
        model_of(functions=[function]),
    ]
    for model in models:
        path = write(model)
        assert refusal(path) == (
            f"a tensor of the ONNX file is too large\n  {path}: ConstantOfShape 'fill' of shape [1024, 1024, 1024, "
            "1024] claims 4398046511104 bytes, expected at most 2147483647\n  Export the model again."
        )


def test_constant_of_a_sound_shape_passes(write):
    other = helper.make_node("Constant", [], ["ends"], value_ints=[2**63 - 1])
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("local", "f", ["shape"], ["filled"], [fill("shape")], opsets)
    shape = inline("shape", np.array([3, 0, 4]))
    checked_onnx(write(model_of(fill("shape"), other, initializers=[shape], functions=[function])))


def test_a_shape_is_not_the_constant_of_another_scope(write):
    """Functions have names of their own, and so have the branches of an If."""
    opsets = [helper.make_opsetid("", 18)]
    ends = helper.make_node("Constant", [], ["n"], value_ints=[2**63 - 1])
    first = helper.make_function("local", "f", [], ["n"], [ends], opsets)
    second = helper.make_function("local", "g", ["n"], ["filled"], [fill("n")], opsets)
    checked_onnx(write(model_of(functions=[first, second])))
    outputs = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, None)] for name in ("n", "filled")]
    first, other = (
        helper.make_graph([node], "inner", [], output) for node, output in zip((ends, fill("n")), outputs, strict=True)
    )
    checked_onnx(write(model_of(helper.make_node("If", ["b"], ["c"], then_branch=other, else_branch=first))))


def test_sparse_tensor_of_a_4_tib_shape_is_refused(write):
    sparse = helper.make_sparse_tensor(inline("w", WEIGHTS[:1]), inline("i", np.zeros(1, np.int64)), [2**40])
    assert "'w', [1] FLOAT of shape [1099511627776] claims 4398046511104 bytes" in refusal(
        write(model_of(sparse=[sparse]))
    )


def test_truncated_file_is_refused(write):
    whole = model_of(initializers=[inline()]).SerializeToString()
    opset = model_of().opset_import[0].ByteSize() + 2
    for size in (1, 10, len(whole) // 2, len(whole) - 1, len(whole) - opset):
        path = write(whole[:size])
        assert refusal(path) == (
            f"not an ONNX file, or truncated\n  {path}: {size} bytes that hold no whole graph\n"
            "  Copy or export it again."
        )


@pytest.mark.parametrize("data", [b"\x80\x04pickle", b"PK\x03\x04zip", b"plain text", b"\x18\0\0\0ORTM" + bytes(99)])
def test_file_of_another_format_is_refused(write, data):
    assert refusal(write(data)).startswith("not an ONNX file, or truncated\n")


def test_graph_that_looks_like_onnx_runtimes_own_format_is_read_as_onnx(write):
    """Its own format has ORTM at byte 4, where a graph has its producer's name; nothing has checked a file as that."""
    path = write(model_of(initializers=[inline()], producer_name="ORTM"))
    assert path.read_bytes()[4:8] == b"ORTM"
    assert "y" in open_onnx(path).run({"x": torch.ones(1, 4)})


def test_missing_empty_and_large_files(write, tmp_path, monkeypatch):
    assert refusal(tmp_path / "no.onnx") == f"no such file\n  {tmp_path / 'no.onnx'}\n  Give an ONNX file (.onnx)."
    assert refusal(tmp_path) == f"this is no regular file\n  {tmp_path}\n  Give an ONNX file (.onnx)."
    path = write(b"")
    assert refusal(path) == f"the file is empty\n  {path}: 0 bytes\n  Copy or export it again."
    write(bytes(101))
    monkeypatch.setattr(onnx_files, "LARGEST_GRAPH", 100)
    assert refusal(path) == (
        f"the file is too large\n  {path}: 101 bytes, expected at most 100\n  Keep the weights in external data beside "
        "it."
    )


def test_operator_of_another_library_is_refused_by_onnx_runtime(write):
    model = model_of(helper.make_node("Run", ["x"], ["z"], domain="com.evil"), initializers=[inline()])
    model.opset_import.add(domain="com.evil", version=1)
    assert refusal(write(model)).startswith("ONNX Runtime cannot load this model\n")


def test_session_runs_the_graph_that_was_checked(write, monkeypatch):
    """Another file under the same path, once the first is checked, is not read."""
    path = write(model_of(initializers=[inline()]))

    def checked_then_exchanged(path):
        model = checked_onnx(path)
        path.write_bytes(model_of(initializers=[inline(values=WEIGHTS + 100)]).SerializeToString())
        return model

    monkeypatch.setattr(onnx_files, "checked_onnx", checked_then_exchanged)
    assert open_onnx(path).run({"x": torch.zeros(1, 4)})["y"].tolist() == [[0, 1, 2, 3]]


def test_damage_anywhere_ends_in_a_message_or_not_at_all(write, rng):
    places = everywhere(inline())
    whole = np.frombuffer(b"".join(places[place].SerializeToString() for place in PLACES[:7]), np.uint8)
    for _ in range(300):
        hit = whole.copy()
        hit[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        try:
            checked_onnx(write(hit.tobytes()))
        except EvaltoolError as error:
            assert len(str(error).splitlines()) >= 3  # noqa: PT017 - it may also pass
