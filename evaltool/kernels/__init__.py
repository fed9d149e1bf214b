"""The fused kernels: every column and count of a block of predictions in one read of them, without PyTorch."""
