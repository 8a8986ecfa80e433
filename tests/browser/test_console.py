"""The console in a real browser: what an owner does there, and that it is fit for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.browser import ARGUMENTS, CHROMIUM, THEMES, WIDTHS, Window, needs_browser, window
from tests.business import ANA, BEN, EVA, KEY, Business, business
from wabot.sandbox.behaviour import error

pytestmark = needs_browser

PAGES = ("", "/conversations", f"/conversations/{ANA}", "/outbox", "/outbox?view=all", "/batches", "/batches/new",
         "/knowledge", "/setup", "/events")  # fmt: skip


@asynccontextmanager
async def shop(data_dir: Path) -> AsyncIterator[Business]:
    """wabot with something on every page."""
    sections = {
        "whatsapp": {"business_account_id": "200000000000002"},
        "first_contact": {"answer": "ai"},
    }
    endpoint = {"url": "http://127.0.0.1:9/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    async with business(data_dir, events=[endpoint], **sections) as b:
        b.meta.behaviour.always(EVA, error(131053))
        await b.meta.say("Do you have tulips?", from_=ANA, name="Ana García")
        await b.meta.say("agent", from_=BEN, name="Ben")
        await until(lambda: len({each.to for each in b.meta.sent}) >= 2)
        await b.post("/initiate-bulk", {"numbers": [EVA, "12"]})
        yield b


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def sign_in(w: Window, b: Business) -> None:
    await w.page.goto(f"{b.url}/console")
    await w.page.get_by_label("API key").fill(KEY)
    await w.page.get_by_role("button", name="Sign in").click()
    await w.page.get_by_role("heading", name="Now").wait_for()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_is_fit_for_all_in_both_themes_and_sizes(
    tmp_path: Path, browser: Browser, theme: str, width: int
) -> None:
    async with shop(tmp_path / "data") as b, window(browser, theme=theme, width=width) as w:
        await w.page.goto(f"{b.url}/console")
        await w.assert_accessible()
        await sign_in(w, b)
        for path in PAGES:
            await w.page.goto(f"{b.url}/console{path}")
            if path == "/setup":
                await w.page.get_by_text("Access token").wait_for()
            await w.assert_accessible()
            too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await w.page.evaluate(too_wide), path


async def test_the_seven_pages_are_links(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        for name in ("Conversations", "Outbox", "Batches", "Knowledge", "Setup", "Events", "Now"):
            await w.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
            await w.page.get_by_role("heading", level=1, name=name).wait_for()


async def test_a_person_takes_over_and_hands_back_while_messages_appear_by_themselves(
    tmp_path: Path, browser: Browser
) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.get_by_role("link", name="Ben").first.click()
        await w.page.get_by_text("asks for a person").wait_for()
        await w.page.get_by_label("Write as a person").fill("Anna here. How can I help?")
        await w.page.get_by_label("Write as a person").press("Enter")
        await w.page.get_by_role("log").get_by_text("Anna here. How can I help?").wait_for()
        await b.meta.say("I want to change my order", from_=BEN, name="Ben")
        await w.page.get_by_role("log").get_by_text("I want to change my order").wait_for()  # nobody has reloaded
        said = [each.payload["text"]["body"] for each in b.meta.sent if each.to == BEN and each.type == "text"]
        assert said[-1] == "Anna here. How can I help?"
        await w.page.get_by_role("button", name="Hand back to the assistant").click()
        await w.page.get_by_text("The assistant answers", exact=True).wait_for()
        await b.meta.say("Do you have roses?", from_=BEN, name="Ben")
        await w.page.get_by_role("log").get_by_text("assistant ·").last.wait_for()


async def test_a_half_typed_answer_stays_when_a_message_comes(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/{ANA}")
        await w.page.get_by_label("Write as a person").fill("Half of what I")
        await b.meta.say("Are you there?", from_=ANA, name="Ana García")
        await w.page.get_by_role("log").get_by_text("Are you there?", exact=True).wait_for()
        assert await w.page.get_by_label("Write as a person").input_value() == "Half of what I"


async def test_a_pasted_text_that_is_too_long_is_neither_cut_nor_sent(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/{ANA}")
        field = w.page.get_by_label("Write as a person")
        await field.fill("z" * 5000)
        await w.page.get_by_role("button", name="Send", exact=True).click()
        await w.page.locator("textarea:invalid").wait_for()
        assert len(await field.input_value()) == 5000
        await field.fill("z" * 4096)
        await field.press("Enter")
        await w.page.get_by_text("The message is on its way").wait_for()
        said = [each.payload["text"]["body"] for each in b.meta.sent if each.to == ANA and each.type == "text"]
        assert not [text for text in said if text.startswith("zz") and len(text) != 4096]


async def test_long_names_and_numbers_leave_what_is_beside_them_in_its_place(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await b.meta.say("Hello", from_="491711234599", name="Maximiliana-" + "ohneleerzeichen" * 8)
        await b.post("/initiate-bulk", {"numbers": ["491711234597", EVA]})
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations")
        line = w.page.locator(".contact", has_text="Maximiliana")
        name, time = await line.locator("strong").bounding_box(), await line.locator("time").bounding_box()
        around = await line.bounding_box()
        assert name is not None
        assert time is not None
        assert around is not None
        assert name["x"] + name["width"] <= time["x"]
        assert time["x"] + time["width"] <= around["x"] + around["width"]
        assert time["height"] < 30
        await w.page.goto(f"{b.url}/console/batches")
        await w.page.get_by_role("link", name="messages").first.click()
        number = await w.page.get_by_role("link", name="491711234597").bounding_box()
        assert number is not None
        assert number["height"] < 30, "a number is one line"
        await w.page.set_viewport_size({"width": 390, "height": 800})
        await w.page.goto(f"{b.url}/console/outbox")
        words = await w.page.locator(".row.bad .grow").first.bounding_box()
        assert words is not None
        assert words["width"] > 300, "the button stands below the words"


async def test_a_button_in_a_tile_stays_within_it_in_spanish_on_a_phone(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser, width=390) as w:
        b.meta.behaviour.always(BEN, error(190))
        await b.post("/messages", {"number": BEN, "text": "Hello"}, headers={"Prefer": "wait=0"})
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/language?to=es&next=/console")
        tile = w.page.locator(".tile", has_text="Intentar ahora")
        around, button = await tile.bounding_box(), await tile.get_by_role("button").bounding_box()
        assert around is not None
        assert button is not None
        assert button["x"] + button["width"] < around["x"] + around["width"] - 8, "the padding is kept"


async def test_by_keyboard_one_finds_opens_and_answers_a_contact(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations")
        await w.page.keyboard.press("?")
        await w.page.get_by_role("dialog", name="Keyboard").wait_for()
        await w.page.keyboard.press("Escape")
        await w.page.keyboard.press("/")
        await w.page.keyboard.type("Ana Garc")
        await w.page.keyboard.press("Enter")
        await w.page.wait_for_url("**search=Ana**")
        await w.page.keyboard.press("j")
        await w.page.keyboard.press("Enter")
        await w.page.wait_for_url(f"**/conversations/{ANA}*")
        await w.page.keyboard.press("w")
        await w.page.keyboard.type("Hello Ana / how are you?")
        await w.page.keyboard.press("Enter")
        await w.page.get_by_role("log").get_by_text("Hello Ana / how are you?").wait_for()
        await w.page.keyboard.press("Escape")
        await w.page.wait_for_url("**/conversations")


async def test_the_focus_stays_while_the_list_changes_under_it(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations")
        link = w.page.get_by_role("link", name="Ana García")
        await link.evaluate("link => { link.focus(); link.dataset.old = 'yes'; }")
        await b.meta.say("Are you open?", from_=ANA, name="Ana García")
        await w.page.locator(".contact-list [data-old]").wait_for(state="detached")
        assert await link.evaluate("link => link === document.activeElement")


async def test_who_reads_further_up_stays_there_and_what_is_new_is_announced(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        for n in range(12):
            await b.meta.say(f"Line {n}\n" * 8, from_=BEN, name="Ben")
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/{BEN}")
        talk = w.page.get_by_role("log")
        await talk.evaluate("talk => { talk.scrollTop = 100; }")
        await b.meta.say("Hello again?", from_=BEN, name="Ben")
        await w.page.locator("#news", has_text="Hello again?").wait_for(state="attached")
        assert await talk.evaluate("talk => talk.scrollTop") == 100


async def test_an_answer_quotes_the_message_that_it_answers(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        wamid, _ = await b.meta.say("Do you have lilies?", from_=ANA, name="Ana García")
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/{ANA}")
        asked = w.page.locator(".bubble", has_text="Do you have lilies?")
        await asked.get_by_role("link", name="Reply").last.click()
        await w.page.get_by_text("In answer to:").wait_for()
        await w.page.get_by_label("Write as a person").fill("We do.")
        await w.page.get_by_role("button", name="Send").click()
        await w.page.get_by_role("log").get_by_text("We do.").wait_for()
        (answer,) = [one.payload for one in b.meta.sent if one.payload.get("text", {}).get("body") == "We do."]
        assert answer["context"] == {"message_id": wamid}


async def test_a_template_is_chosen_filled_in_and_seen_before_it_is_sent(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        b.meta.templates.add("parcel", "en_US", "UTILITY", [{
            "type": "BODY", "text": "Dear {{1}}, your parcel comes on {{2}}.",
            "example": {"body_text": [["Ana", "Monday"]]},
        }])  # fmt: skip
        await b.get("/templates", params={"refresh": "true"})
        await b.post("/messages", {"number": "491711234568", "template": {"name": "hello_world", "language": "en_US"}})
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/491711234568")
        await w.page.get_by_label("Template").select_option("parcel (en_US)")
        await w.page.get_by_label("Value 1").fill("<b>Eva</b>")
        await w.page.get_by_label("Value 2").fill("Friday")
        await w.page.get_by_text("Dear <b>Eva</b>, your parcel comes on Friday.").wait_for()
        await w.page.get_by_role("button", name="Send", exact=True).click()
        await w.page.get_by_text("The message is on its way").wait_for()
        await until(lambda: any("Friday" in str(each.payload) for each in b.meta.sent))


async def test_a_failed_send_is_understood_and_sent_again(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.get_by_role("link", name="Outbox").click()
        await w.page.get_by_text("Meta could not fetch the file").wait_for()
        await w.page.get_by_text("Of all that failed or is held back, one surely did not arrive.").wait_for()
        b.meta.behaviour.clear()
        w.page.once("dialog", lambda dialog: asyncio.create_task(dialog.accept()))  # whether they really are to be sent
        await w.page.get_by_role("button", name="Send again").first.click()
        await w.page.get_by_text("They are tried again.").wait_for()
        await until(lambda: any(each.to == EVA and each.wamid for each in b.meta.sent))


async def test_a_batch_from_a_file(tmp_path: Path, browser: Browser) -> None:
    file = tmp_path / "people.csv"
    file.write_text("number,1\n+49 171 1234568,Lea\n+49 171 1234569,Tom\n", "utf-8")
    async with shop(tmp_path / "data") as b, window(browser) as w:
        b.meta.templates.add("welcome", "en_US", "UTILITY", [{"type": "BODY", "text": "Welcome, {{1}}!"}])
        await sign_in(w, b)
        await w.page.get_by_role("link", name="Batches").click()
        await w.page.get_by_role("link", name="New batch").click()
        await w.page.get_by_label("Template").select_option("welcome/en_US")
        await w.page.get_by_label("Or a file").set_input_files(file)
        await w.page.wait_for_function("document.getElementById('table').value.includes('Lea')")
        await w.page.get_by_role("button", name="Check").click()
        await w.page.get_by_text("Welcome, Lea!").wait_for()
        await w.page.get_by_role("button", name="Send 2 messages").click()
        await w.page.get_by_text("2 sent, 0 failed, 0 still to be sent").wait_for()
        assert {each.to for each in b.meta.sent} >= {"491711234568", "491711234569"}


async def test_pages_that_are_left_keep_no_connection_and_live_again_when_one_goes_back(tmp_path: Path) -> None:
    """A browser has six connections for one address, and keeps pages that are left for when one goes back to them."""
    async with shop(tmp_path / "data") as b, async_playwright() as playwright:
        keeping = {"ignore_default_args": ["--disable-back-forward-cache"], "args": ARGUMENTS}
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, **keeping)  # type: ignore[arg-type]
        async with window(browser) as w:
            await sign_in(w, b)
            w.page.set_default_timeout(10_000)
            for _ in range(2):
                for name in ("Outbox", "Batches", "Conversations", "Knowledge", "Now"):
                    await w.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
                    await w.page.wait_for_load_state("load")
            await w.page.get_by_role("navigation").get_by_role("link", name="Events", exact=True).click()
            await w.page.wait_for_load_state("load")
            await w.page.go_back(wait_until="commit")
            await b.meta.say("agent", from_="491711234577", name="Zoe")
            await w.page.get_by_text("Zoe has waited").first.wait_for()
        await browser.close()


async def test_a_stranger_finds_why_there_was_no_answer_and_answers_by_hand(tmp_path: Path, browser: Browser) -> None:
    """Two clicks by what is written on the page: the first page says why, and its button leads to the talk."""
    assistant = {"provider": "openai", "model": "m", "api_key": "k", "base_url": "http://127.0.0.1:9"}
    async with (
        business(tmp_path / "data", assistant=assistant, first_contact={"answer": "ai"}) as b,
        window(browser) as w,
    ):
        await b.meta.say("Do you have tulips?", from_=ANA, name="Ana")
        await b.meta.say("agent", from_=ANA, name="Ana")
        await sign_in(w, b)
        await w.page.get_by_text("The model m (openai) does not answer").wait_for()
        await w.page.get_by_role("link", name="Answer").first.click()
        await w.page.get_by_label("Write as a person").fill("Yes, red ones.")
        await w.page.get_by_role("button", name="Send", exact=True).click()
        await w.page.get_by_text("The message is on its way").wait_for()


async def test_a_stranger_stops_a_batch_and_sees_what_meta_said(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        later = datetime.now(UTC) + timedelta(days=1)
        people = {"numbers": ["491711234568", "491711234569"], "send_at": later.isoformat()}
        batch = (await b.post("/initiate-bulk", people)).json["batch_id"]
        await sign_in(w, b)
        await w.page.get_by_role("link", name="Batches").click()
        await w.page.get_by_role("link", name="2 messages").first.click()
        w.page.once("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await w.page.get_by_role("button", name="Stop this batch").click()
        await w.page.get_by_text("What had not left was cancelled").wait_for()
        assert (await b.get(f"/batches/{batch}")).json["state"] == "cancelled"
        await w.page.get_by_role("link", name="Outbox").click()
        await w.page.keyboard.press("j")
        assert await w.page.get_by_role("link", name=f"+{EVA}").evaluate("link => link === document.activeElement")
        await w.page.get_by_role("link", name="What Meta said").click()
        said = w.page.locator("section", has=w.page.get_by_role("heading", name="What Meta said"))
        await said.get_by_text("(#131053) Media upload error").wait_for()


async def test_forgetting_asks_first(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path / "data") as b, window(browser) as w:
        await sign_in(w, b)
        await w.page.goto(f"{b.url}/console/conversations/{ANA}")
        w.page.once("dialog", lambda dialog: asyncio.ensure_future(dialog.dismiss()))
        await w.page.get_by_role("button", name="Forget this person").click()
        assert (await b.get(f"/contacts/{ANA}")).status == 200
        w.page.once("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await w.page.get_by_role("button", name="Forget this person").click()
        await w.page.get_by_text("This person was forgotten").wait_for()
        assert (await b.get(f"/contacts/{ANA}")).status == 404
