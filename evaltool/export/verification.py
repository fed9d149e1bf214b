"""``verify``: does a file compute what its manifest says, and is it the file that the manifest is of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaltool.artifacts.trust import file_sha256, read_manifest
from evaltool.errors import EvaltoolError
from evaltool.export.comparison import LIMIT
from evaltool.export.files import SUFFIXES, read_file
from evaltool.export.request import ALL_RANKS
from evaltool.export.subject import Subject, signature_of, subject_of
from evaltool.export.triton import is_servable, triton_config
from evaltool.export.write import CONFIG, MANIFEST, Item, measured, specs_of, too_far_off

LARGEST_CONFIG = 1 << 20  # bytes
MEASURED = ("sha256", "errors", "worst_error")  # in a manifest and not in the file


@dataclass(frozen=True)
class Verified:
    """What a file turned out to be.

    Attributes:
        path: of the file, or of its manifest.
        worst_error: the largest of all cases, relative to float64; None where it was not run.
        case: in which that was.
        failure: what is wrong; None if nothing.
    """

    path: str
    worst_error: float | None
    case: str | None
    failure: str | None

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def manifests_under(paths: Sequence[Path]) -> list[Path]:
    """Return the manifests of files, artifacts' folders and whole repositories.

    Raises:
        EvaltoolError: a path does not exist, or has no manifest.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise EvaltoolError(f"no such file or folder\n  {path}\n  Give an artifact, its folder, or a repository.")
        if path.is_dir():
            manifests = sorted(path.rglob(MANIFEST))
        elif path.name == MANIFEST:
            manifests = [path]
        else:
            manifests = [folder / MANIFEST for folder in path.absolute().parents[:2] if (folder / MANIFEST).is_file()][
                :1
            ]
        if not manifests:
            raise EvaltoolError(
                f"no manifest says what this computes\n  {path}: no {MANIFEST} beside it, above it or in it\n"
                "  Write the file with evaltool export."
            )
        found |= dict.fromkeys(manifests)
    return list(found)


def verified(manifest: Path, *, device: str = "cpu") -> Iterator[Verified]:
    """Yield what the files of a manifest turn out to be."""
    told = read_manifest(manifest)
    digests = told.get("sha256")
    if not isinstance(digests, dict) or not digests or not all(isinstance(text, str) for text in digests.values()):
        yield Verified(str(manifest), None, None, "no manifest: it names no file and its sha256")
        return
    for inside, digest in digests.items():
        path = manifest.parent / inside
        try:
            yield _file(manifest.parent, path, told, digest, device)
        except EvaltoolError as error:
            yield Verified(str(path), None, None, str(error))
        except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            yield Verified(str(path), None, None, f"the manifest does not say what the file computes\n  {reason}")


def _file(folder: Path, path: Path, told: Mapping[str, Any], digest: str, device: str) -> Verified:
    kind = {suffix: kind for kind, suffix in SUFFIXES.items()}.get(path.suffix.removeprefix("."))
    if kind is None or not path.resolve().is_relative_to(folder.resolve()):
        reason = "no artifact: expected .pt, .onnx or .pt2 in the manifest's folder"
        return Verified(str(path), None, None, reason)
    if not path.is_file():
        return Verified(str(path), None, None, "the file is missing")
    found = file_sha256(path)
    if found != digest:
        return Verified(str(path), None, None, f"sha256 {found[:16]}..., the manifest's file has {digest[:16]}...")
    subject = subject_of(told)
    if kind == "pt2":
        device = told["device"]
    run, inside = read_file(path, kind, subject, device, trust=False)  # the manifest has to vouch for it
    errors = measured(run, item_of(kind, subject, told))
    case = max(errors, key=lambda name: errors[name])
    failure: str | None
    if inside != {name: value for name, value in told.items() if name not in MEASURED}:
        failure = f"the file's metadata differ from the manifest's in {', '.join(_differing(inside, told))}"
    elif not _is_measured(told, errors):
        failure = "the manifest's errors are not those of the hard cases, or more than is allowed"
    else:
        servable = is_servable(kind, specs_of(told, "outputs"))
        failure = too_far_off(errors) or (_config_failure(folder, kind, told) if servable else None)
    return Verified(str(path), errors[case], case, failure)


def item_of(kind: str, subject: Subject, told: Mapping[str, Any]) -> Item:
    """Return the item that a manifest describes.

    Raises:
        ValueError: it does not say what the file takes.
    """
    try:
        inputs = {item["name"]: item for item in told["inputs"]}
        ranks = tuple(told["ranks"])
        if not ranks or not set(ranks) <= set(ALL_RANKS):
            raise ValueError(f"ranks {str(ranks)[:100]}, expected some of {ALL_RANKS}")
        rank = len(inputs["preds"]["shape"])
        signature = signature_of(subject, rank, inputs["preds"]["dtype"], inputs["labels"]["dtype"])
        shapes = [list(spec.shape) for spec in signature.inputs]
        if shapes != [inputs["preds"]["shape"], inputs["labels"]["shape"]]:
            raise ValueError(f"inputs {list(inputs.values())}, expected shapes {shapes}")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no inputs and ranks: {error!r}") from None
    return Item(kind, subject, signature, ranks)


def _differing(inside: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    nothing = object()
    names = [name for name in {**inside, **told} if name not in MEASURED]
    return [name for name in names if inside.get(name, nothing) != told.get(name, nothing)]


def _is_measured(told: Mapping[str, Any], errors: Mapping[str, float]) -> bool:
    """Whether a manifest tells an error of every case, none of them more than allowed, and the worst of them."""
    said = told.get("errors")
    if not isinstance(said, dict) or said.keys() != errors.keys():
        return False
    return all(isinstance(e, float) and 0 <= e <= LIMIT for e in said.values()) and told.get("worst_error") == max(
        said.values()
    )


def _config_failure(folder: Path, kind: str, told: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the server's description of an artifact."""
    try:
        if not (folder / CONFIG).is_file():  # a pipe would be waited for
            return f"{CONFIG} is missing or no text"
        with (folder / CONFIG).open("rb") as file:
            text = file.read(LARGEST_CONFIG).decode()
    except (OSError, UnicodeDecodeError):
        return f"{CONFIG} is missing or no text"
    expected = triton_config(kind, told["name"], specs_of(told, "inputs"), specs_of(told, "outputs"))
    return None if text == expected else f"{CONFIG} is not the one of this artifact"
