"""What the comparisons share: the peers as fixtures, and ordinary inputs."""

from types import ModuleType, SimpleNamespace

import pytest
import torch

from tests.peers import libraries


def peer(name: str):
    """Return a fixture that gives the library's losses and skips where it is not installed."""

    @pytest.fixture(scope="session", name=name.lower())
    def losses() -> ModuleType:
        if not libraries.installed(name):
            pytest.skip(f"{libraries.package(name)} is not installed; the extra peers has it: scripts/setup dev,peers")
        return libraries.losses_of(name)

    return losses


monai, smp, kornia, torchvision, timm = map(peer, ["MONAI", "smp", "kornia", "torchvision", "timm"])


@pytest.fixture
def image() -> SimpleNamespace:
    """Four images of 6 x 7 with three classes, each of which occurs in each image."""
    labels = torch.randint(3, (4, 6, 7))
    labels[:, 0, :3] = torch.arange(3)
    return SimpleNamespace(logits=(1.5 * torch.randn(4, 3, 6, 7)).clamp(-3, 3), labels=labels, hot=one_hot(labels, 3))


@pytest.fixture
def sparse(image) -> SimpleNamespace:
    """The images without class 2 in the first of them."""
    labels = image.labels.clone()
    labels[0] = labels[0].clamp(max=1)
    return SimpleNamespace(logits=image.logits, labels=labels, hot=one_hot(labels, 3))


@pytest.fixture
def mask() -> SimpleNamespace:
    """Four masks [4, 1, 6, 7] of one foreground class."""
    return SimpleNamespace(
        logits=(1.5 * torch.randn(4, 1, 6, 7)).clamp(-3, 3), labels=torch.randint(2, (4, 1, 6, 7)).float()
    )


@pytest.fixture
def rows() -> SimpleNamespace:
    """Six rows without positions: five classes, labels of one class and of many."""
    return SimpleNamespace(
        logits=(1.5 * torch.randn(6, 5)).clamp(-3, 3),
        labels=torch.randint(5, (6,)),
        many=torch.randint(2, (6, 5)).float(),
    )


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return integer labels [N, *S] as float [N, C, *S]."""
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).float()
