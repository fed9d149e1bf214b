"""The engine ``onnxruntime``: the job's columns as one ONNX graph."""

from threading import Lock

from torch import Tensor

from evaltool.artifacts.onnx_graphs import onnx_model
from evaltool.artifacts.onnx_sessions import OnnxSession
from evaltool.engines.modules import ModuleEngine, Run
from evaltool.metrics import Scorecard
from evaltool.numerics.elementary import working_precision


class OnnxRuntimeEngine(ModuleEngine):
    """Exports the modules for the first block it sees, and runs the graph on the CPU, or on CUDA and nowhere else."""

    name = "onnxruntime"
    provider = "none yet"

    def _prepared(self, card: Scorecard) -> Run:
        sessions: list[OnnxSession] = []
        lock = Lock()  # several threads meet the first block

        def run(preds: Tensor, labels: Tensor) -> dict[str, Tensor]:
            preds = working_precision(preds)
            with lock:
                if not sessions:
                    graph = onnx_model(card.cpu(), self.signature(preds, labels)).SerializeToString()
                    sessions.append(OnnxSession(graph, self._device, threads=1))
                    self.provider = sessions[0].provider
            return sessions[0].run({"preds": preds, "labels": labels})

        return run
