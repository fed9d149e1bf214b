"""Good and bad input files, by name, in the current directory."""

import os
from pathlib import Path

import numpy as np


def write_zoo() -> None:
    """Write the files."""
    rng = np.random.default_rng(0)
    preds = rng.normal(size=(20, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 20)
    mask_labels = rng.integers(0, 4, (3, 5, 5))
    arrays = {
        "preds": preds,
        "labels": labels,
        "struct": np.zeros(20, dtype=[("a", "f4"), ("b", "i4")]),
        "string": np.array(["a", "b"] * 10),
        "complex": preds.astype(np.complex64),
        "dates": np.zeros(20, "M8[s]"),
        "labels_19": labels[:19],
        "preds_flat": preds[:, 0],
        "one_hot": np.eye(4, dtype=np.int64)[labels],
        "fractions": labels + 0.5,
        "preds_0": preds[:0],
        "labels_0": labels[:0],
        "one_class": preds[:, :1],
        "no_positions": np.zeros((20, 4, 0, 8), np.float32),
        "labels_no_positions": np.zeros((20, 0, 8), np.int64),
        "bytes": np.full((20, 4), 63, np.uint8),
        "raw_2_bytes": preds.astype(np.float16).view("V2"),
        "number": np.float32(3),
        "masks": rng.normal(size=(3, 4, 5, 5)).astype(np.float32),
        "mask_labels": mask_labels,
        "binary": np.array([2.0, -2.0, 3.0, -3.0, 4.0, -4.0], np.float32),
        "binary_labels": np.array([0, 1, 0, 1, 1, 1]),
        "mask_one_hot": np.ascontiguousarray(np.eye(4, dtype=np.int64)[mask_labels].transpose(0, 3, 1, 2)),
    }
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    np.save("objects.npy", np.array([[1, 2], [3]], dtype=object), allow_pickle=True)
    content = Path("preds.npy").read_bytes()
    Path("empty.npy").touch()
    Path("truncated.npy").write_bytes(content[:-10])
    Path("truncated_header.npy").write_bytes(content[:30])
    Path("damaged_header.npy").write_bytes(content.replace(b"'shape': (20, 4)", b"'shape': (20,-4)"))
    Path("text.npy").write_text("hello world")
    np.savez("archive.npz", preds=preds)
    Path("names_3.txt").write_text("a\nb\nc\n")
    Path("ids_19.txt").write_text("\n".join(map(str, range(19))))
    Path("ids_xy.csv").write_text("x,y\n" + "1,2\n" * 20)
    Path("weights_3.txt").write_text("1\n2\n3\n")
    Path("a_file").write_text("x")
    os.mkdir("other.run")
    Path("other.run/notes.txt").write_text("x")
    os.mkdir("done.run")
    Path("done.run/run.json").write_text("{}")


def snapshot() -> dict[str, bytes | None]:
    """Return every path below the current directory with its bytes."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(Path().rglob("*"))}
