"""The engine ``torch``: eager PyTorch."""

from evaltool.engines.modules import ModuleEngine, Run
from evaltool.metrics import Scorecard


class TorchEngine(ModuleEngine):
    """Runs the modules as they are."""

    name = "torch"
    provider = "PyTorch"

    def _prepared(self, card: Scorecard) -> Run:
        return card
