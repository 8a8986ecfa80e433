"""A real browser that watches what its pages do: errors, broken policies, requests to other hosts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_browser = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.asyncio(loop_scope="module"),  # the browser's own
]

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS = (390, 1280)
THEMES = ("light", "dark")


@dataclass
class Window:
    """A page of the browser, and what went wrong in it."""

    page: Page
    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    async def assert_accessible(self, *, contrast: bool = True) -> None:
        """No finding of axe-core that is serious or worse. https://github.com/dequelabs/axe-core

        `contrast`: of colours, too, which takes longer than all else on a page of thousands of elements.
        """
        rules = {"color-contrast": {"enabled": contrast}}
        found = await Axe().run(self.page, options={"resultTypes": ["violations"], "rules": rules})
        serious = [
            f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0]['failureSummary'][:300]}"
            for each in found.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, "\n".join(serious)


@asynccontextmanager
async def window(browser: Browser, *, theme: Any = "light", width: int = 1280, **context: Any) -> AsyncIterator[Window]:
    """One page, with cookies of its own. At the end nothing may have gone wrong in it, nor another host been asked."""
    around = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme, **context)
    async with around:
        page = await around.new_page()
        page.set_default_timeout(30_000)
        found = Window(page, around)
        page.on("pageerror", lambda error: found.faults.append(str(error)))
        page.on("console", lambda said: found.faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: found.hosts.add(urlsplit(request.url).hostname or ""))
        yield found
    assert found.faults == []
    assert found.hosts <= {"127.0.0.1", ""}
