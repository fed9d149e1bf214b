"""Sources of rows: ``.npy`` files, arrays and tensors behind one small interface, and small side files."""

from evaltool.readers.rows import Rows, as_array, borrowed, open_inputs, open_labels, open_preds, peek

__all__ = ["Rows", "as_array", "borrowed", "open_inputs", "open_labels", "open_preds", "peek"]
