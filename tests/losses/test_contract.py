"""The module contract, for every loss alike: what a value is, and what it must not depend on."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaltool.losses import (
    AsymmetricLoss,
    BalancedCrossEntropyLoss,
    BinaryCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    GeneralizedCrossEntropyLoss,
    GeneralizedDiceLoss,
    JaccardLoss,
    L1Loss,
    LDAMLoss,
    LogCoshDiceLoss,
    LogitAdjustedLoss,
    LovaszLoss,
    MSELoss,
    OhemCrossEntropyLoss,
    OneVsAllFocalLoss,
    PolyLoss,
    QualityFocalLoss,
    SeesawLoss,
    SmoothL1Loss,
    TverskyLoss,
    VarifocalLoss,
)
from evaltool.numerics.scripting import loaded, scripted

SOFTMAX, SIGMOID, REAL = "softmax", "sigmoid", "real"


@dataclass(frozen=True)
class Case:
    """A loss under a name, and what it is a loss of."""

    kind: str
    loss: type[nn.Module]
    arguments: dict[str, Any] = field(default_factory=dict)

    def build(self, **more: Any) -> nn.Module:
        return self.loss(**{**self.arguments, **more})


COUNTS = [100.0, 30.0, 0.0, 2.0]
CASES = {
    "ce": Case(SOFTMAX, CrossEntropyLoss),
    "ce-weighted": Case(SOFTMAX, CrossEntropyLoss, {"weight": [1.0, 2.0, 0.5, 3.0]}),
    "ce-smoothed": Case(SOFTMAX, CrossEntropyLoss, {"label_smoothing": 0.1, "weight": [1.0, 2.0, 0.5, 3.0]}),
    "focal": Case(SOFTMAX, FocalLoss),
    "focal-per-class": Case(SOFTMAX, FocalLoss, {"gamma": [0.0, 0.5, 2.0, 5.0], "alpha": [1.0, 2.0, 0.5, 3.0]}),
    "ova-focal": Case(SOFTMAX, OneVsAllFocalLoss, {"alpha": 0.25}),
    "ova-focal-per-class": Case(SOFTMAX, OneVsAllFocalLoss, {"gamma": [0, 0.5, 2, 5], "weight": [1, 2, 0.5, 3]}),
    "poly": Case(SOFTMAX, PolyLoss),
    "poly-focal": Case(SOFTMAX, PolyLoss, {"eps": -1.0, "gamma": 2.0, "alpha": [1.0, 2.0, 0.5, 3.0]}),
    "gce": Case(SOFTMAX, GeneralizedCrossEntropyLoss, {"weight": [1.0, 2.0, 0.5, 3.0]}),
    "logit-adjusted": Case(SOFTMAX, LogitAdjustedLoss, {"prior": [0.6, 0.3, 0.05, 0.05], "weight": [1, 2, 0.5, 3]}),
    "ldam": Case(SOFTMAX, LDAMLoss, {"counts": COUNTS, "scale": 1.5}),
    "seesaw": Case(SOFTMAX, SeesawLoss, {"counts": COUNTS}),
    "dice": Case(SOFTMAX, DiceLoss),
    "dice-all": Case(SOFTMAX, DiceLoss, {"classes": "all", "squared": True}),
    "generalized-dice": Case(SOFTMAX, GeneralizedDiceLoss),
    "log-cosh-dice": Case(SOFTMAX, LogCoshDiceLoss),
    "dice-ce": Case(SOFTMAX, DiceCELoss, {"lambda_ce": 0.5}),
    "dice-focal": Case(SOFTMAX, DiceFocalLoss, {"alpha": [1.0, 2.0, 0.5, 3.0], "activation": "softmax"}),
    "tversky": Case(SOFTMAX, TverskyLoss),
    "focal-tversky": Case(SOFTMAX, FocalTverskyLoss),
    "jaccard": Case(SOFTMAX, JaccardLoss),
    "lovasz": Case(SOFTMAX, LovaszLoss),
    "bce": Case(SIGMOID, BinaryCrossEntropyLoss, {"pos_weight": 3.0}),
    "binary-focal": Case(SIGMOID, BinaryFocalLoss, {"alpha": 0.25}),
    "balanced-ce": Case(SIGMOID, BalancedCrossEntropyLoss),
    "balanced-ce-fixed": Case(SIGMOID, BalancedCrossEntropyLoss, {"beta": 0.8}),
    "ohem-ce": Case(SIGMOID, OhemCrossEntropyLoss, {"negative_ratio": 0.7}),
    "asymmetric": Case(SIGMOID, AsymmetricLoss),
    "quality-focal": Case(SIGMOID, QualityFocalLoss),
    "varifocal": Case(SIGMOID, VarifocalLoss),
    "dice-sigmoid": Case(SIGMOID, DiceLoss, {"activation": "sigmoid"}),
    "generalized-dice-sigmoid": Case(SIGMOID, GeneralizedDiceLoss, {"activation": "sigmoid"}),
    "dice-ce-sigmoid": Case(SIGMOID, DiceCELoss, {"activation": "sigmoid"}),
    "dice-focal-sigmoid": Case(SIGMOID, DiceFocalLoss, {"activation": "sigmoid", "alpha": 0.25}),
    "focal-tversky-sigmoid": Case(SIGMOID, FocalTverskyLoss, {"activation": "sigmoid"}),
    "lovasz-hinge": Case(SIGMOID, LovaszLoss, {"form": "hinge"}),
    "l1": Case(REAL, L1Loss),
    "smooth-l1": Case(REAL, SmoothL1Loss),
    "mse": Case(REAL, MSELoss),
}
CLASSIFICATION = [name for name, case in CASES.items() if case.kind != REAL]
POSITIONWISE = [name for name, case in CASES.items() if hasattr(case.loss, "map")]
REGIONS = [name for name, case in CASES.items() if hasattr(case.loss, "by_class")]
SPACES = {"flat": (), "sequence": (7,), "image": (5, 6), "volume": (3, 4, 5)}


def sample(case: Case, n: int, space: tuple[int, ...], seed: int = 0, scale: float = 4.0) -> tuple[Tensor, Tensor]:
    """Return predictions and labels that fit a case."""
    generator = torch.Generator().manual_seed(seed)
    if case.kind == SOFTMAX:
        preds = torch.randn((n, 4, *space), generator=generator) * scale
        return preds, torch.randint(0, 4, (n, *space), generator=generator)
    preds = torch.randn((n, *space), generator=generator) * scale
    if case.kind == SIGMOID:
        return preds, torch.randint(0, 2, (n, *space), generator=generator)
    return preds, torch.randn((n, *space), generator=generator)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", CASES)
def test_value_is_one_float32_per_sample(name, space):
    preds, labels = sample(CASES[name], 6, space)
    value = CASES[name].build()(preds, labels)
    assert value.shape == (6,)
    assert value.dtype == torch.float32
    assert bool((value >= 0).all())


@pytest.mark.parametrize("space", [*SPACES.values(), (65, 67), (190, 191)], ids=[*SPACES, "large", "larger"])
@pytest.mark.parametrize("name", CASES)
def test_value_does_not_depend_on_batch_mates_bit_for_bit(name, space):
    """A single image of more than 32,768 pixels is where PyTorch splits a sum over its threads."""
    preds, labels = sample(CASES[name], 37 if len(space) < 2 else 5, space)
    loss = CASES[name].build()
    together = loss(preds, labels)
    alone = torch.cat([loss(preds[i : i + 1], labels[i : i + 1]) for i in range(len(preds))])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("name", CASES)
def test_value_does_not_depend_on_memory_layout_bit_for_bit(name):
    preds, labels = sample(CASES[name], 9, (5, 6))
    strided = torch.empty((*preds.shape[::-1],)).permute(*range(preds.dim() - 1, -1, -1)).copy_(preds)
    assert not strided.is_contiguous()
    loss = CASES[name].build()
    assert torch.equal(loss(strided, labels), loss(preds, labels))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", CASES)
def test_scripted_saved_and_loaded_equal_eager_bit_for_bit(name, space, tmp_path):
    preds, labels = sample(CASES[name], 6, space)
    loss = CASES[name].build()
    script = scripted(loss)
    script.save(str(tmp_path / "loss.pt"))
    with (tmp_path / "loss.pt").open("rb") as file:
        again = loaded(file)
    assert torch.equal(script(preds, labels), loss(preds, labels))
    assert torch.equal(again(preds, labels), loss(preds, labels))
    if name in POSITIONWISE:
        assert torch.equal(again.map(preds, labels), loss.map(preds, labels))


@pytest.mark.parametrize("space", [(), (6,), (5, 6)], ids=["flat", "sequence", "image"])
@pytest.mark.parametrize("name", CASES)
def test_torch_export_takes_dynamic_sizes(name, space):
    """Named sizes, which may not be fixed without a word; calls with odd and even numbers of positions."""
    case = CASES[name]
    loss = case.build()
    per_class = case.kind == SOFTMAX and any(buffer.numel() > 1 for buffer in loss.buffers())
    batch, classes = torch.export.Dim("batch"), torch.export.Dim("classes")
    sizes = [torch.export.Dim(f"size{axis}") for axis in range(len(space))]
    of_labels = {0: batch, **{axis + 1: size for axis, size in enumerate(sizes)}}
    of_preds = of_labels
    if case.kind == SOFTMAX:
        of_preds = {0: batch, **{axis + 2: size for axis, size in enumerate(sizes)}}
        of_preds |= {} if per_class else {1: classes}
    program = torch.export.export(loss, sample(case, 6, space), dynamic_shapes=(of_preds, of_labels)).module()
    for n, grow, more in ((9, 2, 3), (2, 3, 0), (5, -1, 1)):
        preds, labels = sample(case, n, tuple(size + grow for size in space), seed=n)
        if case.kind == SOFTMAX and not per_class:
            preds = torch.cat([preds] + [preds[:, :1] - 1] * more, 1)
        torch.testing.assert_close(program(preds, labels), loss(preds, labels), rtol=1e-6, atol=0)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("ignore_index", [-100, 255, 1])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_ignoring_a_sample_gives_zero_and_leaves_the_others(name, ignore_index, space):
    case = CASES[name]
    preds, labels = sample(case, 5, space)
    if ignore_index == 1:
        labels = labels * 0  # 1 means ignored here
    loss = case.build(ignore_index=ignore_index)
    before = loss(preds, labels)
    labels[2] = ignore_index
    after = loss(preds, labels)
    assert after[2] == 0
    others = [0, 1, 3, 4]
    assert torch.equal(after[others], before[others])


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_ignoring_positions_equals_removing_them(name):
    case = CASES[name]
    preds, labels = sample(case, 4, (10,))
    marked = labels.clone()
    marked[:, 3:7] = -100
    kept = [0, 1, 2, 7, 8, 9]
    loss = case.build()
    torch.testing.assert_close(
        loss(preds, marked), loss(preds[..., kept], labels[..., kept]), rtol=1e-6, atol=1e-7
    )  # sums in another order


@pytest.mark.parametrize("bad", [-1, 4, 7, -(2**40), 2**40])
@pytest.mark.parametrize("space", [(), (5, 6)], ids=["flat", "image"])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_invalid_label_gives_nan_for_its_sample_only(name, space, bad):
    preds, labels = sample(CASES[name], 5, space)
    loss = CASES[name].build()
    before = loss(preds, labels)
    labels.reshape(5, -1)[3, -1] = bad
    after = loss(preds, labels)
    assert bool(after[3].isnan())
    assert torch.equal(after[[0, 1, 2, 4]], before[[0, 1, 2, 4]])


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", CASES)
def test_empty_batch_gives_no_value_and_zero_mean(name, space):
    preds, labels = sample(CASES[name], 3, space)
    assert CASES[name].build()(preds[:0], labels[:0]).shape == (0,)
    assert float(CASES[name].build(reduction="mean")(preds[:0], labels[:0])) == 0


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", POSITIONWISE)
def test_map_gives_the_value_per_position(name, space):
    preds, labels = sample(CASES[name], 4, space)
    loss = CASES[name].build()
    values = loss.map(preds, labels)
    assert values.shape == labels.shape
    torch.testing.assert_close(loss(preds, labels), values.reshape(4, -1).mean(1), rtol=1e-6, atol=0)
    if CASES[name].kind != REAL:
        labels[0] = -100
        assert bool((loss.map(preds, labels)[0] == 0).all())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64, torch.float32, torch.bool])
@pytest.mark.parametrize("name", ["ce", "focal", "dice", "bce", "binary-focal", "dice-sigmoid"])
def test_labels_of_any_dtype_mean_the_same(name, dtype):
    preds, labels = sample(CASES[name], 6, (5,))
    labels = labels % 2
    loss = CASES[name].build()
    assert torch.equal(loss(preds, labels.to(dtype)), loss(preds, labels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_half_types_are_computed_in_float32(name, dtype):
    preds, labels = sample(CASES[name], 6, (5, 6))
    preds = preds.to(dtype)
    loss = CASES[name].build()
    assert torch.equal(loss(preds, labels), loss(preds.float(), labels))


@pytest.mark.parametrize("name", ["ce", "focal", "dice"])
def test_fractions_among_class_labels_give_nan(name):
    preds, labels = sample(CASES[name], 4, ())
    loss = CASES[name].build()
    floats = labels.float()
    floats[1], floats[2] = 1.5, torch.nan
    value = loss(preds, floats)
    assert value.isnan().tolist() == [False, True, True, False]


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), DiceLoss(activation="softmax")], ids=["ce", "dice"])
def test_soft_labels_that_are_no_shares_give_nan(loss):
    labels = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.9, 0.9], [-0.5, 1.0, 0.5], [torch.nan, 0.5, 0.5]])
    assert loss(torch.randn(4, 3), labels).isnan().tolist() == [False, True, True, True]


def test_narrow_labels_do_not_collide_with_ignore_index():
    """156 in uint8 and -1 in int8 are -100 and 255 modulo 256."""
    preds = torch.randn(2, 200, 4)
    labels = torch.full((2, 4), 156)
    for loss in (CrossEntropyLoss(), FocalLoss(), DiceLoss()):
        assert torch.equal(loss(preds, labels.to(torch.uint8)), loss(preds, labels))
    for loss in (
        BinaryFocalLoss(ignore_index=255),
        BinaryCrossEntropyLoss(ignore_index=255),
        DiceLoss(ignore_index=255),
    ):
        assert bool(loss(preds, torch.full_like(preds, -1).to(torch.int8)).isnan().all())


def test_one_foreground_class_with_and_without_its_axis():
    preds, labels = sample(CASES["bce"], 4, (5, 6))
    for name in ("bce", "binary-focal", "dice"):
        loss = CASES[name].build()
        assert torch.equal(loss(preds.unsqueeze(1), labels), loss(preds, labels)), name
        assert torch.equal(loss(preds[:, :, 0].unsqueeze(1), labels[:, :, 0]), loss(preds[:, :, 0], labels[:, :, 0]))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.uint64])
@pytest.mark.parametrize("name", ["ce", "dice", "lovasz", "seesaw"])
def test_more_classes_than_the_labels_dtype_counts(name, dtype):
    """256 classes are none in uint8, and -128 in int8."""
    loss = CASES[name].loss()
    for classes in (128, 256, 300):
        preds, labels = torch.randn(3, classes), torch.tensor([0, 1, 127])
        assert torch.equal(loss(preds, labels.to(dtype)), loss(preds, labels))


OTHER_SHAPES = {
    "labels with an axis of one class": (CrossEntropyLoss(), (2, 3), (2, 1)),
    "masks with an axis of one class": (DiceLoss(activation="softmax"), (2, 3, 4, 4), (2, 1, 4, 4)),
    "shares of one sample": (CrossEntropyLoss(), (2, 3), (1, 3)),
    "transposed": (BinaryCrossEntropyLoss(), (2, 3), (3, 2)),
    "regression, transposed": (MSELoss(), (2, 3), (3, 2)),
    "flattened": (OhemCrossEntropyLoss(), (6,), (3, 2)),
    "regions of another size": (DiceLoss(activation="sigmoid"), (2, 4, 6), (2, 6, 4)),
}


SOFTMAX_SHAPES = {
    "one sample's": ((4, 3), (1,)),
    "one position's": ((4, 3, 5), (4, 1)),
    "of one sample": ((4, 3, 5), (1, 5)),
}


@pytest.mark.parametrize("shape", SOFTMAX_SHAPES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind == SOFTMAX])
def test_labels_of_another_shape_are_no_broadcast(name, shape):
    preds, labels = (torch.ones(size) for size in SOFTMAX_SHAPES[shape])
    loss = CASES[name].loss()
    preds = torch.cat([preds, preds[:, :1]], 1)
    for module in (loss, scripted(loss)):
        with pytest.raises(Exception, match=r"expected \[N, \*S\] of preds \[4, 4"):
            module(preds, labels.to(torch.int64))


@pytest.mark.parametrize("name", CASES)
def test_value_does_not_depend_on_the_labels_memory_layout_bit_for_bit(name):
    preds, labels = sample(CASES[name], 9, (50,))
    strided = labels.t().contiguous().t()
    assert not strided.is_contiguous()
    loss = CASES[name].build()
    assert torch.equal(loss(preds, strided), loss(preds, labels))
    assert torch.equal(loss(preds[:1], strided[:1]), loss(preds, labels)[:1])


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_shapes_that_do_not_fit_are_refused(name):
    loss, preds, labels = OTHER_SHAPES[name]
    for module in (loss, scripted(loss)):
        with pytest.raises(Exception, match="expected the same but for an axis of one class"):
            module(torch.randn(preds), torch.ones(labels))


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropyLoss(weight=[1.0, 2.0]),
        BinaryCrossEntropyLoss(pos_weight=[1.0, 2.0]),
        BinaryFocalLoss(gamma=[1.0, 2.0]),
        AsymmetricLoss(gamma_neg=[1.0, 2.0]),
        QualityFocalLoss(beta=[1.0, 2.0]),
        VarifocalLoss(gamma=[1.0, 2.0]),
        OneVsAllFocalLoss(gamma=[1.0, 2.0]),
        CrossEntropyLoss(weight=[1.0, 2.0]),
        LogitAdjustedLoss(prior=[1.0, 2.0]),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_number_per_class_stands_beside_classes_alone(loss):
    """Broadcast along another axis, it would weigh samples or columns."""
    softmax = isinstance(loss, (OneVsAllFocalLoss, CrossEntropyLoss, LogitAdjustedLoss))
    shapes = [((2, 3), (2,))] if softmax else [((2,), (2,)), ((1,), (1,)), ((2, 3, 2), (2, 3, 2)), ((2, 3), (2, 3))]
    for preds, labels in shapes:
        with pytest.raises(ValueError, match=r"^2 numbers per class, expected 1"):
            loss(torch.randn(preds), torch.ones(labels, dtype=torch.int64))


def test_column_of_binary_predictions():
    preds, labels = sample(CASES["bce"], 6, ())
    for name in ("bce", "binary-focal", "dice", "tversky", "dice-ce", "lovasz", "generalized-dice"):
        loss = CASES[name].loss()
        assert torch.equal(loss(preds.unsqueeze(1), labels), loss(preds, labels)), name
        assert torch.equal(loss(preds.unsqueeze(1), labels.unsqueeze(1)), loss(preds, labels)), name
        assert torch.equal(loss(preds, labels.unsqueeze(1)), loss(preds, labels)), name
