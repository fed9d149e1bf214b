"""Small modules with odd signatures."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """x [N, 4] -> [N, 5]."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class InDict(Linear):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.linear(x)
        return {"hidden": x, "the 'logits'": logits}


class InList(Linear):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.linear(x), x]


class Named(NamedTuple):
    logits: Tensor
    hidden: Tensor


class InNamedTuple(Linear):
    def forward(self, x: Tensor) -> Named:
        return Named(self.linear(x), x)


class Nested(Linear):
    """Gives more than tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], int]:
        return self.linear(x), [x, x + 1], x.size(0)


class Clashing(Linear):
    """Inputs whose names the text of forward has use for, and an input that may be left out."""

    def forward(
        self, labels: Tensor, found: Tensor, scale: float = 1.0, mask: Optional[Tensor] = None
    ) -> tuple[Tensor, Tensor]:
        logits = self.linear(labels) + found
        return (logits if mask is None else logits * mask) * scale, found


class Dropping(nn.Module):
    """Gives other values while it trains."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Dropout(0.5))

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)


class Mask(nn.Module):
    """One foreground class."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(2, 1, 1)

    def forward(self, volume: Tensor) -> Tensor:
        return self.conv(volume)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 6)

    def forward(self, tokens: Tensor, keep: Tensor) -> Tensor:
        return (self.embed(tokens) * keep.unsqueeze(2)).sum(1)


class Needy(Linear):
    def forward(self, x: Tensor, times: int) -> Tensor:
        return self.linear(x) * times


class Noisy(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + torch.randn_like(x[:, :1])


class InPlace(Linear):
    """Changes its input."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.add_(1.0))


class Chosen(Linear):
    """Gives the rows of some samples."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)[x[:, 0] > 0]


class Narrow(nn.Module):
    """Takes images of no size that anybody would guess."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 1)
        self.linear = nn.Linear(6 * 11 * 13, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(self.conv(image).flatten(1))
