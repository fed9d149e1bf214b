"""What stands on an image in CVAT's XML: by it, what a reviewer left alone is known from what was changed."""

import hashlib
import json
from xml.etree import ElementTree as Xml

STATE = "state"  # the attribute of a multilabel tag that says absent or present
WRITTEN_AS = "auto"  # the source of what evaltool writes; CVAT makes semi-auto of it where somebody changes it
UNTOUCHED = (WRITTEN_AS, "file")  # sources that no person has


def shapes_digest(image: Xml.Element) -> str:
    """Return what is equal for images with the same labels and masks, in whatever order CVAT writes them."""
    found = sorted(json.dumps(_shape(shape)) for shape in image)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:32]


def is_untouched(image: Xml.Element) -> bool:
    """Whether no shape says that a person made or changed it; none that was removed can say so."""
    return all(shape.get("source", "manual") in UNTOUCHED for shape in image)


def _shape(shape: Xml.Element) -> list[str]:
    if shape.tag == "tag":
        states = [attribute.text or "" for attribute in shape.findall("attribute") if attribute.get("name") == STATE]
        return ["tag", shape.get("label", ""), *states]
    place = [shape.get(key, "") for key in ("label", "left", "top", "width", "height")]
    if shape.tag == "mask":
        return ["mask", *place, "".join(shape.get("rle", "").split())]
    return [shape.tag, *place, *map(str, sorted(shape.items()))]
