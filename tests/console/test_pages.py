"""What an owner reads on the pages, and what the buttons do."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.console.signed_in import Visitor, visitor
from tests.console.trouble import bad_day
from tests.process import served
from tests.stand_ins import OpenAIStandIn
from wabot.console import conversations, now, texts
from wabot.console.routes import ROUTES
from wabot.core.jobs import State
from wabot.sandbox.behaviour import error, undelivered


@pytest.fixture
async def owner(wabot: Business) -> AsyncIterator[Visitor]:
    async with visitor(wabot) as v:
        yield v


async def _answered(b: Business, number: str) -> None:
    while not [each for each in b.meta.sent if each.to == number]:
        await asyncio.sleep(0.01)


async def test_who_waits_for_a_person_comes_first_in_a_sentence(wabot: Business, owner: Visitor) -> None:
    assert "Nobody waits for a person" in (await owner.get("/console")).text
    await wabot.meta.say("agent", from_=ANA, name="Ana García")
    page = await owner.get("/console")
    assert re.search(r"Ana García has waited \d+ s: asks for a person", page.text)
    assert f"/console/conversations/{ANA}" in page.html


async def test_why_ana_got_no_answer(tmp_path: Path) -> None:
    """A model refuses the key: the first page says who waits, why, and what to do."""
    assistant = {"provider": "openai", "model": "m", "api_key": "k", "base_url": "http://127.0.0.1:9"}
    async with business(tmp_path / "data", assistant=assistant, first_contact={"answer": "ai"}) as b:
        async with visitor(b) as v:
            await b.meta.say("Do you have tulips?", from_=ANA, name="Ana")
            while "Nothing is wrong" in (page := await v.get("/console")).text:
                await asyncio.sleep(0.05)
        assert "The model m (openai) does not answer" in page.text
        assert "see [assistant]: base_url" in page.text


async def test_how_long_somebody_has_waited_for_an_answer_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now, "OWED_AFTER_SECONDS", 0.0)
    assistant = {"provider": "openai", "model": "m", "api_key": "k", "base_url": "http://127.0.0.1:9"}
    later = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
    sections = {"assistant": assistant, "delivery": later, "first_contact": {"answer": "ai"}}
    async with business(tmp_path / "data", **sections) as b, visitor(b) as v:
        await b.meta.say("Do you have tulips?", from_=ANA, name="Ana")
        while "Is tried again" not in (page := await v.get("/console")).text:
            await asyncio.sleep(0.05)
        assert re.search(r"Ana has waited \d+ s: Is tried again: no connection", page.text)
        page = await v.get(f"/console/conversations/{ANA}")
        assert re.search(r"An answer is owed for \d+ s. Is tried again: no connection", page.text)


async def test_a_person_answers_by_hand_and_hands_back(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("Hello", from_=ANA, name="Ana")
    await _answered(wabot, ANA)
    page = await owner.get(f"/console/conversations/{ANA}")
    assert "Write as a person" in page.text
    assert "You can write for another 23 h" in page.text
    page = await owner.post(f"/console/conversations/{ANA}/write", {"text": "Anna here: yes!", "takeover": "on"})
    assert "The message is on its way" in page.text
    assert "The assistant is silent" in page.text
    while wabot.meta.sent[-1].payload.get("text", {}).get("body") != "Anna here: yes!":
        await asyncio.sleep(0.01)
    page = await owner.post(f"/console/conversations/{ANA}/resume")
    assert "The assistant answers" in page.text


async def test_a_second_click_sends_nothing_and_other_words_are_another_message(
    wabot: Business, owner: Visitor
) -> None:
    await wabot.meta.say("Hello", from_=ANA, name="Ana")
    await _answered(wabot, ANA)
    page = await owner.get(f"/console/conversations/{ANA}")
    key = re.search(r'name="key" value="([^"]+)"', page.html)
    assert key is not None
    for text in ("Yes!", "Yes!", "And tulips, too"):
        page = await owner.post(f"/console/conversations/{ANA}/write", {"text": text, "key": key[1]})
        assert "The message is on its way" in page.text
    said: list[str] = []
    while "And tulips, too" not in said:
        await asyncio.sleep(0.01)
        said = [each.payload.get("text", {}).get("body", "") for each in wabot.meta.sent if each.to == ANA]
    assert said.count("Yes!") == 1


async def test_where_the_window_is_closed_only_a_template_can_be_sent(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp={"business_account_id": "200000000000002"}) as b:
        await b.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
        async with visitor(b) as v:
            page = await v.get(f"/console/conversations/{EVA}")
            assert "nothing but a template" in page.text
            assert "hello_world/en_US" in page.html
            before = len(b.meta.sent)
            refused = await v.post(f"/console/conversations/{EVA}/write", {"text": "too late"})
            assert refused.status == 422
            assert "has not written within 24 hours" in refused.text
            page = await v.post(f"/console/conversations/{EVA}/write", {"template": "hello_world/en_US"})
            assert "on its way" in page.text
            assert (await v.post(f"/console/conversations/{EVA}/write", {"template": "no/en_US"})).status == 422
            while len(b.meta.sent) == before:
                await asyncio.sleep(0.01)


async def test_a_person_sends_a_file_by_its_link(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("Hello", from_=ANA)
    await _answered(wabot, ANA)
    write = f"/console/conversations/{ANA}/write"
    file = {"kind": "image", "link": "https://example.com/tulips.jpg", "caption": "Our tulips"}
    assert (await owner.post(write, file)).status == 200
    while (sent := wabot.meta.sent[-1].payload).get("type") != "image":
        await asyncio.sleep(0.01)
    assert sent["image"] == {"link": "https://example.com/tulips.jpg", "caption": "Our tulips"}
    for wrong in ({**file, "kind": "template"}, {**file, "link": "javascript:alert(1)"}):
        assert (await owner.post(write, wrong)).status == 422


async def test_the_buttons_of_a_contact(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("Hello", from_=ANA)
    base = f"/console/conversations/{ANA}"
    for verb, key, value in (
        ("pause", "assistant", "paused"),
        ("resume", "assistant", "on"),
        ("opt-out", "stopped", "all"),
        ("opt-in", "stopped", None),
    ):
        assert (await owner.post(f"{base}/{verb}")).status == 200
        found = (await wabot.get(f"/contacts/{ANA}")).json[key]
        assert (found["state"] if key == "assistant" else found) == value, verb
    page = await owner.post(f"{base}/forget")
    assert "was forgotten" in page.text
    assert (await wabot.get(f"/contacts/{ANA}")).status == 404
    assert (await owner.get(base)).status == 404
    assert (await owner.post(f"{base}/explode")).status == 404


async def test_a_message_of_a_customer_is_never_html(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("<script>alert(1)</script>", from_=ANA, name='<img src=x onerror="alert(2)">')
    for path in ("/console/conversations", f"/console/conversations/{ANA}", "/console"):
        page = await owner.get(path)
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html
    assert "<script>alert(1)</script>" in (await owner.get(f"/console/conversations/{ANA}")).text


async def test_contacts_are_found_by_name_number_and_words(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("Do you have tulips?", from_=ANA, name="Ana")
    await wabot.meta.say("Do you have roses?", from_=BEN, name="Ben")
    for search in ("ana", ANA[-6:], "tulips"):
        page = await owner.get("/console/conversations", params={"search": search})
        assert ("Ana" in page.text, "Ben" in page.text) == (True, False), search


async def test_a_failed_send_is_understood_and_retried(wabot: Business, owner: Visitor) -> None:
    wabot.meta.behaviour.always(EVA, error(131026))
    await wabot.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
    page = await owner.get("/console/outbox")
    assert "This number has no WhatsApp" in page.text
    assert "Of all that failed or is held back, one surely did not arrive." in page.text
    assert "One message of the last 24 hours did not arrive." in (await owner.get("/console")).text
    (job,) = (await wabot.get("/outbox")).json["outbox"]
    shown = await owner.get(f"/console/outbox/{job['outbox_id']}")
    assert "What Meta said" in shown.text
    assert "hello_world" in shown.text
    wabot.meta.behaviour.clear()
    page = await owner.post(f"/console/outbox/{job['outbox_id']}/retry")
    assert "It is tried again" in page.text
    while (await wabot.get(f"/outbox/{job['outbox_id']}")).json["state"] != "done":
        await asyncio.sleep(0.01)
    assert (await owner.get("/console/outbox/x-1")).status == 404
    for view in ("unread", "leaving", "parked", "replies", "all"):
        assert (await owner.get("/console/outbox", params={"view": view})).status == 200


async def test_what_meta_said_of_a_message_that_it_had_taken_comes_first(wabot: Business, owner: Visitor) -> None:
    wabot.meta.behaviour.always(EVA, undelivered(131026))
    await wabot.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
    while (job := (await wabot.get("/outbox")).json["outbox"][0])["message_status"] != "failed":
        await asyncio.sleep(0.01)
    shown = (await owner.get(f"/console/outbox/{job['outbox_id']}")).text
    said = shown[shown.index("What Meta said") :]
    assert said.index("131026") < said.index("Before that, Meta had taken it:") < said.index("messaging_product")


async def test_chosen_sends_are_shown_before_they_are_sent_again_or_cancelled(wabot: Business, owner: Visitor) -> None:
    wabot.meta.behaviour.always(EVA, error(131026))
    wabot.meta.behaviour.always(BEN, error(131026))
    for number in (EVA, BEN):
        await wabot.post("/messages", {"number": number, "template": {"name": "hello_world"}})
    page = await owner.get("/console/outbox")
    ids = re.findall(r'name="id" value="([^"]+)"', page.html)
    assert len(ids) == 2
    assert "Nothing is chosen" in (await owner.post("/console/outbox/chosen")).text
    shown = await owner.post("/console/outbox/chosen", {"id": ids})
    assert "2 of them surely did not arrive" in shown.text
    assert "This number has no WhatsApp" not in shown.text
    assert {EVA, BEN} <= set(re.findall(r"\d{10,}", shown.text))
    wabot.meta.behaviour.clear()
    before = len(wabot.meta.sent)
    page = await owner.post("/console/outbox/chosen/retry", {"id": ids[:1]})
    assert "They are tried again." in page.text
    while len(wabot.meta.sent) == before:
        await asyncio.sleep(0.01)
    states = [(await wabot.get(f"/outbox/{job_id}")).json["state"] for job_id in ids]
    assert states[1] == "failed"
    assert states[0] in ("queued", "running", "done")


async def test_chosen_sends_that_have_not_left_are_cancelled(tmp_path: Path) -> None:
    async with business(tmp_path / "data", delivery={"backoff_base_seconds": 60, "backoff_max_seconds": 60}) as b:
        b.meta.behaviour.always(EVA, error(131000))
        await b.post("/messages", {"number": EVA, "template": {"name": "hello_world"}}, headers={"Prefer": "wait=0"})
        while not (jobs := (await b.get("/outbox")).json["outbox"])[0]["attempts"]:
            await asyncio.sleep(0.01)
        async with visitor(b) as v:
            ids = {"id": [jobs[0]["outbox_id"]]}
            assert "has not left and can be cancelled" in (await v.post("/console/outbox/chosen", ids)).text
            assert "was cancelled" in (await v.post("/console/outbox/chosen/cancel", ids)).text
        assert (await b.get(f"/outbox/{jobs[0]['outbox_id']}")).json["state"] == "cancelled"


TEMPLATE = "order_update/en_US"


async def test_a_batch_from_a_table_is_checked_started_once_and_stopped(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp={"business_account_id": "200000000000002"}) as b:
        body = {"type": "BODY", "text": "Hello {{1}}, your order {{2}} is ready."}
        b.meta.templates.add("order_update", "en_US", "UTILITY", [body])
        async with visitor(b) as v:
            table = "phone;name;order\n+49 171 1234567;Ana;17\n+49 171 1234567;Ana;17\n12;Ben;18\n"
            values = {"table": table, "template": TEMPLATE, "send_at": ""}
            page = await v.post("/console/batches/new", values)
            assert "Hello Ana, your order 17 is ready." in page.text
            assert "Send one message" in page.text
            swapped = await v.post("/console/batches/new", {**values, "column_1": "order", "column_2": "name"})
            assert "Hello 17, your order Ana is ready." in swapped.text
            key = re.search(r'name="key" value="([^"]+)"', page.html)
            assert key
            for _ in range(2):  # a second click is the same batch
                started = await v.post("/console/batches/start", {**values, "key": key[1]})
                assert "The batch was queued" in started.text
            while "1 sent, 1 failed" not in (page := await v.get(started.path)).text.replace("2 sent", "1 sent"):
                await asyncio.sleep(0.02)
            assert len([each for each in b.meta.sent if each.to == EVA]) == 1
            later = {**values, "send_at": "2026-01-01T00:00:00+00:00", "key": "k"}
            assert (await v.post("/console/batches/start", later)).status == 422
            missing = await v.post("/console/batches/new", {**values, "table": "number,1\n+491711234567,Ana\n"})
            assert "has no value for 2" in missing.text
            listed = await v.get("/console/batches")
            assert "3 messages order_update (en_US) settled" in listed.text
            stopped = await v.post(f"{started.path}/cancel")
            assert stopped.status == 200
            assert (await v.get("/console/batches/nothing")).status == 404


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("+919876543210,Ana\n+919876543211,Ben", "The first line of the table has a number, +919876543210"),
        ("number,number,name\n+919876543210,+919876543211,Ana", "Two columns of the table are called number"),
        ('number,name\n+919876543210,"Ana\n+919876543211,Ben', "of the table is no CSV"),
        ('number,name\n+919876543210,"Ana\n+919876543211,Ben"', "a value of several lines"),
        (f'number,name\n+919876543210,"{"x" * 140_000}"', "of the table is no CSV"),
    ],
)
async def test_a_table_that_would_leave_out_or_mix_up_people_is_refused(tmp_path: Path, table: str, words: str) -> None:
    async with business(tmp_path / "data", whatsapp={"business_account_id": "200000000000002"}) as b, visitor(b) as v:
        page = await v.post("/console/batches/new", {"table": table, "template": "invitation/en_US"})
        assert words in page.text
        assert "Send one message" not in page.text


async def test_a_table_of_ten_thousand_people_fits_into_the_form(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp={"business_account_id": "200000000000002"}) as b, visitor(b) as v:
        b.meta.templates.add("welcome", "en_US", "UTILITY", [{"type": "BODY", "text": "Welcome, {{1}}!"}])
        table = "number,1\n" + "".join(f"+4930{n:07},{'x' * 150}\n" for n in range(10_000))
        page = await v.post("/console/batches/new", {"table": table, "template": "welcome/en_US", "send_at": ""})
        assert "Send 10000 messages" in page.text
        table += "+49301234567,y\n"
        page = await v.post("/console/batches/new", {"table": table, "template": "welcome/en_US", "send_at": ""})
        assert "The table has 10001 rows; one batch takes 10000." in page.text


async def test_the_knowledge_page_shows_what_the_model_would_say(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "prices.md").write_text("# Tulips\nTulips cost 12 euros.\n", "utf-8")
    async with business(tmp_path / "data", assistant={"knowledge_dir": tmp_path / "k"}) as b, visitor(b) as v:
        page = await v.get("/console/knowledge")
        assert "prices.md" in page.text
        assert "All of it is shown" in page.text
        page = await v.post("/console/knowledge", {"question": "Do you have tulips?"})
        assert "The answer" in page.text
        assert "Tulips cost 12 euros." in page.text
        assert not b.meta.sent


async def test_the_try_out_shows_what_a_contact_would_get(tmp_path: Path) -> None:
    model = OpenAIStandIn("Tulips or roses?\n[[buttons: Tulips | Roses]]")
    async with served(model.app()) as url:
        assistant = {"provider": "openai", "base_url": url, "model": "m"}
        async with business(tmp_path / "data", assistant=assistant) as b, visitor(b) as v:
            page = await v.post("/console/knowledge", {"question": "What do you have?"})
            assert "Tulips or roses? Tulips Roses" in page.text
            model.text = "Let me ask.\n[[handoff]]"
            page = await v.post("/console/knowledge", {"question": "Can I talk to somebody?"})
            assert b.settings.handoff.notice in page.text
            assert "Let me ask." not in page.text


async def test_setup_shows_checks_and_settings_but_no_secret(tmp_path: Path) -> None:
    async with business(tmp_path / "data", assistant={"api_key": "the-secret-of-the-model"}) as b, visitor(b) as v:
        page = await v.get("/console/setup")
        assert "[whatsapp]" in page.text
        checks = await v.get("/console/setup/checks")
        assert "Access token works" in checks.text
        for secret in b.settings.secrets():
            assert secret not in page.html + checks.html
        assert "••••••••" in page.text


async def test_events_that_failed_are_told_again(tmp_path: Path) -> None:
    endpoint = {"url": "http://127.0.0.1:9/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    async with business(tmp_path / "data", events=[endpoint]) as b, visitor(b) as v:
        await b.meta.say("Hello", from_=ANA)
        page = await v.get("/console/events")
        assert "127.0.0.1:9" in page.text
        assert "message.received" in page.text
        assert (await v.get("/console/events", params={"state": "failed"})).status == 200
        assert (await v.post("/console/events/x-1/retry")).status == 404


async def test_a_page_is_told_of_changes(wabot: Business, owner: Visitor) -> None:
    async with owner.session.get("/console/live") as stream:
        assert stream.content_type == "text/event-stream"
        await wabot.meta.say("Hello", from_=ANA)
        assert await asyncio.wait_for(stream.content.readuntil(b"\r\n\r\n"), 10) == b"event: changed\r\ndata: \r\n\r\n"


def test_all_languages_have_the_same_texts_with_the_same_values() -> None:
    def shape(language: str) -> dict[str, object]:
        return {
            f"{section}.{key}": sorted(re.findall(r"{(\w+)}", str(text["other"] if isinstance(text, dict) else text)))
            for section, entries in texts.read(language).items()
            for key, text in entries.items()
        }

    for language in texts.LANGUAGES:
        assert shape(language) == shape(texts.DEFAULT), language


def test_every_text_that_a_template_names_exists_and_every_handler_too() -> None:
    named = set()
    for file in (Path(texts.__file__).parent / "templates").iterdir():
        named |= set(re.findall(r"""\bt\(["'](\w+\.\w+)["'][,)]""", file.read_text("utf-8")))
    assert len(named) > 100
    assert [key for key in named if not texts.has(key)] == []
    from importlib import import_module

    for route in ROUTES:
        if handler := getattr(getattr(route, "handler", None), "__doc__", None):
            module, _, function = handler.partition(".")
            assert callable(getattr(import_module(f"wabot.console.{module}"), function)), handler


async def test_the_pages_speak_the_language_of_the_browser_or_of_a_choice(wabot: Business, owner: Visitor) -> None:
    spanish = await owner.get("/console", headers={"Accept-Language": "es-MX,en;q=0.5"})
    assert 'lang="es"' in spanish.html
    chosen = await owner.get("/console/language", params={"to": "es", "next": "/console/outbox"})
    assert chosen.path == "/console/outbox"
    assert 'lang="es"' in chosen.html
    assert quote("/console/outbox") in chosen.html


async def test_what_is_counted_and_what_became_of_it_is_said_in_the_language_of_the_page(
    wabot: Business, owner: Visitor
) -> None:
    await wabot.meta.say("Hello", from_=ANA, name="Ana")
    await _answered(wabot, ANA)
    spanish = {"Accept-Language": "es"}
    while "nada que cueste" in (page := await owner.get("/console", headers=spanish)).text:
        await asyncio.sleep(0.02)
    assert re.search(r"Último webhook hace \d+ s", page.text)
    assert re.search(r"\d (servicio|utilidad|publicidad)", page.text)
    while "leído" not in (page := await owner.get(f"/console/conversations/{ANA}", headers=spanish)).text:
        await asyncio.sleep(0.02)
    assert "read" not in page.text.split()
    listed = await owner.get("/console/outbox", params={"view": "all"}, headers=spanish)
    assert "· plantilla" in listed.text


async def test_while_nothing_is_sent_a_message_is_not_called_on_its_way(wabot: Business, owner: Visitor) -> None:
    await wabot.meta.say("Hello", from_=ANA, name="Ana")
    await _answered(wabot, ANA)
    wabot.meta.behaviour.always(EVA, error(190))
    await wabot.post("/messages", {"number": EVA, "template": {"name": "hello_world"}}, headers={"Prefer": "wait=0"})
    while "Nothing is sent" not in (page := await owner.get("/console")).text:
        await asyncio.sleep(0.02)
    assert "Meta: works" not in page.text
    page = await owner.post(f"/console/conversations/{ANA}/write", {"text": "Anna here"})
    assert "The message waits: nothing is sent at present" in page.text


async def test_a_scheduled_batch_is_listed_with_its_time(wabot: Business, owner: Visitor) -> None:
    at = datetime.now(UTC) + timedelta(days=2)
    await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": at.isoformat()})
    page = await owner.get("/console/batches")
    assert f"scheduled Is sent at {at:%H:%M}" in page.text


async def test_all_of_a_talk_can_be_read_page_by_page(
    wabot: Business, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "SHOWN", 4)
    await wabot.post(f"/contacts/{ANA}/pause", {"hours": None})
    for number in range(10):
        await wabot.meta.say(f"word {number}", from_=ANA)
    address, seen = f"/console/conversations/{ANA}", list[str]()
    while address:
        page = await owner.get(address)
        seen = re.findall(r"word \d", page.html.split('role="log"')[1]) + seen
        older = re.search(r'href="([^"]+)">Older messages', page.html)
        address = html.unescape(older[1]) if older else ""
    assert seen == [f"word {number}" for number in range(10)]
    assert "The newest messages" in page.text
    assert "hx-get" not in page.html.split('id="talk"')[1].split(">")[0], "an old page does not jump to the end"


async def test_limits_of_metas_are_shown_as_far_as_they_are_known(wabot: Business, owner: Visitor) -> None:
    assert "No limit of new people is known" in (await owner.get("/console")).text
    assert await wabot.meta.set_limit(250) == 200
    await wabot.post("/initiate-bulk", {"numbers": [ANA, BEN]})
    assert "2 new people in 24 hours of 250" in (await owner.get("/console")).text


async def test_who_waits_for_the_limit_of_messages_to_one_person_is_counted(tmp_path: Path) -> None:
    limits = {"pair_interval_seconds": 60, "pair_burst": 2}
    async with business(tmp_path / "data", delivery=limits) as b, visitor(b) as v:
        assert "0 contacts wait for the limit per person" in (await v.get("/console")).text
        for number in (ANA, BEN):
            for _ in range(4):
                template = {"name": "hello_world"}
                await b.post("/messages", {"number": number, "template": template}, headers={"Prefer": "wait=0"})
        while "2 contacts wait for the limit per person" not in (await v.get("/console")).text:
            await asyncio.sleep(0.02)
        b.meta.behaviour.always(EVA, error(131056))
        await b.post("/messages", {"number": EVA, "template": {"name": "hello_world"}}, headers={"Prefer": "wait=0"})
        while "3 contacts wait" not in (await v.get("/console")).text:
            await asyncio.sleep(0.02)


async def test_where_there_are_several_accounts_a_batch_names_its_own(tmp_path: Path) -> None:
    accounts = [{"name": "north", "phone_number_id": "100000000000009", "access_token": "sandbox-token",
                 "app_secret": "sandbox-secret", "verify_token": "v"}]  # fmt: skip
    async with business(tmp_path / "data", accounts=accounts) as b, visitor(b) as v:
        for name in ("main", "north"):
            await b.post("/initiate-bulk", {"numbers": [ANA], "account": name})
            page = await v.get("/console/batches", params={"account": name})
            assert f"Account {name} ·" in page.text


async def test_a_talk_that_is_shown_anew_asks_meta_for_nothing(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp={"business_account_id": "200000000000002"}) as b, visitor(b) as v:
        await b.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
        await b.get("/templates", params={"refresh": "true"})
        asked = 0

        async def away(name: str) -> None:
            nonlocal asked
            asked += 1

        b.running.account.service.templates.changed()
        b.running.account.service.templates._ask = away  # type: ignore[assignment]
        for _ in range(3):
            page = await v.get(f"/console/conversations/{EVA}/talk")
            assert "The 24 hours are over" in page.text
        assert asked == 0
        for _ in range(3):
            page = await v.get(f"/console/conversations/{EVA}")
        assert "hello_world/en_US" in page.html, "what Meta listed last is kept"
        assert asked == 1


def test_every_state_of_a_send_and_of_a_reply_has_its_words() -> None:
    assert [
        name for state in State for name in (f"states.{state}", f"reply_states.{state}") if not texts.has(name)
    ] == []


async def test_a_reply_that_is_owed_is_not_called_on_its_way_to_meta(tmp_path: Path) -> None:
    async with bad_day(tmp_path) as b, visitor(b) as v:
        page = await v.get("/console/outbox", params={"view": "replies"})
        assert "is still to be made: no connection (ClientConnectorError) " in page.text
        assert "on its way to Meta" not in page.text
        parked = await v.get("/console/outbox", params={"view": "parked"})
        assert "the connection to Meta broke (ServerDisconnectedError) What Meta said" in parked.text, "no code of ours"


async def test_a_batch_is_scheduled_by_the_clock_of_the_owner(tmp_path: Path) -> None:
    sections = {"whatsapp": {"business_account_id": "200000000000002"}, "bulk": {"timezone": "Asia/Kolkata"}}
    async with business(tmp_path / "data", **sections) as b, visitor(b) as v:
        assert "by the clock of Asia/Kolkata" in (await v.get("/console/batches/new")).text
        noon = (datetime.now(UTC) + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
        table = {"table": "number\n+491711234567\n", "template": "hello_world/en_US"}
        for at, hour in ((f"{noon:%Y-%m-%dT%H:%M}", 6), (noon.isoformat(), 12)):
            page = await v.post("/console/batches/new", {**table, "send_at": at})
            assert f"Is sent at {hour:02}:" in page.text
            await v.post("/console/batches/start", {**table, "send_at": at, "key": at})
            (batch,) = (await b.get("/batches", params={"limit": "1"})).json["batches"]
            assert datetime.fromtimestamp(batch["send_at"], UTC).hour == hour
        page = await v.post("/console/batches/new", {**table, "send_at": "tomorrow"})
        assert "Send at: must be an ISO 8601 time" in page.text


async def test_the_knowledge_page_says_what_is_left_out_and_why(tmp_path: Path) -> None:
    async with bad_day(tmp_path) as b, visitor(b) as v:
        while "Left out:" not in (page := await v.get("/console/knowledge")).text:
            await asyncio.sleep(0.1)
        assert "scanned.pdf: It is broken, or no PDF: save it anew" in page.text


async def test_what_waits_is_told_once(tmp_path: Path) -> None:
    async with bad_day(tmp_path) as b, visitor(b) as v:
        page = await v.get("/console/outbox", params={"view": "leaving"})
        assert "Waits behind an older message to the same person" in page.text
        assert "waits behind an older message:" not in page.text
