"""What was said in a talk so far, and the messages of contacts that refer to it: quotes, taps, reactions, edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wabot.core.exceptions import WabotError
from wabot.rehearsal.messages import TAP, Line
from wabot.sandbox import payloads
from wabot.sandbox.meta import Meta


class NeverSaid(WabotError):
    """A line refers to something that was never said."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message of a talk with the person of this number. `ours`: the business wrote it; `taps`: what it offers."""

    words: str
    wamid: str
    number: str
    ours: bool
    taps: Mapping[str, payloads.Json]
    said: payloads.Json
    at: float


class Contents:
    """Has contacts say their lines, and remembers all messages, so that lines can refer to them."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._spoken = list[Spoken]()

    def remember(
        self,
        words: str,
        wamid: str,
        number: str,
        *,
        ours: bool,
        taps: Mapping[str, payloads.Json] | None = None,
        said: payloads.Json | None = None,
        at: float = 0.0,
    ) -> None:
        """A message was said."""
        self._spoken.append(Spoken(words, wamid, number, ours, taps or {}, said or {}, at))

    def author(self, wamid: str) -> str | None:
        """The number of the person who said a message."""
        return next((one.number for one in self._spoken if one.wamid == wamid and not one.ours), None)

    def words_of(self, wamid: str) -> str:
        """The words of a message; "" if there is none."""
        return next((one.words for one in self._spoken if one.wamid == wamid), "")

    async def change_number(self, old: str, new: str) -> None:
        """The person of a number has another one from now on, which WhatsApp tells the business."""
        self._spoken = [replace(one, number=new) if one.number == old else one for one in self._spoken]
        await self._meta.change_number(self._meta.people.of(old), new)

    async def say(self, line: Line, number: str, name: str) -> None:
        """The person of this number says a line. Raises NeverSaid."""
        if line.kind == "again":
            old = self._find(line.of, number)
            await self._meta.say(old.said, from_=number, name=name, wamid=old.wamid, timestamp=old.at, times=line.times)
            return
        said = self._said(line, number)
        if line.quotes:
            quoted = self._find(line.quotes, number)
            author = self._meta.business_number if quoted.ours else number
            said = {**said, "context": {"from": author, "id": quoted.wamid}}
        at = self._meta.now() - line.ago
        wamid = payloads.new_wamid(number, inbound=True, draw=self._meta.draw)
        self.remember(line.words, wamid, number, ours=False, said=said, at=at)
        if line.lost:
            file = said[line.kind if line.kind != "voice" else "audio"]
            self._meta.media.lose(file["id"])
        await self._meta.say(said, from_=number, name=name, wamid=wamid, timestamp=at, times=line.times)

    def _said(self, line: Line, number: str) -> payloads.Json:
        """The message, as Meta delivers it."""
        match line.kind:
            case "tap":
                return self._tap(line.words.removeprefix(TAP), number)
            case "reaction":
                emoji = line.words.removeprefix("[reaction]").strip()
                return payloads.reaction(self._find(line.of, number).wamid, emoji or None)
            case "edit":
                new = payloads.text(line.words.removeprefix("[edit] "))
                return payloads.said("edit", original_message_id=self._find(line.of, number).wamid, message=new)
            case "delete":
                return payloads.revoke(self._find(line.of, number).wamid)
        return line.said

    def _tap(self, title: str, number: str) -> payloads.Json:
        """A tap on a button or a choice of the last message that has it."""
        for one in reversed(self._spoken):
            if one.number == number and title in one.taps:
                return {**one.taps[title], "context": {"from": self._meta.business_number, "id": one.wamid}}
        raise NeverSaid(f"nobody was offered {title!r} to tap")

    def _find(self, words: str, number: str) -> Spoken:
        """The last message of a talk with these words."""
        for one in reversed(self._spoken):
            if one.number == number and words in one.words:
                return one
        raise NeverSaid(f"no message was said with the words {words!r}")
