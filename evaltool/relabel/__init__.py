"""What people decided about mined samples, applied to labels."""

from evaltool.relabel.job import apply
from evaltool.relabel.outcome import Applied

__all__ = ["Applied", "apply"]
