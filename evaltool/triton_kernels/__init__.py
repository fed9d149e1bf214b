"""Kernels in Triton that score predictions on a GPU in one read: rows of a softmax, positions, sigmoids."""
