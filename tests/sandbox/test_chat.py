"""The phone in the terminal."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook
from wabot.sandbox.behaviour import ANY, error, undelivered
from wabot.sandbox.chat import chat
from wabot.sandbox.meta import Meta


class Keyboard:
    """Standard input that a test types into: a pipe."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.stdin: TextIO = os.fdopen(reader)

    def type(self, line: str) -> None:
        os.write(self._writer, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._writer)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    keyboard = Keyboard()
    yield keyboard
    keyboard.stdin.close()


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


async def heard(webhook: Webhook, count: int) -> list[dict]:
    """What reached the webhook, once it is `count` messages."""
    async with asyncio.timeout(5):
        while len(webhook.told("messages")) < count:
            await asyncio.sleep(0.005)
    return webhook.told("messages")


async def shown(screen: io.StringIO, text: str) -> str:
    """The screen, once it shows `text`."""
    async with asyncio.timeout(5):
        while text not in screen.getvalue():
            await asyncio.sleep(0.005)
    return screen.getvalue()


async def test_a_chat(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    keyboard.type("Hello [bold]bot[/bold]")
    [message] = await heard(webhook, 1)
    assert (message["from"], message["text"]) == (PHONE, {"body": "Hello [bold]bot[/bold]"})

    await business.post(
        {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": "wamid.a",
            "typing_indicator": {"type": "text"},
        }
    )
    await business.send(body="How are [you]?")
    text = await shown(screen, "✓✓ read")
    assert text.index("typing") < text.index("How are [you]?") < text.index("✓ sent") < text.index("✓✓ delivered")

    keyboard.type("/quit")
    assert await asyncio.wait_for(chatting, 5) is True
    keyboard.close()
    await business.send(body="Are you still there?")
    assert "still there" not in screen.getvalue()


async def test_the_commands(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    for line in ("", "/help", "/dance", "/button", "/button Yes", "/image A cat", "/from +91 90000-00000", "Me too"):
        keyboard.type(line)
    tap, picture, line = await heard(webhook, 3)
    assert (tap["type"], tap["button"]) == ("button", {"text": "Yes", "payload": "Yes"})
    assert (picture["type"], picture["image"]["caption"]) == ("image", "A cat")
    assert (line["from"], line["text"]) == ("919000000000", {"body": "Me too"})
    text = screen.getvalue()
    assert "/from NUMBER" in text
    assert "/dance?" in text
    keyboard.close()
    assert await asyncio.wait_for(chatting, 5) is False


async def test_a_button_of_the_bots_is_tapped_by_its_title(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    await shown(screen, "You are")
    buttons = {"buttons": [{"type": "reply", "reply": {"id": "yes-1", "title": "Yes"}}]}
    asked = {"type": "button", "body": {"text": "Shall we?"}, "action": buttons}
    await business.send(type="interactive", interactive=asked, text=None)
    assert "[Yes]" in await shown(screen, "Shall we?")
    keyboard.type("/button Yes")
    [tap] = await heard(webhook, 1)
    assert tap["interactive"] == {"type": "button_reply", "button_reply": {"id": "yes-1", "title": "Yes"}}
    keyboard.close()
    await chatting


async def test_a_template_is_read_and_its_buttons_bring_back_what_the_send_put_into_them(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    await shown(screen, "You are")
    name = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}]
    no = {
        "type": "button",
        "sub_type": "quick_reply",
        "index": "1",
        "parameters": [{"type": "payload", "payload": "n"}],
    }
    template = {"name": "sample_issue_resolution", "language": {"code": "en_US"}, "components": [*name, no]}
    _, body, _ = await business.send(type="template", template=template, text=None)
    await shown(screen, "Hi Ana, were we able to solve")
    await shown(screen, "[Yes]  [No]")
    keyboard.type("/button No")
    [tap] = await heard(webhook, 1)
    assert tap["button"] == {"text": "No", "payload": "n"}
    assert tap["context"]["id"] == body["messages"][0]["id"]
    keyboard.close()
    await chatting


async def test_a_row_of_a_list_is_tapped_by_its_title(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    await shown(screen, "You are")
    rows = [{"id": "r1", "title": "Cakes", "description": "sweet"}, {"id": "r2", "title": "Pies"}]
    asked = {"type": "list", "body": {"text": "What?"}, "action": {"button": "Open", "sections": [{"rows": rows}]}}
    await business.send(type="interactive", interactive=asked, text=None)
    await shown(screen, "[Cakes]  [Pies]")
    keyboard.type("/button Cakes")
    [tap] = await heard(webhook, 1)
    assert tap["interactive"]["list_reply"] == {"id": "r1", "title": "Cakes", "description": "sweet"}
    keyboard.close()
    await chatting


async def test_one_may_hide_ones_number_and_get_another_bsuid_or_number(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    for line in ("/username @ana", "Who am I?", "/new-id", "/username", "/new-number +91 90000 00000", "And now?"):
        keyboard.type(line)
    hidden, new_id, moved, shown_again = await heard(webhook, 4)
    assert "from" not in hidden
    assert new_id["system"]["previous_user_id"] == hidden["from_user_id"]
    assert (moved["from"], moved["system"]["wa_id"]) == (PHONE, "919000000000")
    assert (shown_again["from"], shown_again["from_user_id"]) == ("919000000000", moved["system"]["user_id"])
    assert "@ana" in screen.getvalue()
    await business.send("919000000000", body="Still you?")
    assert "to 919000000000" not in await shown(screen, "Still you?")
    keyboard.close()
    await chatting


async def test_troubles_and_other_peoples_messages_are_shown(
    business: Business, meta: Meta, webhook: Webhook, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    await shown(screen, "You are")
    meta.behaviour.script(ANY, [error(131047), undelivered(131026)])
    await business.send()
    await shown(screen, f"refused: a message to {PHONE} (131047)")
    await business.send()
    await shown(screen, "Message undeliverable (131026)")
    template = {"name": "hello_world", "language": {"code": "en_US"}}
    await business.send("919000000000", type="template", template=template)
    await shown(screen, "to 919000000000: Hello World\nWelcome and congratulations!!")
    await meta.until(lambda m: len(m.told) == 4)
    webhook.statuses = [400] * 5
    keyboard.type("Hi")
    await shown(screen, "the webhook did not take it (HTTP 400)")
    meta.webhook_url = None
    keyboard.type("Hi")
    await shown(screen, "nobody listens")
    keyboard.close()
    await chatting


async def test_what_is_refused_is_mended_and_broken_again(
    business: Business, meta: Meta, keyboard: Keyboard, screen: io.StringIO
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=keyboard.stdin, out=screen))
    keyboard.type("/help")
    await shown(screen, "/mend")
    meta.behaviour.by_number = True
    await business.send("919876540010")
    await shown(screen, "refused: a message to 919876540010 (190)   /mend makes Meta accept\n")
    keyboard.type("/mend")
    await shown(screen, "Meta accepts again what it refused")
    assert (await business.send("919876540010"))[0] == 200
    keyboard.type("/break")
    await shown(screen, "Numbers misbehave again, as")
    assert (await business.send("919876540010"))[0] == 401
    keyboard.close()
    await chatting


async def test_lines_from_memory_do_too(business: Business, meta: Meta, webhook: Webhook, screen: io.StringIO) -> None:
    assert await chat(meta, number=PHONE, stdin=io.StringIO("One\nTwo\n"), out=screen) is False
    assert [message["text"]["body"] for message in webhook.told("messages")] == ["One", "Two"]


SCRIPT = """
import asyncio, sys
from wabot.sandbox.meta import Meta
from wabot.sandbox.chat import chat

async def main():
    chatting = asyncio.create_task(chat(Meta(), number="1", stdin=sys.stdin, out=sys.stdout))
    await asyncio.sleep(0.1)
    chatting.cancel()

asyncio.run(main())
"""


def test_a_phone_that_waits_for_a_line_does_not_keep_the_process_alive() -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdin=reader, capture_output=True, timeout=10, check=False
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"You are 1" in done.stdout
