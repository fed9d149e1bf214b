"""What computes scores: blocks of rows in, columns and counts out."""

from evaltool.engines.base import Engine, Staging

__all__ = ["Engine", "Staging"]
