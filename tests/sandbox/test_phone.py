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
from wabot.sandbox.meta import Meta
from wabot.sandbox.phone import chat


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
    await shown(screen, "to 919000000000: [template hello_world]")
    await meta.until(lambda m: len(m.told) == 4)
    webhook.statuses = [400] * 5
    keyboard.type("Hi")
    await shown(screen, "the webhook did not take it (HTTP 400)")
    meta.webhook_url = None
    keyboard.type("Hi")
    await shown(screen, "nobody listens")
    keyboard.close()
    await chatting


async def test_lines_from_memory_do_too(business: Business, meta: Meta, webhook: Webhook, screen: io.StringIO) -> None:
    assert await chat(meta, number=PHONE, stdin=io.StringIO("One\nTwo\n"), out=screen) is False
    assert [message["text"]["body"] for message in webhook.told("messages")] == ["One", "Two"]


SCRIPT = """
import asyncio, sys
from wabot.sandbox.meta import Meta
from wabot.sandbox.phone import chat

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
