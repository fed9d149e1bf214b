"""The focal, Dice, Tversky, Jaccard and Lovász losses of each library, each as one module with the labels it takes."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tests.peers import libraries


class Case(NamedTuple):
    """A loss of a library, without reduction where the library lets one ask for that."""

    name: str
    module: nn.Module
    labels: Callable[[Tensor, Tensor], Tensor]  # (logits [N, C, *S], indices [N, *S]) -> the labels it takes
    one_class: bool = False  # the logits are [N, 1, *S] and the indices 0 or 1


def indices(logits: Tensor, labels: Tensor) -> Tensor:
    """Return int64 [N, *S]."""
    return labels


def channel(logits: Tensor, labels: Tensor) -> Tensor:
    """Return int64 [N, 1, *S]."""
    return labels.unsqueeze(1)


def hot(logits: Tensor, labels: Tensor) -> Tensor:
    """Return float [N, C, *S], one-hot: what the sigmoid losses take."""
    return nn.functional.one_hot(labels, logits.size(1)).movedim(-1, 1).to(logits.dtype)


def cases(library: str, gamma: float = 2.0) -> dict[str, Case]:
    """Return the library's losses by name; a name means one formula in all of them."""
    return {case.name: case for case in BUILDERS[library](gamma)}


def evaltool_cases(gamma: float) -> list[Case]:
    """Return evaltool's."""
    from evaltool import losses

    return [
        Case("focal", losses.FocalLoss(gamma=gamma), indices),
        Case("sigmoid focal", losses.BinaryFocalLoss(gamma=gamma), hot),
        Case("ce", losses.CrossEntropyLoss(), indices),
        Case("Dice", losses.DiceLoss(), indices),
        Case("sigmoid Dice", losses.DiceLoss(activation="sigmoid"), hot),
        Case("generalized Dice", losses.GeneralizedDiceLoss(), indices),
        Case("Dice + ce", losses.DiceCELoss(), indices),
        Case("Dice + focal", losses.DiceFocalLoss(gamma=gamma), indices),
        Case("Tversky", losses.TverskyLoss(), indices),
        Case("Jaccard", losses.JaccardLoss(), indices),
        Case("Lovasz", losses.LovaszLoss(form="softmax"), indices),
        Case("Lovasz hinge", losses.LovaszLoss(form="hinge"), indices, one_class=True),
    ]


def monai_cases(gamma: float) -> list[Case]:
    """Return MONAI's."""
    losses = libraries.losses_of("MONAI")
    softmax = {"softmax": True, "to_onehot_y": True}
    return [
        Case("focal", losses.FocalLoss(use_softmax=True, to_onehot_y=True, gamma=gamma, reduction="none"), channel),
        Case("sigmoid focal", losses.FocalLoss(gamma=gamma, reduction="none"), hot),
        Case("Dice", losses.DiceLoss(**softmax, reduction="none"), channel),
        Case("sigmoid Dice", losses.DiceLoss(sigmoid=True, reduction="none"), hot),
        Case("generalized Dice", losses.GeneralizedDiceLoss(**softmax, reduction="none"), channel),
        Case("Dice + ce", losses.DiceCELoss(**softmax), channel),
        Case("Dice + focal", losses.DiceFocalLoss(**softmax, gamma=gamma), channel),
        Case("Tversky", losses.TverskyLoss(**softmax, reduction="none"), channel),
        Case("Jaccard", losses.DiceLoss(**softmax, jaccard=True, reduction="none"), channel),
    ]


def smp_cases(gamma: float) -> list[Case]:
    """Return segmentation-models-pytorch's; its multiclass focal loss is a sigmoid's: no "focal"."""
    losses = libraries.losses_of("smp")
    return [
        Case("sigmoid focal", losses.FocalLoss("binary", gamma=gamma, reduction="none"), hot),
        Case("sigmoid focal per class", losses.FocalLoss("multiclass", gamma=gamma, reduction="none"), indices),
        Case("ce", losses.SoftCrossEntropyLoss(smooth_factor=0.0, reduction="none"), channel),
        Case("Dice", losses.DiceLoss("multiclass"), indices),
        Case("sigmoid Dice", losses.DiceLoss("binary"), hot),
        Case("Tversky", losses.TverskyLoss("multiclass"), indices),
        Case("Jaccard", losses.JaccardLoss("multiclass"), indices),
        Case("Lovasz", losses.LovaszLoss("multiclass"), indices),
        Case("Lovasz hinge", losses.LovaszLoss("binary"), indices, one_class=True),
    ]


def kornia_cases(gamma: float) -> list[Case]:
    """Return kornia's."""
    losses = libraries.losses_of("kornia")
    return [
        Case("focal", losses.FocalLoss(alpha=None, gamma=gamma), indices),
        Case("sigmoid focal", losses.BinaryFocalLossWithLogits(alpha=None, gamma=gamma), hot),
        Case("Dice", losses.DiceLoss(average="macro"), indices),
        Case("Tversky", losses.TverskyLoss(alpha=0.3, beta=0.7), indices),
        Case("Lovasz", losses.LovaszSoftmaxLoss(), indices),
        Case("Lovasz hinge", losses.LovaszHingeLoss(), indices, one_class=True),
    ]


class Focal(nn.Module):
    """torchvision's function as a module, which torch.onnx.export asks for."""

    def __init__(self, function: Callable[..., Tensor], gamma: float) -> None:
        super().__init__()
        self.function = function
        self.gamma = gamma

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each element."""
        return self.function(preds, labels, -1.0, self.gamma, "none")


def torchvision_cases(gamma: float) -> list[Case]:
    """Return torchvision's one."""
    return [Case("sigmoid focal", Focal(libraries.losses_of("torchvision").sigmoid_focal_loss, gamma), hot)]


BUILDERS = {
    "evaltool": evaltool_cases,
    "MONAI": monai_cases,
    "smp": smp_cases,
    "kornia": kornia_cases,
    "torchvision": torchvision_cases,
}


def example(case: Case, samples: int = 2, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Return seeded ordinary logits [N, C, 8, 8] and the labels the loss takes, in which every class occurs."""
    generator = torch.Generator().manual_seed(20240229)
    logits = torch.randn(samples, 1 if case.one_class else classes, 8, 8, generator=generator)
    labels = torch.randint(2 if case.one_class else classes, (samples, 8, 8), generator=generator)
    labels[:, 0] = torch.arange(8) % (2 if case.one_class else classes)
    return logits, case.labels(logits, labels)
