"""The engine ``aoti``: the job's columns compiled ahead of time by AOTInductor."""

import tempfile
from pathlib import Path

from torch import Tensor

from evaltool.artifacts.pt2 import Pt2Package, compile_pt2
from evaltool.engines.modules import ModuleEngine, Run
from evaltool.metrics import Scorecard
from evaltool.numerics.elementary import working_precision


class AotiEngine(ModuleEngine):
    """Compiles the modules for the first block it sees, which takes the better part of a minute."""

    name = "aoti"
    provider = "AOTInductor"
    parallel = False  # its operators have threads of their own

    def _prepared(self, card: Scorecard) -> Run:
        packages: list[Pt2Package] = []

        def run(preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
            preds = working_precision(preds)
            if not packages:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "scorecard.pt2"
                    compile_pt2(card, self.signature(preds, labels), path, device=self._device)
                    packages.append(Pt2Package(path, self._device))
            outputs: dict[str, Tensor] = packages[0].run([preds, labels])
            return outputs

        return run
