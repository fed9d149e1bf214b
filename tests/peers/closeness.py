"""How close two libraries are on ordinary inputs, and how far apart they are where they differ."""

import torch

RTOL = 1e-5  # the peers sum in another order, and the smallest 1 - p_t here, 5e-3, keeps five digits in theirs
ATOL = 1e-7  # eps of the peers where evaltool adds nothing


def same(got: torch.Tensor, expected: torch.Tensor) -> None:
    """Assert that both have one shape and the same values up to rounding."""
    torch.testing.assert_close(got, expected, rtol=RTOL, atol=ATOL)


def different(got: torch.Tensor, expected: torch.Tensor) -> None:
    """Assert that no value is within 0.2 % of the other library's: a difference of formula, none of rounding."""
    assert bool(((got - expected).abs() > 2e-3 * expected.abs()).all()), (got, expected)


def as_one_sample(values: torch.Tensor) -> torch.Tensor:
    """Return [N, C, *S] as [1, C, N * S], the whole batch as one sample: what smp's sums run over."""
    return values.movedim(1, 0).flatten(1).unsqueeze(0)
