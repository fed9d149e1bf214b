"""Reader -> engine -> run: per-sample scores of predictions against labels."""

from evaltool.progress import Watcher
from evaltool.scorer.job import score
from evaltool.scorer.scores import Scores

__all__ = ["Scores", "Watcher", "score"]
