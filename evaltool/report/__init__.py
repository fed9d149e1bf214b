"""What class imbalance does to a model, and what to do about it: one document, shown as page, Markdown and text.

``evaltool.report`` is both this package and the call in Python. Importing any submodule binds the name in ``evaltool``
to the package, whatever stood there, so that the package itself can be called, as ``evaltool.report.job.report``.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, run: Any, **options: Any) -> Any:
        """Return a report of a run; the arguments are those of ``evaltool.report.job.report``."""
        from evaltool.report.job import report  # here: a part of the package is imported without the rest

        return report(run, **options)

    @property
    def __signature__(self) -> Any:
        import inspect

        from evaltool.report.job import report

        return inspect.signature(report)


sys.modules[__name__].__class__ = _Callable
