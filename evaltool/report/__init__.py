"""What class imbalance does to a model, and what to do about it: one document, shown as page, Markdown and text.

``evaltool.report`` is this package and the call in Python: importing a submodule binds the name to the package in any
case, so that the package itself can be called, as ``evaltool.report.job.report``.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, run: Any, **options: Any) -> Any:
        """Return a report of a run; the arguments are those of ``evaltool.report.job.report``."""
        from evaltool.report.job import report  # here: a part of the package may be imported without the rest

        return report(run, **options)


sys.modules[__name__].__class__ = _Callable
