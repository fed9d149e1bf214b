"""Reader -> engine -> run: per-sample scores of predictions against labels."""

from evaltool.scorer.job import Watcher, score
from evaltool.scorer.scores import Scores

__all__ = ["Scores", "Watcher", "score"]
