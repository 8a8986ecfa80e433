"""The `ask` command: what the assistant would answer, and what it was shown. Nothing is stored, and nothing is sent."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from wabot.assembly import factories
from wabot.assembly.adapters import Clients
from wabot.core import remedies
from wabot.core.answer import Answer, read_answer
from wabot.core.conversation import MESSAGE_CHARACTERS, Prompt, Said, prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Job, Kind
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.outgoing import Origin
from wabot.core.passages import Passage
from wabot.core.whatsapp_text import for_whatsapp
from wabot.journal.talk_so_far import NOBODY, talk_so_far
from wabot.service import identify
from wabot.settings.loading import Settings
from wabot.work.models import Models


class _Asked:
    """Which model answered, and what to do about those that did not."""

    def __init__(self) -> None:
        self.by, self.failed = "", list[str]()

    def model_answered(self, name: ModelName, _seconds: float, _answer: ModelAnswer) -> None:
        self.by = str(name)

    def model_failed(self, name: ModelName, _seconds: float, failure: AssistantFailed) -> None:
        self.failed.append(f"{name}: {failure}. {remedies.of_model(failure, name.setting)}")


async def ask(settings: Settings, args: argparse.Namespace) -> int:
    """Ask the models of an account, and print what they saw and said. Returns 1 if none of them answers.

    Raises SettingsError if there is no such account, InvalidNumber, OSError.
    """
    chosen = settings.of_accounts()[settings.account_named(args.account)]
    style, contact, said = factories.reply_style(chosen), NOBODY, list[Said]()
    if args.number:
        contact, said = talk_so_far(chosen.server.data_dir, identify(args.number), style.history_messages)
    said = [*said, Said(Origin.PERSON, args.question, asked=True)]
    briefing = factories.briefing(chosen, time.time)
    system = await briefing.system(contact.name, said)
    room = max(style.prompt_characters - system.own, MESSAGE_CHARACTERS)
    asked = prompt(said, system=system.text, limit=style.history_messages, characters=room)
    if asked is None:
        _print("There is no text to answer.")
        return 1
    failure, answer, seen = "", Answer(""), _Asked()
    async with AsyncExitStack() as stack:
        clients = await Clients.open({"": chosen}, stack)
        models = Models(
            await clients.models(chosen), clock=time.time, observers=[seen]
        )  # no tools: they may book something
        job = Job(0, Kind.REPLY, contact, token=0, attempt=1, spent=0, created_at=time.time(), tag="")
        try:
            answer = read_answer(await models.answer(asked, job), handoff=chosen.handoff.by_assistant)
            if not answer.text and not answer.handoff:
                failure = f"{seen.by} answered with nothing; see the passages and the prompt that it was shown"
        except AssistantFailed:
            failure = " ".join(seen.failed)
    found = _document(asked, system.passages, answer, failure, style.max_bubbles)
    found |= {"model": seen.by or None, "failed": seen.failed}
    _print(json.dumps(found, ensure_ascii=False) if args.json else _in_words(found))
    return 1 if failure else 0


def _document(
    asked: Prompt, passages: Sequence[Passage], answer: Answer, failure: str, max_bubbles: int
) -> dict[str, Any]:
    choices = answer.choices
    return {
        "passages": [{"file": one.file, "heading": one.heading, "text": one.text} for one in passages],
        "prompt": {
            "system": asked.system,
            "turns": [{"role": str(turn.role), "text": turn.text} for turn in asked.turns],
        },
        "answer": list(for_whatsapp(answer.text, max_bubbles)),
        "choices": list(choices.titles) if choices else [],
        "handoff": answer.handoff,
        "error": failure or None,
    }


def _in_words(found: dict[str, Any]) -> str:
    passages = [f"{one['file']}: {one['heading']}\n{one['text']}".strip() for one in found["passages"]]
    turns = [f"{turn['role']}: {turn['text']}" for turn in found["prompt"]["turns"]]
    said = "\n\n".join(found["answer"]) or "(nothing)"
    parts = {
        "passages": "\n\n".join(passages) or "(the knowledge is shown whole, or there is none)",
        "system": found["prompt"]["system"].strip(),
        "talk": "\n".join(turns),
        "answer": f"(no answer: {found['error']})" if found["error"] else said,
    }
    if found["model"] and found["failed"]:
        parts["model"] = "\n".join([f"{found['model']} answered, since others failed:", *found["failed"]])
    if found["choices"]:
        parts["choices"] = " | ".join(found["choices"])
    if found["handoff"]:
        parts["handoff"] = "A person is asked for; the contact gets handoff.notice."
    return "\n\n".join(f"--- {name} ---\n{text}" for name, text in parts.items())


def _print(text: str) -> None:
    print(text)  # noqa: T201
