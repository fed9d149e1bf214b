"""The engine ``torchscript``: the modules compiled to TorchScript."""

from evaltool.engines.modules import ModuleEngine, Run
from evaltool.metrics import Scorecard
from evaltool.numerics.scripting import scripted


class TorchScriptEngine(ModuleEngine):
    """Runs the modules compiled to TorchScript."""

    name = "torchscript"
    provider = "TorchScript"

    def _prepared(self, card: Scorecard) -> Run:
        return scripted(card)
