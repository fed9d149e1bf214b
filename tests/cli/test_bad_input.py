"""Bad input: the whole message, exit status 2, no traceback, and nothing written."""

import os
from pathlib import Path

import pytest
import torch

from .zoo import snapshot, write_zoo

DECIDED = """\
task: multiclass, because preds are [20, 4] = [N, C] and labels int64 [20]
preds: logits, because 100% of 20 probed rows do not sum to 1
"""
BINARY_DECIDED = """\
task: binary, because there is one prediction per sample and labels are 0 and 1
preds: logits, because 100% of 6 probed rows leave [0, 1]
"""
MASKS_DECIDED = """\
task: segmentation, because preds are [3, 4, 5, 5] = [N, C, H, W] and labels int64 [3, 5, 5]
preds: logits, because 100% of 3 probed rows do not sum to 1
"""

# what is typed after `evaltool score`: what is said
CASES = {
    "no_such.npy labels.npy": """\
error: no such file
  no_such.npy
  Check the path.
""",
    "preds.npy no_such.npy": """\
error: no such file
  no_such.npy
  Check the path.
""",
    "empty.npy labels.npy": """\
error: the file is empty
  empty.npy: 0 bytes
  Write it again with np.save.
""",
    "truncated.npy labels.npy": """\
error: the file is truncated
  truncated.npy: 438 bytes, expected 448 for shape [20, 4] of float32
  Copy or write it again.
""",
    "truncated_header.npy labels.npy": """\
error: the file is truncated
  truncated_header.npy: ends within its header
  Copy or write it again.
""",
    "damaged_header.npy labels.npy": """\
error: the .npy header is damaged
  damaged_header.npy
  Copy or write the file again.
""",
    "text.npy labels.npy": """\
error: not a .npy file
  text.npy: begins with b'hello ', expected b'\\x93NUMPY'
  Save the array with np.save.
""",
    "archive.npz labels.npy": """\
error: not a .npy file
  archive.npz: begins with b'PK\\x03\\x04-\\x00', expected b'\\x93NUMPY'
  It looks like a zip file (.npz or .pt); save one array with np.save.
""",
    ". labels.npy": """\
error: this is a directory
  .
  Name the .npy file in it.
""",
    "objects.npy labels.npy": """\
error: the array holds Python objects
  objects.npy: dtype object, expected numbers
  Objects are stored as a pickle, which runs code from the file when it is loaded, so it is refused. Save a plain array: np.save(path, np.stack(rows).astype(np.float32)).
""",
    "preds.npy objects.npy": """\
error: the array holds Python objects
  objects.npy: dtype object, expected numbers
  Objects are stored as a pickle, which runs code from the file when it is loaded, so it is refused. Save a plain array: np.save(path, np.stack(rows).astype(np.float32)).
""",
    "struct.npy labels.npy": """\
error: the array does not hold real numbers
  struct.npy: dtype structured ['a', 'b'], expected float, integer or bool
  Save the field that holds the numbers, for instance array['a'].
""",
    "string.npy labels.npy": """\
error: the array does not hold real numbers
  string.npy: dtype <U1, expected float, integer or bool
  Encode names as class indices: np.unique(names, return_inverse=True)[1].
""",
    "preds.npy string.npy": """\
error: the array does not hold real numbers
  string.npy: dtype <U1, expected float, integer or bool
  Encode names as class indices: np.unique(names, return_inverse=True)[1].
""",
    "complex.npy labels.npy": """\
error: the array does not hold real numbers
  complex.npy: dtype complex64, expected float, integer or bool
  Save the real part, array.real, if that is what you mean.
""",
    "dates.npy labels.npy": """\
error: the array does not hold real numbers
  dates.npy: dtype datetime64[s], expected float, integer or bool
  Convert it with array.astype(np.float32).
""",
    "number.npy labels.npy": """\
error: the array is a single number
  number.npy: shape [], expected [N, ...]
  Save one row per sample.
""",
    "preds.npy labels_19.npy": """\
error: predictions and labels differ in their number of samples
  preds.npy: shape [20, 4], N = 20
  labels_19.npy: shape [19], N = 19
  Both have to hold the same samples in the same order.
""",
    "preds_flat.npy labels.npy": """\
error: predictions have no axis of classes
  preds_flat.npy: shape [20], expected [N, C] or [N, C, *S]
  labels.npy: shape [20], values 0 to 3
  Save one score per class; if the labels are amounts, pass --task regression.
""",
    "preds_flat.npy labels.npy --task multiclass": """\
error: predictions have no axis of classes
  preds_flat.npy: shape [20], expected [N, C] or [N, C, *S]
  labels.npy: shape [20], values 0 to 3
  One score per sample is --task binary.
""",
    "one_class.npy labels.npy --task multiclass": """\
error: one class cannot be told from another
  one_class.npy: shape [20, 1] = [N, C], expected C >= 2
  One score per sample is --task binary.
""",
    "preds.npy one_hot.npy": """\
error: labels do not match predictions
  preds.npy: shape [20, 4] = [N, C]
  one_hot.npy: shape [20, 4], expected [20] = [N]
  The labels look one-hot: pass --task multilabel if several classes can be true, --task multiclass if exactly one is.
""",
    "masks.npy mask_one_hot.npy": """\
error: labels do not match predictions
  masks.npy: shape [3, 4, 5, 5] = [N, C, H, W]
  mask_one_hot.npy: shape [3, 4, 5, 5], expected [3, 5, 5] = [N, *S]
  The labels look one-hot: save labels.argmax(axis=1).
""",
    "preds.npy fractions.npy": """\
error: labels hold fractions where class indices are expected
  fractions.npy: dtype float64, for instance 1.5, expected integers from 0
  Are predictions and labels swapped? Soft labels are [N, C] with rows that sum to 1; real-valued targets need --task regression.
""",
    "preds_0.npy labels_0.npy": """\
error: there is no sample to score
  preds_0.npy: shape [0, 4], N = 0
  Check how the file was written.
""",
    "no_positions.npy labels_no_positions.npy": """\
error: an axis has no positions
  no_positions.npy: shape [20, 4, 0, 8], expected every axis >= 1
  Check how the file was written.
""",
    "labels.npy preds.npy": """\
error: predictions have to be floats
  labels.npy: dtype int64, expected float16, float32 or float64
  Probabilities stored as 0..255 need --scale 255. Class indices cannot be scored: save logits or probabilities (or are predictions and labels swapped?).
""",
    "bytes.npy labels.npy": """\
error: predictions have to be floats
  bytes.npy: dtype uint8, expected float16, float32 or float64
  Probabilities stored as 0..255 need --scale 255. Class indices cannot be scored: save logits or probabilities (or are predictions and labels swapped?).
""",
    "raw_2_bytes.npy labels.npy": """\
error: NumPy does not know this dtype
  raw_2_bytes.npy: dtype |V2, expected a float
  A 2-byte one is most likely bfloat16: pass --dtype bfloat16.
""",
    "preds.npy labels.npy --dtype bfloat16": """\
error: the file does not hold 2-byte raw values
  preds.npy: dtype float32
  Leave --dtype out.
""",
    "preds.npy labels.npy --dtype float64": """\
error: the file holds another dtype
  preds.npy: dtype float32, but --dtype float64 was given
  Leave it out.
""",
    "preds.npy labels.npy --scale 255": """\
error: --scale divides integers
  preds.npy: dtype float32, expected an integer dtype
  Leave --scale out.
""",
    "preds.npy labels.npy --task segmentation": """\
error: predictions have no axis of classes
  preds.npy: shape [20, 4], expected [N, C] or [N, C, *S]
  labels.npy: shape [20], values 0 to 3
  Segmentation predictions have positions: [N, C, *S], or [N, *S] for one foreground.
""",
    "preds.npy labels.npy --task binary": """\
error: binary predictions are one score per sample
  preds.npy: shape [20, 4] = [N, C], expected [N] or [N, 1]
  Two columns are --task multiclass; save preds[:, 1] for the positive class alone.
""",
    "preds.npy labels.npy --task multilabel": """\
error: labels do not match predictions
  preds.npy: shape [20, 4] = [N, C]
  labels.npy: shape [20], expected [20, 4] = [N, C]
  Multilabel labels are 0 or 1 for every class of every sample.
""",
    "preds.npy labels.npy --task regression": """\
error: labels do not match predictions
  preds.npy: shape [20, 4] = [N, C]
  labels.npy: shape [20], expected [20, 4]
  Regression labels have the shape of the predictions.
""",
    "preds.npy labels.npy -o done.run": """\
error: the output exists
  done.run
  Pass --overwrite to replace that run, or name another with -o.
""",
    "preds.npy labels.npy -o other.run --overwrite": """\
error: the output directory holds other files
  other.run: notes.txt
  Name another directory with -o; a run has one of its own.
""",
    "preds.npy labels.npy -o a_file": """\
error: the output is a file
  a_file
  Name another directory with -o.
""",
    "preds.npy labels.npy -o a_file/out.run": DECIDED
    + """\
error: cannot write the run
  a_file/out.run: Not a directory
  Name a writable directory with -o.
""",
    "preds.npy labels.npy --loss fcal": """\
error: no loss is called 'fcal'
  --loss fcal
  Did you mean focal? `evaltool losses` lists them.
""",
    "preds.npy labels.npy --loss bce": DECIDED
    + """\
error: the loss bce does not fit the task multiclass
  bce is for binary, multilabel, segmentation
  `evaltool losses --task multiclass` lists those that do.
""",
    "masks.npy mask_labels.npy --loss bce": MASKS_DECIDED
    + """\
error: the loss bce does not fit the task segmentation with several classes
  bce is for binary, multilabel, segmentation
  Of a segmentation it takes one foreground class, [N, *S] or [N, 1, *S].
""",
    "preds.npy labels.npy --loss focal:gama=2": """\
error: focal has no parameter 'gama'
  --loss focal:gama=2
  Did you mean gamma? It takes gamma, alpha.
""",
    "preds.npy labels.npy --loss mse:beta=2": """\
error: mse has no parameter 'beta'
  --loss mse:beta=2
  It takes none.
""",
    "preds.npy labels.npy --loss dice:activation=sigmoid": """\
error: activation is no parameter of a single loss
  --loss dice:activation=sigmoid
  It is the same for every loss and follows from the task, the kind of the predictions and --ignore-index.
""",
    "preds.npy labels.npy --loss focal:gamma=balanced": DECIDED
    + """\
error: gamma is not computed from label counts
  --loss focal:gamma=balanced, in the task multiclass
  Give numbers, or pass --class-weights balanced.
""",
    "binary.npy binary_labels.npy --loss bce:weight=inverse": BINARY_DECIDED
    + """\
error: weight is not computed from label counts
  --loss bce:weight=inverse, in the task binary
  Give numbers, or pass --class-weights inverse.
""",
    "preds.npy labels.npy --loss dice:classes=balanced": DECIDED
    + """\
error: classes is not computed from label counts
  --loss dice:classes=balanced, in the task multiclass
  Give numbers.
""",
    "preds.npy labels.npy --loss focal:alpha=balance": DECIDED
    + """\
error: 'balance' is no weight
  --loss focal:alpha=balance
  Give numbers, or one of inverse, sqrt-inverse, median-frequency, enet, effective-number, repeat-factor, balanced.
""",
    "preds.npy labels.npy --loss ldam:counts=5": DECIDED
    + """\
error: bad parameter of the loss ldam
  counts=[5.0], expected one number per class
  It takes counts, max_margin, scale, weight.
""",
    "binary.npy binary_labels.npy --loss balanced-ce": BINARY_DECIDED
    + """\
error: the loss balanced-ce is 0 for every sample of the task binary
  it balances the labels within a sample, and a sample has one label
  Give beta a number, as in --loss balanced-ce:beta=0.5.
""",
    "preds.npy labels.npy --loss focal:gamma=-1": DECIDED
    + """\
error: bad parameter of the loss focal
  gamma=-1.0, expected a number in [0, inf)
  It takes gamma, alpha.
""",
    "preds.npy labels.npy --loss focal:gamma=soft": DECIDED
    + """\
error: bad parameter of the loss focal
  gamma='soft', expected a number or one number per class
  It takes gamma, alpha.
""",
    "preds.npy labels.npy --loss focal:gamma": """\
error: 'gamma' is not parameter=value
  --loss focal:gamma
  Write focal:parameter=value,...
""",
    "preds.npy labels.npy --loss focal:alpha=1,2,3": DECIDED
    + """\
error: alpha of the loss focal is not one number per class
  got 3 numbers, expected 1 or 4 = C
  Give one number per class, in the order of the class indices.
""",
    "preds.npy labels.npy --loss focal:gamma=1,gamma=2": """\
error: the parameter 'gamma' is given twice
  --loss focal:gamma=1,gamma=2
  Give it once.
""",
    "preds.npy labels.npy --loss ce --loss ce": """\
error: two losses fill the column 'ce'
  Name one of them, as in --loss other=ce.
""",
    "preds.npy labels.npy --loss label=ce": """\
error: the column 'label' is taken
  --loss label=ce
  Choose another name.
""",
    "preds.npy labels.npy --loss Hard=ce": """\
error: 'Hard' cannot name a column
  --loss Hard=ce
  Use lower-case letters, digits and _, a letter first.
""",
    "preds.npy labels.npy --class-names names_3.txt": DECIDED
    + """\
error: there is not one name per class
  names_3.txt: 3 names, expected 4 = C
  Name every class, in the order of the class indices.
""",
    "preds.npy labels.npy --class-names a,b": DECIDED
    + """\
error: there is not one name per class
  a,b: 2 names, expected 4 = C
  Name every class, in the order of the class indices.
""",
    "preds.npy labels.npy --class-names a,b,b,c": DECIDED
    + """\
error: class names have to differ
  a,b,b,c: b more than once
  Name every class once.
""",
    "preds.npy labels.npy --class-names no_such.txt": DECIDED
    + """\
error: no such file
  no_such.txt
  Give a file with one name per line, or a,b,c.
""",
    "preds.npy labels.npy --ids ids_19.txt": DECIDED
    + """\
error: there is not one id per sample
  ids_19.txt: 19 ids, expected 20 = N
  Give the ids of exactly these samples, in their order.
""",
    "preds.npy labels.npy --ids ids_xy.csv": DECIDED
    + """\
error: which column holds the ids?
  ids_xy.csv: several columns; it has x, y
  Pass --ids ids_xy.csv:x, with the right name.
""",
    "preds.npy labels.npy --ids ids_xy.csv:z": DECIDED
    + """\
error: which column holds the ids?
  ids_xy.csv: no column 'z'; it has x, y
  Pass --ids ids_xy.csv:x, with the right name.
""",
    "preds.npy labels.npy --ids no_such.txt": DECIDED
    + """\
error: cannot read the file
  no_such.txt: No such file or directory
  Give UTF-8 text, one item per line.
""",
    "preds.npy labels.npy --class-weights weights_3.txt": DECIDED
    + """\
error: there is not one weight per class
  weights_3.txt: 3 weights, expected 4 = C
  Give one number per class, in the order of the class indices.
""",
    "preds.npy labels.npy --class-weights invers": DECIDED
    + """\
error: these are no class weights
  invers
  Give a file with one number per class, or numbers as 1,2,0.5, or one of inverse, sqrt-inverse, median-frequency, enet, effective-number, repeat-factor, balanced.
""",
    "preds.npy labels.npy --class-weights 1,2,3,-4": DECIDED
    + """\
error: class weights are no weights
  1,2,3,-4: [1.0, 2.0, 3.0, -4.0], expected finite numbers >= 0, one of them above 0
  Mend the numbers, or name a rule such as inverse.
""",
    "preds.npy labels.npy --module text.npy": DECIDED
    + """\
error: not a TorchScript file
  text.npy: begins with b'hello ', expected a zip archive
  Save it with torch.jit.script(module).save(path).
""",
    "preds.npy labels.npy --module text.npy --trust": DECIDED
    + """\
error: not a TorchScript file
  text.npy: begins with b'hello ', expected a zip archive
  Save it with torch.jit.script(module).save(path).
""",
    "preds.npy labels.npy --module no_such.pt": DECIDED
    + """\
error: no such file
  no_such.pt
  Give a TorchScript file (.pt).
""",
    "preds.npy labels.npy --ids ids_19.txt:name": DECIDED
    + """\
error: this file has no columns
  ids_19.txt: column 'name' was asked for
  Leave 'name' out, or name a file of .csv, .tsv, .parquet.
""",
    "preds.npy labels.npy --dtype bfloat16 --scale 255": """\
error: bfloat16 values are not scaled
  preds.npy: --dtype bfloat16 and --scale 255
  Leave one of them out.
""",
    "binary.npy binary_labels.npy --loss bce:pos_weight=1,2": BINARY_DECIDED
    + """\
error: pos_weight of the loss bce is one number
  got 2 numbers, expected 1: there is one score per sample or position
  Both labels apart have pos_weight and neg_weight (bce) and alpha=negatives,positives (binary-focal).
""",
}


