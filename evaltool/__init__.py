"""evaltool: per-sample losses and metrics of predictions, outside the training code.

>>> import evaltool, numpy as np
>>> scores = evaltool.score(np.array([[2.0, 0.0], [0.0, 0.0]], np.float32), np.array([0, 1]), preds_are="logits")
>>> scores["ce"].round(4).tolist()
[0.12690000236034393, 0.6930999755859375]
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from evaltool.errors import EvaltoolError as EvaltoolError
    from evaltool.mine.job import mine as mine
    from evaltool.predictor import predict as predict
    from evaltool.report.job import report as report
    from evaltool.scorer import Scores as Scores
    from evaltool.scorer import score as score

_LAZY = {
    "score": "evaltool.scorer",
    "Scores": "evaltool.scorer",
    "predict": "evaltool.predictor",
    "EvaltoolError": "evaltool.errors",
}
_CALLABLE_PACKAGES = ("mine", "report")  # a package and what it does: evaltool.report(run), evaltool.report.job

__all__ = ["EvaltoolError", "Scores", "__version__", "mine", "predict", "report", "score"]


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: ``import evaltool`` alone loads neither NumPy nor torch."""
    import importlib

    if name in _CALLABLE_PACKAGES:
        return importlib.import_module(f"evaltool.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'evaltool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
