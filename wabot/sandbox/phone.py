"""A phone in the terminal: what is typed reaches the bot, what the bot sends appears with its ticks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from wabot.core.messages import Receipt, Status
from wabot.sandbox import payloads
from wabot.sandbox.ledger import Event, Seen, Sent
from wabot.sandbox.meta import PERSISTENCE, Meta

HELP = """\
Type a line to say it to the bot.
/button TITLE   tap a button    /image [CAPTION]   send a picture
/from NUMBER    be somebody else    /help   this    /quit   leave"""

TICKS = {
    Status.SENT: ("✓ sent", "dim"),
    Status.DELIVERED: ("✓✓ delivered", "dim"),
    Status.READ: ("✓✓ read", "bright_blue"),
    Status.PLAYED: ("✓✓ played", "bright_blue"),
}


async def chat(meta: Meta, *, number: str, stdin: TextIO, out: TextIO) -> bool:
    """Chat as `number` until /quit (True) or the end of `stdin` (False); the stand-in goes on either way.

    Reads in a daemon thread, so it holds up neither the loop nor the end of the process.
    """
    lines = _read(stdin)
    phone = Phone(meta, number, Console(file=out, highlight=False, markup=False))
    leave = meta.subscribe(phone.show)
    try:
        phone.note(f"You are {number}. /help tells what can be done.")
        while (line := await lines.get()) is not None:
            if not await phone.obey(line.strip()):
                return True
        return False
    finally:
        leave()


class Phone:
    """Who one is, and what the screen shows."""

    def __init__(self, meta: Meta, number: str, console: Console) -> None:
        self._meta = meta
        self._number = number
        self._console = console
        self._buttons: dict[str, str] = {}

    async def obey(self, line: str) -> bool:
        """Do what was typed; False when the person wants to leave."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "":
                pass
            case "/quit":
                return False
            case "/help":
                self.note(HELP)
            case "/from":
                self._become(rest)
            case "/button" if rest:
                await self._say(self._tap(rest))
            case "/image":
                await self._say(payloads.image(rest or None))
            case _ if word.startswith("/"):
                self.note(f"{word}? /help tells what can be done.")
            case _:
                await self._say(payloads.text(line))
        return True

    def show(self, event: Event) -> None:
        """Put on the screen what the bot did, or what became of it."""
        match event:
            case Sent(wamid=""):
                self.note(f"refused: a message to {event.to or '?'} ({event.code or 'no answer'})")
            case Sent():
                self._bubble(event)
            case Receipt(status=Status.FAILED, error=error, person=person) if error and person:
                self._print(f"   ✗ to {person.wa_id or person.bsuid}: {error['title']} ({error['code']})", "red")
            case Receipt(person=person) if person and person.wa_id == self._number:
                text, style = TICKS[event.status]
                self._print(f"   {text}", style)
            case Seen(typing=True):
                self.note("the bot is typing …")

    def note(self, text: str) -> None:
        """A remark that is not part of the chat."""
        self._print(text, "dim italic")

    def _bubble(self, sent: Sent) -> None:
        text, buttons = _readable(sent)
        if sent.to != self._number:
            self._print(f"to {sent.to}: {text}", "dim")
            return
        self._print(f"🤖 {text}", "bold green")
        self._buttons = buttons
        if buttons:
            self.note("   " + "  ".join(f"[{title}]" for title in buttons) + "   /button TITLE taps one")

    def _tap(self, title: str) -> payloads.Json:
        """A button of the last message that had some; otherwise one of a template."""
        id_ = self._buttons.get(title)
        return payloads.button(title) if id_ is None else payloads.button_reply(id_, title)

    def _become(self, number: str) -> None:
        digits = "".join(character for character in number if character in "0123456789")
        if digits:
            self._number, self._buttons = digits, {}
        self.note(f"You are {self._number}.")

    async def _say(self, said: payloads.Json) -> None:
        if self._meta.webhook_url is None:
            self.note("nobody listens: the stand-in has no webhook to call")
            return
        _, status = await self._meta.say(said, from_=self._number, attempts=PERSISTENCE)
        if status != 200:
            self.note(f"the webhook did not take it (HTTP {status})" if status else "the webhook does not answer")

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))


def _readable(sent: Sent) -> tuple[str, dict[str, str]]:
    """What a person sees of a message: its text, and its buttons by title (to their ids)."""
    content = sent.payload.get(sent.type)
    if not isinstance(content, dict):
        return f"[{sent.type}]", {}
    match sent.type:
        case "text":
            return str(content.get("body", "")), {}
        case "template":
            parts = [_parameters(part) for part in content.get("components") or []]
            return " ".join([f"[template {content.get('name')}]", *filter(None, parts)]), {}
        case "interactive":
            buttons = [button.get("reply", {}) for button in content.get("action", {}).get("buttons") or []]
            titles = {str(reply.get("title")): str(reply.get("id")) for reply in buttons}
            return str(content.get("body", {}).get("text", "")), titles
        case "reaction":
            return str(content.get("emoji") or "(reaction taken back)"), {}
    return " ".join(filter(None, [f"[{sent.type}]", content.get("caption")])), {}


def _parameters(component: dict[str, Any]) -> str:
    return ", ".join(str(parameter.get("text", "…")) for parameter in component.get("parameters") or [])


def _read(stdin: TextIO) -> asyncio.Queue[str | None]:
    """The lines of `stdin` as they come, None at the end; read by a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        # Once the loop is closed nobody listens any more, and the thread may go.
        with contextlib.suppress(RuntimeError):
            with contextlib.suppress(OSError, ValueError):  # the terminal may go away while it is read
                for line in _lines(stdin):
                    loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="phone", daemon=True).start()
    return queue


def _lines(stdin: TextIO) -> Iterable[str]:
    """Unbuffered where there is a file: a thread that holds a buffer's lock would abort the interpreter at its end."""
    try:
        raw = io.FileIO(stdin.fileno(), closefd=False)
    except (OSError, ValueError):
        return stdin
    return (line.decode(errors="replace") for line in raw)