@pytest.mark.parametrize("typed", CASES)
def test_bad_input(cli, typed):
    write_zoo()
    before = snapshot()
    result = cli("score", *typed.split())
    assert result.output == CASES[typed]
    assert result.stdout == ""
    assert result.exit_code == 2
    assert snapshot() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_asked_for_and_not_there(cli):
    write_zoo()
    result = cli("score", "preds.npy", "labels.npy", "--device", "cuda")
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    assert result.output == (
        f"{DECIDED}error: there is no such GPU\n"
        f"  --device cuda: 0 CUDA devices found, torch {torch.__version__} is built with {built}\n"
        "  Use --device cpu, or install a driver and a torch build that see the GPU, for ONNX onnxruntime-gpu as well; "
        "`evaltool doctor` shows what is there.\n"
    )
    assert result.exit_code == 2
    assert not Path("preds.run").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_directory_without_the_right_to_write(cli):
    write_zoo()
    os.mkdir("locked", mode=0o500)
    result = cli("score", "preds.npy", "labels.npy", "-o", "locked/out.run")
    assert "cannot write the run\n  locked/out.run: Permission denied" in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--device gpu", "'gpu' is no device; write auto, cpu, cuda or cuda:0."),
        ("--max-bad 2", "'2' is no share; write 0.01 or 1%."),
        ("--max-bad lots", "'lots' is no share; write 0.01 or 1%."),
        ("--task foo", "'foo' is not one of 'auto', 'multiclass'"),
        ("--batch-size 0", "0 is not in the range x>=1."),
        ("--no-such-option", "No such option"),
    ],
)
def test_bad_option(cli, option, said):
    write_zoo()
    before = snapshot()
    result = cli("score", "preds.npy", "labels.npy", *option.split())
    assert said in result.output
    assert result.exit_code == 2
    assert snapshot() == before
