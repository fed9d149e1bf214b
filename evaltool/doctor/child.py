"""Probes run in a process of their own: a library that crashes or prints takes nothing along."""

import json
import signal
import subprocess
import sys
from typing import Any

TIMEOUT = 120  # seconds; a first import from a slow disk takes many
START = (
    "import json, sys; path, name, arguments = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from evaltool.doctor import probes; print('\\n' + json.dumps(getattr(probes, name)(*arguments)))"
)


def probe(name: str, *arguments: Any) -> dict[str, Any]:
    """Return what a function of ``evaltool.doctor.probes`` returns, or why it does not under ``error``.

    Args:
        name: the function's name.
        arguments: its arguments, of JSON's types.

    Returns:
        The function's dict, whose ``error`` is None unless it says one itself.
    """
    command = [sys.executable, "-c", START, json.dumps([sys.path, name, arguments])]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {TIMEOUT} s"}
    except OSError as error:
        return {"error": f"{sys.executable}: {error.strerror}"}
    if ended.returncode < 0:
        return {"error": f"the process was ended by {signal.Signals(-ended.returncode).name}"}
    if ended.returncode:
        return {"error": (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1].strip()}
    return {"error": None, **json.loads(ended.stdout.splitlines()[-1])}
