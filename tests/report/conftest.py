"""Pages opened in the session's browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaltool.report.page import page_of


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """Opens a document's page: the tab, what its console said, what it asked a network for, and its dialogs."""
    contexts = []

    def open_page(document: dict[str, Any], *, width: int = 1280, **options: Any) -> SimpleNamespace:
        path = tmp_path / "report.html"
        path.write_text(page_of(document), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        seen = SimpleNamespace(tab=context.new_page(), console=[], requests=[], dialogs=[], path=path)
        seen.tab.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
        seen.tab.on("pageerror", lambda error: seen.console.append(f"error: {error}"))
        seen.tab.on("request", lambda request: seen.requests.append(request.url))
        seen.tab.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        seen.tab.goto(path.as_uri())
        seen.tab.wait_for_selector("html[data-ready]", state="attached")
        return seen

    yield open_page
    for context in contexts:
        context.close()
