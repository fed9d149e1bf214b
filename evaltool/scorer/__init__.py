"""Reader -> engine -> run: per-sample scores of predictions against labels."""

from evaltool.scorer.job import score
from evaltool.scorer.scores import Scores
from evaltool.scorer.watcher import Watcher

__all__ = ["Scores", "Watcher", "score"]
