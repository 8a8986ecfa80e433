"""Plays a talk turn by turn, and holds what comes of each turn against what the talk expects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wabot import message_building
from wabot.core.complaint import part, text_of
from wabot.core.exceptions import InvalidInput
from wabot.core.messages import Receipt, Status
from wabot.core.outgoing import Origin, template_message
from wabot.message_building import NotSendable, OneMessage
from wabot.rehearsal import comparing
from wabot.rehearsal.messages import Line
from wabot.rehearsal.said import Contents, NeverSaid
from wabot.rehearsal.stage import Stage
from wabot.rehearsal.tables import TalkError
from wabot.rehearsal.talk import Staff, Talk, Turn
from wabot.rehearsal.transcript import Transcript
from wabot.sandbox.behaviour import ANY, Answer, cut_after, cut_before, error
from wabot.sandbox.ledger import Event, Seen, Sent
from wabot.sandbox.on_screen import readable

FIRST_NUMBER = 919876500100
"""Of the first person in a talk; the next one has the next."""


@dataclass
class Phone:
    """The phone of a person: what came in this turn, by wamid, what that quotes, and whether "typing …" was seen."""

    name: str
    number: str
    came: dict[str, str] = field(default_factory=dict)
    quoted: list[str] = field(default_factory=list)
    typing: bool = False


class Player:
    """Plays one talk on a stage."""

    def __init__(self, talk: Talk, stage: Stage, transcript: Transcript) -> None:
        self._talk, self._stage, self._transcript = talk, stage, transcript
        self._phones = dict[str, Phone]()
        self._contents = Contents(stage.meta)
        alert_number = stage.settings.handoff.alert_number
        self._owner = Phone("the owner", alert_number)
        self._refused = ""
        stage.meta.subscribe(self._happened)

    async def play(self) -> None:
        """The whole talk, whatever differs."""
        await self._stage.start()
        try:
            for turn in self._talk.turns:
                await self._play(turn)
        finally:
            await self._stage.stop()

    async def _play(self, turn: Turn) -> None:
        phone = self._phone(turn.who)
        self._transcript.begin_turn(turn.place)
        for each in (*self._phones.values(), self._owner):
            each.came, each.quoted, each.typing = {}, [], False
        self._refused = ""
        if self._stage.script is not None:
            self._stage.script.load(turn.answers)
        try:
            await self._act(turn, phone)
        except TalkError as error:
            raise TalkError(f"{self._talk.file}, {turn.place}: {error}") from None
        if turn.lasts is None:
            await self._stage.rest()
        else:
            await asyncio.sleep(turn.lasts)
        for fault in [*self._unused(), *self._differences(turn, phone), *await self._state(turn, phone)]:
            self._transcript.wrong(fault)

    def _phone(self, name: str) -> Phone:
        if name not in self._phones:
            self._phones[name] = Phone(name, str(FIRST_NUMBER + len(self._phones)))
            customer = self._stage.meta.people.of(self._phones[name].number)
            customer.hides_number = self._talk.hides_number
            customer.username = name.lower() if self._talk.hides_number else None
        return self._phones[name]

    async def _act(self, turn: Turn, phone: Phone) -> None:
        self._stage.change_knowledge(turn.knowledge)
        self._stage.meta.behaviour.script(ANY, [_result(what) for what in turn.meta])
        for nth, line in enumerate(turn.lines):
            if nth:
                await asyncio.sleep(line.apart)
            await self._say(line, phone)
        if turn.staff is not None:
            await self._staff_writes(turn.staff, phone)
        if turn.owner:
            self._transcript.note("owner", turn.owner)
            await self._owner_does(turn.owner, self._identity(phone))
        if turn.wabot:
            self._transcript.note("wabot", turn.wabot)
            await (self._stage.start() if turn.wabot == "starts" else self._stage.stop())

    async def _say(self, line: Line, phone: Phone) -> None:
        """The contact does a line. If a real model did not say what it refers to, the contact does without."""
        self._transcript.note(phone.name, line.words)
        if line.kind == "new_number":
            old, phone.number = phone.number, line.said["number"]
            await self._contents.change_number(old, phone.number)
            return
        try:
            await self._contents.say(line, phone.number, phone.name)
        except NeverSaid as error:
            if self._stage.script is not None:
                self._transcript.wrong(str(error))
            elif (plain := line.without_reference()) is not None:
                await self._contents.say(plain, phone.number, phone.name)

    async def _staff_writes(self, staff: Staff, phone: Phone) -> None:
        self._transcript.note("staff", staff.text or f"[template {staff.template}]")
        if not staff.through_api:
            wamid, _ = await self._stage.meta.echo(staff.text, to=phone.number)
            self._contents.remember(staff.text, wamid, phone.number, ours=True)
            return
        parameters = [{"type": "text", "text": text} for text in staff.parameters]
        components = [{"type": "body", "parameters": parameters}] if parameters else []
        template = {"name": staff.template, "language": staff.language, "components": components}
        outgoing = (
            template_message(template, Origin.STAFF) if staff.template else message_building.text(staff.text, None)
        )
        try:
            await self._stage.service.send(OneMessage(self._identity(phone), outgoing, {}, takeover=staff.takeover))
        except InvalidInput as error:
            known = error.reason if isinstance(error, NotSendable) else error.details[0]["reason"]
            self._refused = str(known)
            self._transcript.note("wabot", f"(refuses: {error})")

    async def _owner_does(self, act: str, number: str) -> None:
        service = self._stage.service
        if act == "pause":
            await service.pause(number, 12.0, None)
        elif act == "resume":
            await service.resume(number)
        elif act == "forget":
            await service.forget(number)
        else:
            await service.set_stop(number, stop=act == "opt out")

    def _happened(self, event: Event) -> None:
        """Something happened at Meta."""
        match event:
            case Sent(wamid=""):
                self._transcript.note("Meta", f"(refuses a message: {event.code or 'no answer'})")
            case Sent():
                text, taps = readable(event, self._stage.meta)
                shown = "\n".join([text, *filter(None, [" ".join(f"[{title}]" for title in taps)])])
                phone = self._whose(event.to)
                phone.came[event.wamid] = shown
                if words := self._contents.words_of(text_of(part(event.payload, "context"), "message_id")):
                    phone.quoted.append(words)
                self._contents.remember(shown, event.wamid, phone.number, ours=True, taps=taps)
                self._transcript.note("wabot" if phone is not self._owner else "to owner", shown)
            case Receipt(status=Status.FAILED):
                for phone in (*self._phones.values(), self._owner):
                    if phone.came.pop(event.wamid, None) is not None:
                        self._transcript.note("Meta", f"(did not deliver it: {(event.error or {}).get('title')})")
            case Seen(typing=True):
                if (number := self._contents.author(event.wamid)) is not None:
                    self._whose(number).typing = True

    def _whose(self, number: str) -> Phone:
        if number == self._owner.number:
            return self._owner
        people = self._stage.meta.people
        return next((one for one in self._phones.values() if people.of(one.number) is people.of(number)), self._owner)

    def _identity(self, phone: Phone) -> str:
        """By what the API knows a person: the number, or the BSUID where that is hidden."""
        return self._stage.meta.people.of(phone.number).user_id if self._talk.hides_number else phone.number

    def _unused(self) -> Iterator[str]:
        """What the model was to answer, and was not asked for."""
        for answer in self._stage.script.left() if self._stage.script is not None else ():
            yield f"the model was not asked, which was to answer:\n  > {answer.says or answer.fails or answer.calls}"

    def _differences(self, turn: Turn, phone: Phone) -> Iterator[str]:
        """What was seen, shown and called, and should not have been, or the other way round."""
        expected, done, chosen = turn.expected, self._transcript.turn, self._is_chosen(turn)
        seen = list(phone.came.values())
        if self._stage.script is None and done.failure:
            yield f"no model answered: {done.failure}"
        if expected.sees is not None and not chosen:
            yield from comparing.different_texts(phone.name, expected.sees, seen)
        if expected.like is not None:
            yield from comparing.unlike_texts(phone.name, expected.like, seen)
        if expected.sees is not None:
            for other in self._phones.values():
                if other is not phone:
                    yield from comparing.different_texts(other.name, (), list(other.came.values()))
        if expected.owner_sees is not None and not chosen:
            yield from comparing.unlike_texts("the owner", expected.owner_sees, list(self._owner.came.values()))
        if expected.quoted is not None:
            yield from comparing.different_texts(f"quoted, {phone.name}", expected.quoted, phone.quoted)
        if expected.typing is not None and expected.typing is not phone.typing:
            yield f'{phone.name} {"did not see" if expected.typing else "saw"} "typing …"'
        yield from comparing.missing_parts(expected.shown, done.shown)
        yield from comparing.unwanted_parts(expected.not_shown, done.shown)
        if expected.called is not None and not chosen and list(expected.called) != done.called:
            yield f"the tools called were {done.called or 'none'}, and not {list(expected.called)}"
        if expected.refused != self._refused:
            yield f"refused was {self._refused or 'nothing'}, and not {expected.refused or 'nothing'}"

    def _is_chosen(self, turn: Turn) -> bool:
        """Whether a real model chooses what is said in this turn, and not the talk."""
        return self._stage.script is None and bool(turn.answers)

    async def _state(self, turn: Turn, phone: Phone) -> Sequence[str]:
        """Whether the assistant is in the expected state for this contact."""
        wanted = turn.expected.assistant
        if not wanted or self._is_chosen(turn):
            return ()
        contact = await self._stage.service.contact(self._identity(phone))
        state = contact["assistant"]["state"] if contact else "on"
        return () if state == wanted else (f"the assistant is {state} for {phone.name}, and not {wanted}",)


def _result(what: int | str) -> Answer:
    """What Meta does with a send."""
    if isinstance(what, int):
        return error(what)
    return cut_after() if what == "cut" else cut_before()
