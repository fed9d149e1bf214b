"""Metadata as formats with nothing but texts hold it: texts as they are, all else as JSON."""

import json
from collections.abc import Mapping
from typing import Any


def prop_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata as texts."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
    }


def parsed_props(props: Mapping[str, str]) -> dict[str, Any]:
    """Return metadata from texts: JSON where it was written so."""
    found: dict[str, Any] = {}
    for key, value in props.items():
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
