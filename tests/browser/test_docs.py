"""The API's reference in a real browser."""

from __future__ import annotations

import pytest

from tests.browser.browser import THEMES, WIDTHS, needs_browser, window
from tests.business import Business

pytestmark = needs_browser


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_the_reference_is_fit_for_all_in_both_themes_and_sizes(wabot: Business, theme: str, width: int) -> None:
    async with window(theme=theme, width=width) as w:
        await w.page.goto(f"{wabot.url}/docs")
        await w.assert_accessible()
        assert await w.page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"


async def test_the_list_of_operations_leads_to_each_and_from_there_to_its_shapes(wabot: Business) -> None:
    async with window() as w:
        await w.page.goto(f"{wabot.url}/docs")
        await w.page.get_by_role("navigation").get_by_role("link", name="POST /messages", exact=True).click()
        article = w.page.locator("article:target")
        assert (
            await article.get_by_role("heading").first.inner_text() == "POST /messages\nSend one message to one person"
        )
        await article.get_by_role("link", name="SendMessage").click()
        assert "reply_to" in await w.page.locator("article:target").inner_text()
        assert await w.page.evaluate("getComputedStyle(document.querySelector('article')).borderRadius") == "8px"
