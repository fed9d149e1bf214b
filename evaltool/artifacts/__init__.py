"""Modules as files: TorchScript, ONNX and pt2, what they hold, and when they may be loaded."""
