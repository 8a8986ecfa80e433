"""The phone in a real browser, with the real process of the sandbox behind it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.browser import THEMES, WIDTHS, needs_browser, window
from tests.sandbox.test_phone import phone

pytestmark = needs_browser


async def test_chat_kill_and_the_answer_comes_all_the_same_once(tmp_path: Path, browser: Browser) -> None:
    async with phone(tmp_path) as p, window(browser) as w:
        await w.page.goto(f"{p.url}/")
        await w.page.get_by_role("button", name="Ana").wait_for()
        message = w.page.get_by_label("Message")
        await message.fill("how much is it?")
        await message.press("Enter")
        answer = w.page.get_by_role("log").get_by_text("A visit costs 25 €")
        await answer.wait_for()
        await w.page.get_by_label("The model").select_option("slow")
        await message.fill("what are your opening hours?")
        await message.press("Enter")
        await w.page.get_by_text("wabot is typing").wait_for()
        await w.page.get_by_role("button", name="kill −9 and restart").click()
        await w.page.get_by_text("killed 1×").wait_for()
        await w.page.get_by_role("button", name="Mend everything").click()
        await w.page.get_by_role("log").get_by_text("We are open Monday to Friday").wait_for()
        await asyncio.sleep(2)
        assert await w.page.get_by_role("log").get_by_text("We are open Monday to Friday").count() == 1
        assert await answer.count() == 1


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_the_phone_is_fit_for_all_in_both_themes_and_sizes(
    tmp_path: Path, browser: Browser, theme: str, width: int
) -> None:
    async with phone(tmp_path) as p, window(browser, theme=theme, width=width) as w:
        await w.page.goto(f"{p.url}/")
        await w.page.get_by_label("Message").fill("hello")
        await w.page.keyboard.press("Enter")
        await w.page.get_by_role("log").get_by_text("Hello, and welcome!").wait_for()
        await w.assert_accessible()
        if width < 1000:
            for tab in ("Wire", "Trouble"):
                await w.page.get_by_role("button", name=tab).click()
                await w.assert_accessible()
        too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not await w.page.evaluate(too_wide)


async def test_a_new_customer_buttons_and_the_wire(tmp_path: Path, browser: Browser) -> None:
    async with phone(tmp_path) as p, window(browser) as w:
        await w.page.goto(f"{p.url}/")
        await w.page.get_by_label("New customer").fill("Bo")
        await w.page.get_by_label("hides the number").check()
        await w.page.get_by_role("button", name="Add").click()
        await w.page.get_by_text("@bo, number hidden").wait_for()
        await w.page.get_by_label("Message").fill("hello")
        await w.page.keyboard.press("Enter")
        await w.page.get_by_role("log").get_by_text("Hello, and welcome!").wait_for()
        bo = (await p.state())["talks"][1]
        buttons = {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "body": {"text": "Tulips or roses?"},
                "action": {"buttons": [{"type": "reply", "reply": {"id": "t", "title": "Tulips"}}]},
            },
        }
        async with p.client.post(f"{p.wabot_url}/messages", json={"number": bo["who"], "message": buttons}) as answer:
            assert answer.status == 200, await answer.text()
        await w.page.get_by_role("button", name="Tulips", exact=True).click()
        await w.page.get_by_role("log").locator(".mine").get_by_text("Tulips", exact=True).wait_for()
        await w.page.get_by_label("Search the wire").fill("button_reply")
        await w.page.locator("#exchanges summary:visible").first.click()
        await w.page.get_by_role("button", name="Replay").first.wait_for()
        assert re.search("button_reply", await w.page.locator("#exchanges pre:visible").first.inner_text())
