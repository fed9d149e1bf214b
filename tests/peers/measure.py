"""What the README's table says of a library: each function runs its losses and returns the text of one cell."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath as mp
import torch
from torch import Tensor, nn

from evaltool.numerics.scripting import scripted
from tests import oracle
from tests.peers.cases import Case, cases, example

NONE = "-"  # the library has no such loss


def named(library: str, cell: Callable[[Case], str], names: tuple[str, ...], gamma: float = 2.0) -> str:
    """Return what cell says of each of the losses named, as "focal finite, Dice NaN"; those that agree together."""
    there = cases(library, gamma)
    said: dict[str, list[str]] = {}
    for name in names:
        if name in there:
            said.setdefault(cell(there[name]), []).append(name)
    return "; ".join(f"{', '.join(which)}: {what}" for what, which in said.items()) or NONE


def per_sample_value(library: str) -> str:
    """Return what focal and Dice losses without reduction give one value for."""
    return named(library, _unit_of_value, ("focal", "sigmoid focal", "sigmoid focal per class", "Dice"))


def _unit_of_value(case: Case) -> str:
    preds, labels = example(case, samples=4, classes=3)
    values = case.module(preds, labels)
    units = {1: "batch", 4: "sample", 4 * 3: "sample and class", preds.numel(): "element"}
    return units[values.numel()]


def masked_classes(library: str) -> str:
    """Return whether value and gradient are finite where a class that no label names has the logit -inf."""
    return named(library, _masked, ("focal", "ce", "Dice"))


def _masked(case: Case) -> str:
    preds, _ = example(case, classes=3)
    preds[:, 2] = -torch.inf
    labels = case.labels(preds, (preds[:, 1] > 0).long())
    return _finiteness(case.module, preds, labels)


def small_gamma_gradient(library: str) -> str:
    """Return whether the gradient is finite for gamma 0.5 where the label's probability rounds to 1."""
    return named(library, _saturated, ("focal", "sigmoid focal"), gamma=0.5)


def _saturated(case: Case) -> str:
    preds = torch.full((1, 3, 2), -50.0)
    preds[:, 1] = 50.0
    return _finiteness(case.module, preds, case.labels(preds, torch.ones(1, 2, dtype=torch.int64)))


def _finiteness(module: nn.Module, preds: Tensor, labels: Tensor) -> str:
    preds = preds.clone().requires_grad_()
    value = module(preds, labels)
    value.sum().backward()
    if not bool(value.isfinite().all()):
        return "NaN"
    assert preds.grad is not None
    return "finite" if bool(preds.grad.isfinite().all()) else "NaN gradient"


def confident_error(library: str) -> str:
    """Return the worst relative error at gamma 2 over 191 margins of the label from 1 to 20, against 60 digits."""
    margins = torch.linspace(1, 20, 191)
    there = cases(library)
    said = []
    if "focal" in there:
        preds = torch.stack([margins, torch.zeros(191), -torch.ones(191)], 1).unsqueeze(2)
        truth = [oracle.focal(oracle.softmax(row), 0, 2.0) for row in preds.squeeze(2).numpy()]
        said.append(f"focal {_worst_error(there['focal'], preds, torch.zeros(191, 1, dtype=torch.int64), truth):.1g}")
    if "sigmoid focal" in there:
        preds = margins.reshape(191, 1, 1).repeat(1, 2, 1) * torch.tensor([[[1.0], [-1.0]]])
        truth = [2 * oracle.focal(oracle.pair(margin), 1, 2.0) for margin in margins.numpy()]
        labels = torch.zeros(191, 1, dtype=torch.int64)
        said.append(f"sigmoid focal {_worst_error(there['sigmoid focal'], preds, labels, truth):.1g}")
    return ", ".join(said) or NONE


def _worst_error(case: Case, preds: Tensor, labels: Tensor, truth: list[mp.mpf]) -> float:
    values = case.module(preds, case.labels(preds, labels))
    elements = values.numel() // len(preds)
    if elements == 1 and preds.size(1) == 2:
        values = 2 * values  # a mean over both elements, where the truth is their sum
    return oracle.worst_error(values.reshape(len(preds), -1).sum(1), truth)


def half_precision(library: str) -> str:
    """Return Dice of a nearly perfect float16 mask of 512 x 512, and (in brackets) its float64 value."""
    there = cases(library)
    case = there.get("sigmoid Dice") or there.get("Dice")
    if case is None:
        return NONE
    generator = torch.Generator().manual_seed(20240229)
    labels = (torch.rand(1, 512, 512, generator=generator) < 0.3).long()
    preds = (16.0 * labels - 8.0).unsqueeze(1).half()
    if case.name == "Dice":  # a softmax over background and foreground
        preds = torch.cat([torch.zeros_like(preds), preds], 1)
        channels = labels
    else:
        channels = labels.unsqueeze(1)
    form = case.labels if case.name == "Dice" else _as_preds
    got, true = (case.module(x, form(x, channels)).double().item() for x in (preds, preds.double()))
    return f"{got:.3g} ({true:.3g})".replace("nan", "NaN")


def _as_preds(preds: Tensor, labels: Tensor) -> Tensor:
    return labels.to(preds.dtype)


def script(library: str) -> str:
    """Return how many of the losses torch.jit.script takes and computes as eager does, of how many."""
    return _count(library, _scripts)


def _scripts(case: Case) -> bool:
    preds, labels = example(case)
    return _agree(scripted(case.module)(preds, labels), case.module(preds, labels))


def onnx(library: str) -> str:
    """Return how many export with dynamic batch and classes and agree in ONNX Runtime at other sizes, of how many."""
    return _count(library, _exports)


def _exports(case: Case) -> bool:
    import onnxruntime

    preds, labels = example(case, samples=2, classes=3)
    batch = torch.export.Dim("batch")
    classes = torch.export.Dim("classes")
    of_preds = {0: batch} if case.one_class else {0: batch, 1: classes}
    of_labels = of_preds if labels.shape == preds.shape else {0: batch}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loss.onnx"
        program = torch.onnx.export(
            case.module, (preds, labels), dynamo=True, dynamic_shapes=(of_preds, of_labels), verbose=False
        )
        assert program is not None
        program.save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    preds, labels = example(case, samples=5, classes=4)
    names = [entry.name for entry in session.get_inputs()]
    (got,) = session.run(None, dict(zip(names, (preds.numpy(), labels.numpy()), strict=True)))
    return _agree(torch.from_numpy(got), case.module(preds, labels))


def _agree(got: Tensor, expected: Tensor) -> bool:
    return got.shape == expected.shape and torch.allclose(got, expected, rtol=1e-4, atol=1e-6)


def failures(library: str, works: Callable[[Case], bool]) -> dict[str, str]:
    """Return the losses that do not work, with what was raised or "differs"."""
    wrong = {}
    for name, case in cases(library).items():
        if name == "ce":  # not counted: some wrap PyTorch's own
            continue
        try:
            with quiet():
                said = "" if works(case) else "differs"
        except Exception as error:  # a peer may raise whatever it likes
            said = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        if said:
            wrong[name] = said
    return wrong


def _count(library: str, works: Callable[[Case], bool]) -> str:
    total = sum(name != "ce" for name in cases(library))
    return f"{total - len(failures(library, works))} of {total}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what compilers and exporters print and warn away from the table."""
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
