"""Batch inference: a user's TorchScript, ONNX or pt2 model over rows of inputs, written or read like predictions."""

from evaltool.predictor.job import model_rows, predict
from evaltool.predictor.rows import ModelRows

__all__ = ["ModelRows", "model_rows", "predict"]
