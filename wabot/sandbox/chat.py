"""A phone in the terminal: typed lines go to the bot, and its messages appear with their ticks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from wabot.core.messages import Receipt, Status
from wabot.sandbox import payloads
from wabot.sandbox.ledger import Event, Seen, Sent
from wabot.sandbox.meta import Meta
from wabot.sandbox.on_screen import readable
from wabot.sandbox.webhooks import PERSISTENCE

HELP = """\
Type a line to say it to the bot.
/button TITLE   tap a button        /image [CAPTION]   send a picture    /voice   send a voice note
/from NUMBER    be somebody else    /username NAME     have a username and hide the number; without NAME: no more
/new-id         get a new BSUID     /new-number N      change the number
/mend           Meta accepts again  /break             numbers misbehave again
/help           this                /quit              leave
Numbers that end in 0001 … 0014 misbehave. 0004, 0007, 0008 and 0010 are refused until /mend; 0010, an expired token,
pauses everything that is to be sent."""

TICKS = {
    Status.SENT: ("✓ sent", "dim"),
    Status.DELIVERED: ("✓✓ delivered", "dim"),
    Status.READ: ("✓✓ read", "bright_blue"),
    Status.PLAYED: ("✓✓ played", "bright_blue"),
}


async def chat(meta: Meta, *, number: str, stdin: TextIO, out: TextIO) -> bool:
    """Chat as `number` until /quit (True) or the end of `stdin` (False); the stand-in keeps running.

    In a terminal, the line being typed stays below the output (terminal_line.py). Other input is read in a daemon
    thread, which blocks neither the loop nor the end of the process.
    """
    if not (stdin.isatty() and out.isatty()) or Console(file=out).is_dumb_terminal:
        return await _chat(meta, number, _read(stdin), out)
    from wabot.sandbox.terminal_line import typed  # noqa: PLC0415  its library is for terminals alone

    async with typed(stdin, out) as terminal:
        return await _chat(meta, number, terminal.lines, terminal.out)


async def _chat(meta: Meta, number: str, lines: asyncio.Queue[str | None], out: TextIO) -> bool:
    phone = Phone(meta, number, Console(file=out, highlight=False, markup=False))
    leave = meta.subscribe(phone.show)
    try:
        phone.note(f"You are {number}. /help lists what you can do.")
        while (line := await lines.get()) is not None:
            if not await phone.obey(line.strip()):
                return True
        return False
    finally:
        leave()


class Phone:
    """The person who chats, and the screen."""

    def __init__(self, meta: Meta, number: str, console: Console) -> None:
        self._meta = meta
        self._number = number
        self._console = console
        self._taps: dict[str, payloads.Json] = {}

    async def obey(self, line: str) -> bool:
        """Carry out a typed line; False to leave."""
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
            case "/voice":
                await self._say(payloads.audio())
            case "/username" | "/new-id" | "/new-number":
                await self._change(word, rest)
            case "/mend":
                self._meta.mend()
                self.note("Meta accepts again what it refused. /break lets numbers misbehave again.")
            case "/break":
                self._meta.behaviour.clear()
                self.note("Numbers misbehave again, as their last digits say.")
            case _ if word.startswith("/"):
                self.note(f"{word}? /help lists what you can do.")
            case _:
                await self._say(payloads.text(line))
        return True

    def show(self, event: Event) -> None:
        """Show what the bot did, or a receipt."""
        match event:
            case Sent(wamid=""):
                hint = "   /mend makes Meta accept" if self._meta.behaviour.refuses(event.to) else ""
                self.note(f"refused: a message to {event.to or '?'} ({event.code or 'no answer'}){hint}")
            case Sent():
                self._bubble(event)
            case Receipt(status=Status.FAILED, error=error, person=person) if error and person:
                self._print(f"   ✗ to {person.wa_id or person.bsuid}: {error['title']} ({error['code']})", "red")
            case Receipt(person=person) if person and self._is_me(person.wa_id or person.bsuid or ""):
                text, style = TICKS[event.status]
                self._print(f"   {text}", style)
            case Seen(typing=True):
                self.note("the bot is typing …")

    def note(self, text: str) -> None:
        """Print a note that is not part of the chat."""
        self._print(text, "dim italic")

    def _is_me(self, address: str) -> bool:
        return self._meta.people.of(address) is self._meta.people.of(self._number)

    def _bubble(self, sent: Sent) -> None:
        text, taps = readable(sent, self._meta)
        if not self._is_me(sent.to):
            self._print(f"to {sent.to}: {text}", "dim")
            return
        self._print(f"🤖 {text}", "bold green")
        context = {"context": {"from": self._meta.business_number, "id": sent.wamid}}
        self._taps = {title: tap | context for title, tap in taps.items()}
        if taps:
            self.note("   " + "  ".join(f"[{title}]" for title in taps) + "   /button TITLE taps one")

    def _tap(self, title: str) -> payloads.Json:
        """A button of the last message that had some; otherwise one of a template."""
        return self._taps.get(title) or payloads.button(title)

    async def _change(self, word: str, rest: str) -> None:
        """Be the same person under another name, BSUID or number."""
        me = self._meta.people.of(self._number)
        number = _digits(rest)
        if word == "/username":
            me.username, me.hides_number = rest.removeprefix("@") or None, bool(rest)
        elif word == "/new-id":
            await self._meta.change_user_id(me)
        elif number:
            await self._meta.change_number(me, number)
            self._number = number
        shown = "hidden" if me.hides_number else "shown"
        self.note(
            f"You are {self._number} ({shown}), {me.user_id}" + (f", @{me.username}" if me.username else "") + "."
        )

    def _become(self, number: str) -> None:
        digits = _digits(number)
        if digits:
            self._number, self._taps = digits, {}
        self.note(f"You are {self._number}.")

    async def _say(self, said: payloads.Json) -> None:
        if self._meta.messages_url is None:
            self.note("nobody listens: the stand-in has no webhook to call")
            return
        _, status = await self._meta.say(said, from_=self._number, attempts=PERSISTENCE)
        if status != 200:
            self.note(f"the webhook did not take it (HTTP {status})" if status else "the webhook does not answer")

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _read(stdin: TextIO) -> asyncio.Queue[str | None]:
    """The lines of `stdin` as they come, None at the end; read by a daemon thread."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        # Once the loop is closed, nobody reads the lines, and the thread may end.
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
