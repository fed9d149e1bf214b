"""Predictions that a model makes while they are scored."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from evaltool.artifacts.trust import file_sha256
from evaltool.errors import EvaltoolError
from evaltool.progress import Watcher
from evaltool.run.manifest import file_record, input_record
from evaltool.run.writer import check_output


@contextmanager
def opened_preds(preds: Any, options: Any, watcher: Watcher) -> Iterator[Any]:
    """Yield the predictions given, or, with ``options.model``, the rows that it predicts from them.

    Raises:
        EvaltoolError: the model or its inputs cannot be used.
    """
    if options.model is None:
        if options.output_name is not None:
            raise EvaltoolError(
                f"an output is chosen, but no model is given\n  --output-name {options.output_name}\n"
                "  Pass --model FILE, or leave --output-name out."
            )
        yield preds
        return
    if options.output is not None:  # before a model is loaded, which may take long
        check_output(Path(options.output), overwrite=options.overwrite)
    from evaltool.predictor import model_rows  # here: it takes torch

    rows = model_rows(
        options.model,
        preds,
        output_name=options.output_name,
        batch_size=options.batch_size or "auto",
        trust=options.trust,
        device=options.device,
        watcher=watcher,
    )
    with closing(rows):
        shape = ", ".join(map(str, ["N", *rows.shape[1:]]))
        watcher.decided(
            [f"model: {rows.model.path}, output {rows.output} [{shape}], {rows.model.provider} on {rows.device}"]
        )
        yield rows


def model_records(rows: Any) -> list[dict[str, Any]]:
    """Return what run.json records of a model and its inputs, nothing for predictions that were given."""
    model = getattr(rows, "model", None)
    if model is None:
        return []
    made = {"format": model.format, "provider": model.provider, "device": str(rows.device), "output": rows.output}
    record = {"role": "model", **file_record(model.path), "sha256": file_sha256(model.path), **made}
    return [record, *(input_record(f"input {feed.spec.name}", feed.rows) for feed in rows.feeds)]
