"""What to say: a template, an answer of the model, or nothing; and what the model is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wabot.core.media import Medium
from wabot.core.outgoing import Origin
from wabot.core.whatsapp_text import MAX_BODY, sendable

MESSAGE_CHARACTERS = 4_000
"""The most characters of one message of a person that a model sees; people can write 65 536."""

TALK_CHARACTERS = 60_000
"""The most characters of a whole conversation that a model sees, by default: some 15 000 to 30 000 tokens. That limits
what one customer can make an answer cost."""

LEAST_PROMPT = 2 * MESSAGE_CHARACTERS
"""The fewest characters that a prompt may be bounded to: a message, and the instructions for the model."""

ASKED_MESSAGES = 100
"""The most messages that are answered together (the newest). Nobody seriously writes more while an answer is made."""

ANSWERS_AT_ONCE, ANSWER_EVERY_QUIETS = 4, 5.0
"""How often one person is answered: ANSWERS_AT_ONCE times in a row, then once per ANSWER_EVERY_QUIETS quiet windows
(10 s with the default of 2 s). A person who reads and types never notices; a flood, or a bot that answers ours, has to
wait, and what arrives meanwhile is answered together."""

_CUT = "…"

_NOT_SHOWN = frozenset({Origin.FALLBACK, Origin.SERVICE, Origin.CONFIRMATION, Origin.LIMIT})
"""Fixed texts: a model that sees them as its own words begins to imitate them."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the history, as the journal has it. `asked`: it is being answered now.

    `body` is empty if nothing is left to show (revoked, deleted). `about`: what it refers to; only the model sees this.
    `medium`: its file, if it is being answered.
    """

    origin: Origin
    body: str
    asked: bool = False
    about: str = ""
    medium: Medium | None = None


class Role(StrEnum):
    """Who speaks in a turn, as the model sees it."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive messages of one side, as one text, and the files of these messages."""

    role: Role
    text: str
    media: tuple[Medium, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model gets. `turns` alternate between the sides, oldest first; the last one is the person's."""

    system: str
    turns: tuple[Turn, ...]


class FirstContact(StrEnum):
    """How somebody who writes for the first time is answered."""

    TEMPLATE = "template"
    AI = "ai"
    TEMPLATE_THEN_AI = "template_then_ai"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: the template, then the model's answer. Both false: send nothing."""

    template: bool = False
    ai: bool = False


def plan(*, first: bool, answer: FirstContact, answering: bool) -> Plan:
    """What to send to a contact.

    `first`: there are no messages, in or out, before those being answered. `answering`: at least one of these needs an
    answer, and we are allowed to give one.
    """
    if not answering:
        return Plan()
    if not first:
        return Plan(ai=True)
    return Plan(template=answer is not FirstContact.AI, ai=answer is not FirstContact.TEMPLATE)


def prompt(history: Sequence[Said], *, system: str, limit: int, characters: int = TALK_CHARACTERS) -> Prompt | None:
    """What the model sees of `history` (oldest first), or None if no message that is being answered has a text.

    At most `limit` messages, but always all that are being answered, and at most `characters` (but always the last
    message); the newest messages stay. Consecutive messages of one role become one turn.
    """
    shown = [said for said in map(_legible, history) if said.body and said.origin not in _NOT_SHOWN]
    asked = [index for index, said in enumerate(shown) if said.asked]
    if not asked:
        return None
    return Prompt(system, _turns(_within(_latest(_questions_last(shown, asked[0]), limit), characters)))


def _legible(said: Said) -> Said:
    """The message as the model sees it: what it refers to, then its body.

    A person's is cut to MESSAGE_CHARACTERS, and one of ours to the MAX_BODY characters that it can have.
    """
    body, most = sendable(said.body).strip(), MESSAGE_CHARACTERS if said.origin is Origin.PERSON else MAX_BODY
    if len(body) > most:
        body = body[: most - len(_CUT)].rstrip() + _CUT
    return replace(said, body=f"{sendable(said.about)}\n{body}" if said.about and body else body)


def _questions_last(shown: Sequence[Said], first: int) -> list[Said]:
    """`shown`, reordered: from index `first` on, our own messages come before the questions.

    A reply to an earlier message, or a bulk send, may have left after the question. Behind the question it would look
    like its answer. A colleague's messages keep their place. The last question always comes last, because a model
    continues a conversation that ends with its own turn instead of answering.
    """
    since = shown[first:]
    ordered = [*shown[:first], *sorted(since, key=lambda said: said.origin in (Origin.PERSON, Origin.STAFF))]
    ordered.append(ordered.pop(max(index for index, said in enumerate(ordered) if said.asked)))
    return ordered


def _latest(shown: Sequence[Said], limit: int) -> list[Said]:
    """The messages being answered, and the newest of the others, up to `limit` in all."""
    others = [index for index, said in enumerate(shown) if not said.asked]
    room = max(0, limit - (len(shown) - len(others)))
    dropped = set(others[: max(0, len(others) - room)])
    return [said for index, said in enumerate(shown) if index not in dropped]


def _within(shown: Sequence[Said], characters: int) -> list[Said]:
    """The newest messages that fit into `characters`, at least the last one; "…" stands for the older ones."""
    room, kept = characters - len(_CUT), list[Said]()
    for said in reversed(shown):
        room -= len(said.body) + 1  # with the line end that follows it
        if room < 0 and kept:
            kept[-1] = replace(kept[-1], body=f"{_CUT}\n{kept[-1].body}")
            break
        kept.append(said)
    return kept[::-1]


def _turns(shown: Sequence[Said]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for said in shown:
        role = Role.USER if said.origin is Origin.PERSON else Role.ASSISTANT
        media = (said.medium,) if said.medium else ()
        if turns and turns[-1].role is role:
            turns[-1] = Turn(role, f"{turns[-1].text}\n{said.body}", (*turns[-1].media, *media))
        else:
            turns.append(Turn(role, said.body, media))
    return tuple(turns)
