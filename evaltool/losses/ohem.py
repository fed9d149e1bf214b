"""Binary cross-entropy of the positives and the hardest negatives of each sample.

Online hard example mining, Shrivastava et al. 2016, arXiv:1604.03540, in the form of DB, Liao et al. 2020,
arXiv:1911.08947, eq. 6.
"""

import torch
from torch import Tensor, nn

from evaltool.losses.arguments import checked_kind, checked_reduction
from evaltool.losses.reduction import reduced_samples
from evaltool.numerics.arguments import checked_index, checked_number
from evaltool.numerics.elementary import working_precision
from evaltool.numerics.log_odds import cross_entropy, sigmoid_odds
from evaltool.numerics.positions import by_sample, descending_order, ratio, same_shape, sample_sum, unit_positions


class OhemCrossEntropyLoss(nn.Module):
    """Binary cross-entropy of the positives and the hardest negatives, in nats, one value per sample.

    The sum over all positives and the negatives of largest loss, ``negative_ratio`` of them per positive, over their
    number. A sample without a positive keeps no negative and scores 0. Memory: 13 times the preds.

    Args:
        negative_ratio: negatives kept per positive of the sample, >= 0, rounded down.
        eps: added to the number of elements kept, >= 0 (DB's code adds 1e-6).
        ignore_index: label of the elements to leave out.
        preds_are: "logits", "probs" or "log-probs", of label 1.
        reduction: "none" ([N]), "mean" or "sum" over samples.

    Raises:
        ValueError: an argument is outside its range.

    >>> loss = OhemCrossEntropyLoss(negative_ratio=1)
    >>> loss(torch.tensor([[2.0, 0.0, -3.0, -4.0]]), torch.tensor([[1, 0, 0, 0]]))
    tensor([0.4100])
    """

    def __init__(
        self,
        *,
        negative_ratio: float = 3.0,
        eps: float = 0.0,
        ignore_index: int = -100,
        preds_are: str = "logits",
        reduction: str = "none",
    ) -> None:
        super().__init__()
        self.negative_ratio = checked_number("negative_ratio", negative_ratio)
        self.eps = checked_number("eps", eps)
        self.ignore_index = checked_index("ignore_index", ignore_index)
        self.preds_are = checked_kind(preds_are)
        self.reduction = checked_reduction(reduction)

    def forward(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return float32 [N] (float64 for float64 preds); 0 where nothing is kept, NaN for a bad label.

        Args:
            preds: float [N], [N, C] or [N, *S]; an axis of length 1 more than the labels have is dropped.
            labels: [N], [N, C] or [N, *S], each 0, 1 or ``ignore_index``.
        """
        return reduced_samples(self.by_class(preds, labels).sum(1), self.reduction)

    @torch.jit.export
    def by_class(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return each class's part of the sample's value, [N, C], or [N, 1] where there are positions."""
        preds = same_shape(working_precision(preds), labels)
        positions = unit_positions(labels, preds.dtype, self.ignore_index)
        against_one, against_zero = sigmoid_odds(preds, self.preds_are)
        bad = positions.bad | ((positions.labels > 0) & (positions.labels < 1))
        positive = by_sample(positions.valid & (positions.labels == 1))
        negative = by_sample(positions.valid & ~bad & (positions.labels == 0))
        zeros = by_sample(cross_entropy(against_zero))
        wanted = (positive.sum(1).to(torch.float64) * self.negative_ratio).floor()
        kept = positive | _hardest(zeros, negative, wanted)
        values = torch.where(positive, by_sample(cross_entropy(against_one)), zeros)
        values = torch.where(kept, values, torch.zeros_like(values))
        if preds.dim() > 2:
            values = sample_sum(values).unsqueeze(1)
        values = ratio(values, (kept.sum(1, keepdim=True).to(preds.dtype) + self.eps).expand_as(values))
        return torch.where(by_sample(bad).any(1, keepdim=True), torch.full_like(values, torch.nan), values)


def _hardest(values: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """Return where a row's ``count`` [N] largest values ``among`` those marked are, bool [N, P]; ties by index."""
    keys = torch.where(among, values.detach(), torch.full_like(values, -1.0))
    order = descending_order(keys)
    first = torch.arange(keys.size(1), device=keys.device).unsqueeze(0) < count.unsqueeze(1)
    return torch.zeros_like(among).scatter(1, order, first) & among
