"""The API's reference in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.browser import THEMES, needs_browser, window
from tests.business import business

pytestmark = needs_browser

COLORS = """[...new Set([...document.querySelectorAll("body, body *")].map(element => {
  const style = getComputedStyle(element);
  return `${style.color} on ${style.backgroundColor}`;
}))].sort()"""


@pytest.mark.parametrize("theme", THEMES)
async def test_the_reference_is_fit_for_all_in_both_themes_and_sizes(
    tmp_path: Path, browser: Browser, theme: str
) -> None:
    async with business(tmp_path / "data") as b, window(browser, theme=theme, width=1280) as w:
        await w.page.goto(f"{b.url}/docs")
        await w.assert_accessible()
        assert await w.page.evaluate("document.documentElement.scrollWidth") <= 1280, "it scrolls sideways"
        colors = await w.page.evaluate(COLORS)

        await w.page.set_viewport_size({"width": 390, "height": 800})
        assert await w.page.evaluate(COLORS) == colors, "their contrast has to be judged here, too"
        await w.assert_accessible(contrast=False)
        assert await w.page.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"


async def test_the_list_of_operations_leads_to_each_and_from_there_to_its_shapes(
    tmp_path: Path, browser: Browser
) -> None:
    async with business(tmp_path / "data") as b, window(browser) as w:
        await w.page.goto(f"{b.url}/docs")
        await w.page.get_by_role("navigation").get_by_role("link", name="POST /messages", exact=True).click()
        article = w.page.locator("article:target")
        assert (
            await article.get_by_role("heading").first.inner_text() == "POST /messages\nSend one message to one person"
        )
        await article.get_by_role("link", name="SendMessage").click()
        assert "reply_to" in await w.page.locator("article:target").inner_text()
        assert await w.page.evaluate("getComputedStyle(document.querySelector('article')).borderRadius") == "8px"
