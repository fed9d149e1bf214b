"""``mine``: rank a run's rows, select, and write the list."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from evaltool.errors import EvaltoolError
from evaltool.mine import candidates as streams
from evaltool.mine.expected import ExpectedErrors, budget_errors, check_budget, expected_said
from evaltool.mine.feedback import SampleWeights, hard_sample, npy_bytes
from evaltool.mine.files import check_outputs, check_replaced, write_files
from evaltool.mine.filters import Filter, read_groups
from evaltool.mine.formats import LEAVES_OUT, WRITERS, format_of
from evaltool.mine.formats.annotation import FORMATS, SHOWN
from evaltool.mine.label_errors import LabelErrors, label_errors
from evaltool.mine.masks import regions_of
from evaltool.mine.neighbours import disagreement, mean_ranks
from evaltool.mine.ranking import LABEL_ERROR, Ranking, ranking_of
from evaltool.mine.selection import Selection, group_order, grouped, mixed
from evaltool.mine.table import blind_table, mined_table
from evaltool.mine.variety import open_embeddings
from evaltool.progress import Watcher, opened_progress
from evaltool.readers.side_files import read_ids
from evaltool.run.inputs import Inputs
from evaltool.run.reader import Run, open_run
from evaltool.schema import PROGRESS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mined:
    """Mined rows.

    Attributes:
        table: the rows in list order; see ``mine.table``. With random controls, what reviewers see.
        by: what ranked them.
        n_rows: rows (multilabel: labels) that had a score and passed the filters.
        n_expected_errors: of the whole run, from the confident joint; None where nothing was judged.
        key: with random controls, everything known of the rows, and ``control``.
        paths: files written.
    """

    table: pa.Table
    by: str
    n_rows: int
    n_expected_errors: int | None
    key: pa.Table | None
    paths: tuple[Path, ...]


def mine(
    run: Any,
    *,
    by: str = "auto",
    ascending: bool | None = None,
    top: int | None = None,
    fraction: float | None = None,
    threshold: float | None = None,
    budget: str | None = None,
    per_class: int | None = None,
    tail_first: bool = False,
    where: str | None = None,
    group_by: Any = None,
    exclude: str | Path | None = None,
    diverse: bool = False,
    dedup: bool = False,
    random_controls: int = 0,
    seed: int = 0,
    embeddings: Any = None,
    preds: Any = None,
    labels: Any = None,
    output: str | Path | None = None,
    format: str | None = None,  # noqa: A002  as the option is called
    gallery: str | Path | None = None,
    images: Any = None,
    ids: Any = None,
    shown: str = "suggested",
    text: str | Path | None = None,
    blind: bool = False,
    thumb: int | None = None,
    link: bool = False,
    as_weights: str | Path | None = None,
    as_sampler: str | Path | None = None,
    ratio: float = 3.0,
    overwrite: bool = False,
    progress: str | None = None,
) -> Mined:
    """Return the samples worth a second look.

    Args:
        run: a run's directory, or what ``score`` returned.
        by: "label-error" (the label is probably wrong), "hard" (the first loss), "ambiguous" (the model cannot tell),
            or a column; "auto" is label-error, and the first loss without classes or without stored predictions.
        ascending: the lowest value of a column first; by default so for margin, p_label, p_pred, accuracy and iou.
        top: how many rows; 200 if nothing else says how many.
        fraction: share of the rows.
        threshold: rows whose score is at least (ascending: at most) this.
        budget: "auto" for as many as labels are expected to be wrong among the rows that pass the filters.
        per_class: at most so many of each class.
        tail_first: list the rarest classes first; with ``per_class`` they are taken first as well.
        where: boolean SQL expression over the run's columns that rows have to fulfil.
        group_by: a column of the run, or ``FILE[:COLUMN]`` with one group per sample; a group's rows stand together.
        exclude: table with the ``id`` or ``index`` of rows that have been reviewed.
        diverse: spread the rows over the predictions, or the embeddings.
        dedup: leave out rows of the same label and (nearly) the same prediction or embedding.
        random_controls: mix in so many random rows; the table then shows nothing that tells which.
        seed: of the random rows and their places.
        embeddings: floats [N, d]; label-error is then averaged by rank with the nearest neighbours' labels.
        preds: where the run's predictions are now.
        labels: where the run's labels are now.
        output: file to write the rows to.
        format: "csv", "jsonl" or "parquet", by default what the output's suffix says; or one of annotation tools, see
            ``formats.annotation``, whose output is a folder (of "coco" a file).
        gallery: file for a page in which people review the rows.
        images: of the gallery and annotation tools: a folder of pictures called by id or index, ``DIR/{id}.png``, or an
            image array.
        ids: one per sample, as in ``score``; where the run has none.
        shown: of annotation tools: the labels and masks to begin with, "suggested" or "given".
        text: of the gallery and Label Studio: ``FILE:COLUMN[,COLUMN...]``, with one row per sample.
        blind: the gallery leaves out what the model thinks.
        thumb: largest side of a picture in the gallery, in pixels; 128 if None.
        link: the gallery and folders link picture files instead of holding copies.
        as_weights: .npy file for a weight per sample, float64 [N], as WeightedRandomSampler takes them.
        as_sampler: .npy file for indices, int64, as Subset takes them: the hardest samples of each class.
        ratio: of ``as_sampler``: no class has more than this times the rarest one's samples.
        overwrite: replace files that are there.
        progress: what stderr shows, as for ``score``.

    Returns:
        Mined: the rows as a pyarrow table, and what is known of them together.

    Raises:
        EvaltoolError: the run or an option cannot be used; nothing has been written.
    """
    options = SimpleNamespace(**{name: value for name, value in locals().items() if name != "run"})
    _check(options)
    with opened_progress(progress, doing="mining", done="read") as watcher:
        return _mined(open_run(run), options, watcher)


def _check(options: Any) -> None:
    given = [name for name in ("top", "fraction", "threshold", "budget") if getattr(options, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} both say how many rows; give one of them")
    for name, least in (("top", 1), ("per_class", 1), ("random_controls", 0), ("thumb", 1)):
        value = getattr(options, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise ValueError(f"{name}={value!r}, expected an integer of at least {least}")
    if options.fraction is not None and not 0 < options.fraction <= 1:
        raise ValueError(f"fraction={options.fraction!r}, expected a share in (0, 1]")
    if options.threshold is not None and math.isnan(options.threshold):
        raise ValueError("threshold=nan, expected a number")
    if options.budget not in (None, "auto"):
        raise ValueError(f"budget={options.budget!r}, expected auto")
    if not 0 < options.ratio < math.inf:
        raise ValueError(f"ratio={options.ratio!r}, expected a finite number above 0")
    choices_of = {"format": (None, *WRITERS, *FORMATS), "progress": (None, *PROGRESS), "shown": SHOWN}
    for name, choices in choices_of.items():
        if getattr(options, name) not in choices:
            raise ValueError(f"{name}={getattr(options, name)!r}, expected one of {', '.join(map(str, choices))}")


def _outputs(options: Any) -> dict[str, Path]:
    """Return the files asked for by what they hold."""
    names = ("output", "gallery", "as_weights", "as_sampler")
    files = {name: Path(path) for name in names if (path := getattr(options, name))}
    listed = files.get("output", files.get("gallery"))
    if listed is not None and options.random_controls:
        files["key"] = listed.with_name(f"{listed.name}.controls.csv")
    annotated = options.format in FORMATS
    for name, path in files.items():
        if str(path) == "-":
            raise EvaltoolError(
                f"- is no file\n  --{name.replace('_', '-')} -\n  Name one, or leave -o out: the list goes to stdout."
            )
    if options.shown != "suggested" and not annotated:
        raise EvaltoolError(
            f"--shown is of the annotation formats\n  --shown {options.shown}: the list holds both labels\n"
            f"  Leave it out, or name one of the formats {', '.join(FORMATS)}."
        )
    if annotated and "output" not in files:
        raise EvaltoolError(f"{options.format} is no text\n  standard output\n  Name a folder or file with -o.")
    for name in ("images", "text", "blind", "thumb", "link"):
        serves = "gallery" in files or (annotated and name in ("images", "text", "link"))
        if getattr(options, name) is not None and getattr(options, name) is not False and not serves:
            both = name in ("images", "text", "link")
            formats = " or an annotation format" if both else ""
            named = f", or one of the formats {', '.join(FORMATS)}" if both else ""
            raise EvaltoolError(
                f"--{name} is of the gallery{formats}\n  nothing to be written shows the samples\n"
                f"  Name the gallery's file, --gallery list.html{named}."
            )
    for name in ("as_weights", "as_sampler"):
        if name in files and files[name].suffix != ".npy":
            raise EvaltoolError(
                f"--{name.replace('_', '-')} writes a .npy file\n  {files[name]}: got "
                f"{files[name].suffix or 'no suffix'}\n  Name it .npy."
            )
    own = [path for name, path in files.items() if name != "output" or not annotated]
    check_outputs(own, overwrite=options.overwrite)
    return files


def _mined(run: Run, options: Any, watcher: Watcher) -> Mined:
    files = _outputs(options)
    check_replaced(run, options, files)
    written_as = format_of(files["output"], options.format) if "output" in files else None
    asked = None if "gallery" not in files else _gallery(run, files["gallery"], options)
    annotation = _annotation(run, files["output"], options) if written_as in FORMATS else None
    ids = None if options.ids is None else read_ids(options.ids, run.n_samples)
    passing = Filter(run, options.where, options.exclude, ids)
    groups = None if options.group_by is None else read_groups(options.group_by, run)
    ranking = ranking_of(run, options.by, options.ascending)
    watcher.decided([ranking.reason])
    if passing.note is not None:
        watcher.warned(passing.note)
    if written_as is not None and written_as in LEAVES_OUT:
        watcher.warned(LEAVES_OUT[written_as])
    if options.budget is not None:
        check_budget(run, ranking)
    vectors = None if options.embeddings is None else open_embeddings(options.embeddings, run.n_samples)
    judged = ranking.column is None and run.task != "segmentation"
    if vectors is not None and not (options.diverse or options.dedup or (judged and ranking.word == LABEL_ERROR)):
        raise EvaltoolError(
            f"nothing looks at the embeddings\n  {run.name}: ranked by {ranking.name}, without --diverse or --dedup\n"
            "  Rank by label-error, or leave --embeddings out."
        )
    inputs = _inputs(run, ranking, options, watcher, alike=(options.diverse or options.dedup) and vectors is None)
    found = label_errors(run, inputs, watcher) if judged and inputs is not None else None
    if found is not None:
        watcher.decided([expected_said(run, found)])
    expected = None if options.budget is None else budget_errors(run, ranking, inputs, found, passing, watcher)
    selection = Selection(run, ranking, options, expected)
    weights = SampleWeights(run, ranking) if "as_weights" in files or "as_sampler" in files else None
    filtered = None if passing.lets_all_pass or found is None or ranking.word != LABEL_ERROR else expected
    _stream(run, ranking, inputs, found, vectors, selection, weights, passing, filtered, watcher)
    rows, controls = selection.rows(inputs, vectors, watcher)
    rows = rows if groups is None else grouped(rows, groups)
    rows, mined = mixed(rows, controls, options.seed)
    if groups is not None and len(controls):
        order = group_order(rows, groups)
        rows, mined = rows[order], mined[order]
    regions = None if run.task != "segmentation" or inputs is None else regions_of(inputs, rows["index"])
    transitions = None if found is None else found.transitions
    table = mined_table(run, rows, ranking, transitions=transitions, groups=groups, regions=regions)
    if ids is not None:
        table = table.drop_columns([name for name in ("id",) if name in table.column_names])
        table = table.add_column(2, "id", ids.take(table["index"].combine_chunks()))
    key = None
    if options.random_controls:
        table, key = blind_table(table, mined, ranking)
    contents: dict[Path, Any] = {}
    if written_as is not None and annotation is None:
        contents[files["output"]] = lambda file: WRITERS[written_as](table, file)
    if "key" in files:
        contents[files["key"]] = lambda file: WRITERS["csv"](key, file)
    if asked is not None and not len(table):
        watcher.warned("no row is on the list: no gallery is written")
    elif asked is not None:
        page = asked.page(table, inputs, controls=bool(options.random_controls), watcher=watcher)
        contents[files["gallery"]] = lambda file: page.write(file, files["gallery"].stem)
    if weights is not None and "as_weights" in files:
        contents[files["as_weights"]] = npy_bytes(weights.values())
    if weights is not None and "as_sampler" in files:
        right = None if transitions is None else weights.likely_right()
        contents[files["as_sampler"]] = npy_bytes(hard_sample(run, ranking, right, options.ratio))
    # the folder last: what remains are renames
    folder = None if annotation is None else partial(annotation.write, table, inputs, watcher)
    write_files(contents, *(() if folder is None else (folder,)))
    if asked is not None and len(table):
        asked.tell_size(watcher)
    paths = tuple(contents) if annotation is None else (files["output"], *contents)
    n_expected = expected.of_run if expected is not None else None if found is None else found.n_expected
    return Mined(table, ranking.name, selection.n_rows, n_expected, key, paths)


def _gallery(run: Run, path: Path, options: Any) -> Any:
    from evaltool.mine.gallery import AskedGallery  # here: most lists have none, and jinja2 takes its time

    names = ("images", "text", "blind", "thumb", "link")
    return AskedGallery(run, path, **{name: getattr(options, name) for name in names})


def _annotation(run: Run, path: Path, options: Any) -> Any:
    from evaltool.mine.formats.asked import AskedAnnotation  # here: most lists are tables

    names = ("images", "text", "shown", "link", "overwrite")
    return AskedAnnotation(run, options.format, path, **{name: getattr(options, name) for name in names})


def _inputs(run: Run, ranking: Ranking, options: Any, watcher: Watcher, *, alike: bool) -> Inputs | None:
    """Return the predictions and labels where the score, the budget, likeness or regions are made of them.

    Raises:
        EvaltoolError: they cannot be read, and the list cannot be made without them.
    """
    if ranking.column is not None and not alike and options.budget is None and run.task != "segmentation":
        return None
    try:
        return Inputs(run, preds=options.preds, labels=options.labels)
    except EvaltoolError as error:
        if ranking.column is not None and options.budget is not None:
            raise EvaltoolError(f"--budget auto counts errors in the predictions: {error}") from None
        if ranking.column is None or alike or options.preds is not None or options.labels is not None:
            raise
        watcher.warned(f"no boxes of the worst regions: {str(error).splitlines()[0]}")
        return None


def _stream(
    run: Run,
    ranking: Ranking,
    inputs: Inputs | None,
    found: LabelErrors | None,
    embeddings: Any,
    selection: Selection,
    weights: SampleWeights | None,
    passing: Filter,
    expected: ExpectedErrors | None,
    watcher: Watcher,
) -> None:
    """Take every candidate to the weights and the expected errors and, past the filters, to the selection."""
    if ranking.column is not None:
        blocks = streams.of_column(run, ranking, watcher)
    elif found is None:
        assert inputs is not None
        blocks = streams.of_masks(inputs, watcher)
    else:
        assert inputs is not None
        blocks = streams.of_predictions(inputs, ranking, found, watcher)
    if embeddings is not None and ranking.word == LABEL_ERROR:
        blocks = _with_neighbours(run, blocks, embeddings)
    for start, stop, rows in blocks:
        if weights is not None:
            weights.add(rows)
        passed = passing.keep(rows, start, stop)
        if expected is not None:
            expected.add(rows, passed)
        selection.add(passed)


def _with_neighbours(run: Run, blocks: streams.Blocks, embeddings: Any) -> streams.Blocks:
    """Return all candidates as one block, ranked by the mean of their ranks by score and by the neighbours' labels."""
    if run.task not in ("multiclass", "binary"):
        raise EvaltoolError(
            f"--embeddings rank labels of one class per sample\n  {run.name}: task {run.task}\n"
            "  Leave --embeddings out."
        )
    rows = np.concatenate([rows for _, _, rows in blocks])
    labels = np.full(run.n_samples, -1)
    labels[rows["index"]] = rows["label"]
    rows["key"] = mean_ranks(rows["key"], disagreement(embeddings, labels)[rows["index"]])
    yield 0, run.n_samples, rows
