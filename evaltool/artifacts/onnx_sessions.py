"""ONNX Runtime on one device, never quietly on another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from evaltool.artifacts.signature import TensorSpec
from evaltool.errors import EvaltoolError

# ONNX Runtime's names of dtypes
DTYPES = {
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxSession:
    """A graph ready to run.

    Args:
        source: a file that was checked (``onnx_files``), or a graph's bytes.
        device: where to run; "cuda" is CUDA or an error.
        threads: per operator; 0 for as many as there are cores.
        path: the file that the bytes are of; its folder has their external data.

    Attributes:
        provider: the execution provider obtained.
        inputs, outputs: their specs.
        metadata: the file's ``metadata_props``.
    """

    def __init__(
        self, source: Path | bytes, device: torch.device | str = "cpu", *, threads: int = 0, path: Path | None = None
    ) -> None:
        self.device = torch.device(device)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # its errors are raised as well
        options.intra_op_num_threads = threads
        # bytes that look like its own format would be read as that, and nothing has checked them as that
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if path is not None:
            folder = str(path.parent.absolute())
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        provider: Any = "CPUExecutionProvider"
        if self.device.type == "cuda":
            ort.preload_dlls()  # CUDA's libraries that pip installed
            provider = ("CUDAExecutionProvider", {"device_id": self.device.index or 0})
        name = source.name if isinstance(source, Path) else path or "the graph"
        try:
            self._session = ort.InferenceSession(
                str(source) if isinstance(source, Path) else source, options, providers=[provider]
            )
        except Exception as error:  # its errors have no common class
            raise EvaltoolError(
                f"ONNX Runtime cannot load this model\n  {name}: {reason(error)}\n  Export it again, or check it with "
                "onnx.checker."
            ) from error
        self.provider: str = self._session.get_providers()[0]
        if self.device.type == "cuda" and self.provider != "CUDAExecutionProvider":
            raise EvaltoolError(
                f"ONNX Runtime does not run on the GPU here\n  asked for {self.device}, got {self.provider}\n"
                "  `evaltool doctor` says why; or use --device cpu."
            )
        self.inputs = [_spec(value) for value in self._session.get_inputs()]
        self.outputs = [_spec(value) for value in self._session.get_outputs()]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, on the session's device, for tensors of the inputs' dtypes.

        Raises:
            RuntimeError: a graph failed on them; the first line says why.
        """
        if self.device.type == "cuda":
            return self._run_bound(feeds)
        arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in feeds.items()}
        try:
            results = self._session.run(None, arrays)
        except Exception as error:
            raise RuntimeError(reason(error)) from error
        return {spec.name: _tensor(value) for spec, value in zip(self.outputs, results, strict=True)}

    def _run_bound(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run on tensors where they lie, by IO binding; nothing passes through the host."""
        binding = self._session.io_binding()
        index = self.device.index or 0
        kept = {name: tensor.detach().to(self.device).contiguous() for name, tensor in feeds.items()}
        for spec in self.inputs:
            tensor = kept[spec.name]
            # an empty tensor has no address, and ONNX Runtime wants one
            address = tensor.data_ptr() or torch.empty(1, device=self.device).data_ptr()
            binding.bind_input(spec.name, "cuda", index, np.dtype(spec.dtype), list(tensor.shape), address)
        for spec in self.outputs:
            binding.bind_output(spec.name, "cuda", index)
        torch.cuda.current_stream(self.device).synchronize()
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise RuntimeError(reason(error)) from error
        binding.synchronize_outputs()
        values = binding.get_outputs()
        # bool comes as uint8 through DLPack
        return {
            spec.name: torch.utils.dlpack.from_dlpack(value).to(getattr(torch, spec.dtype))
            for spec, value in zip(self.outputs, values, strict=True)
        }

    def close(self) -> None:
        """Give back the graph's memory."""
        del self._session


def reason(error: BaseException) -> str:
    """Return the first line of an ONNX Runtime error without its codes."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.rpartition(" : ")[2] if line.startswith("[ONNXRuntimeError]") else line


def _spec(value: Any) -> TensorSpec:
    return TensorSpec(value.name, DTYPES.get(value.type, value.type), tuple(value.shape))


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else value
