"""``config.pbtxt``: what NVIDIA Triton reads of a model in its repository.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

import json
from collections.abc import Sequence

from evaltool.artifacts.signature import TensorSpec

BACKENDS = {"torchscript": "pytorch_libtorch", "onnx": "onnxruntime_onnx"}
FILES = {"torchscript": "model.pt", "onnx": "model.onnx"}
DTYPES = {
    "bool": "TYPE_BOOL",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "bfloat16": "TYPE_BF16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}


def is_servable(kind: str, outputs: Sequence[TensorSpec]) -> bool:
    """Whether Triton serves an artifact: no pt2, and no output of rank 0, which its configuration cannot describe."""
    return kind in BACKENDS and all(spec.shape for spec in outputs)


def triton_config(kind: str, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str:
    """Return the text for a TorchScript or ONNX artifact.

    Sizes are free, the first axis included (``max_batch_size: 0``): a sample's value does not depend on its
    batch-mates, so a client may send any number of them. libtorch has no names for outputs; Triton takes them in the
    order of the number after ``__``.
    """
    named = [
        TensorSpec(f"{spec.name}__{i}" if kind == "torchscript" else spec.name, spec.dtype, spec.shape)
        for i, spec in enumerate(outputs)
    ]
    lines = [
        f"name: {json.dumps(name)}",
        f'platform: "{BACKENDS[kind]}"',
        f'default_model_filename: "{FILES[kind]}"',
        "max_batch_size: 0",
        *_tensors("input", inputs),
        *_tensors("output", named),
    ]
    return "\n".join(lines) + "\n"


def _tensors(role: str, specs: Sequence[TensorSpec]) -> list[str]:
    lines = []
    for spec in specs:
        dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in spec.shape)
        lines.append(f'{role} {{ name: "{spec.name}" data_type: {DTYPES[spec.dtype]} dims: [ {dims} ] }}')
    return lines
