"""Mines a run: the samples that are hard, probably mislabelled or ambiguous, as a list that people act on.

``evaltool.mine`` is both this package and the call in Python. Importing any submodule binds the name in ``evaltool`` to
the package, whatever stood there, so that the package itself can be called, as ``evaltool.mine.job.mine``.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, run: Any, **options: Any) -> Any:
        """Return the mined rows of a run; the arguments are those of ``evaltool.mine.job.mine``."""
        from evaltool.mine.job import mine  # here: a part of the package is imported without the rest

        return mine(run, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        from evaltool.mine.job import mine

        return inspect.signature(mine)


sys.modules[__name__].__class__ = _Callable
