"""Mines a run: the samples that are hard, probably mislabelled or ambiguous, as a list that people act on."""

from evaltool.mine.job import Mined, mine

__all__ = ["Mined", "mine"]
