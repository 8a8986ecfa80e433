"""The `ask` command: what the assistant would answer, and what it was shown. Nothing is stored, and nothing is sent."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import AsyncExitStack
from typing import Any

from wabot.assembly import factories
from wabot.assembly.adapters import Clients
from wabot.core import remedies
from wabot.core.conversation import Said
from wabot.core.exceptions import AssistantFailed
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.phone_numbers import identify
from wabot.journal.talk_from_outside import NOBODY, talk_so_far
from wabot.settings.loading import Settings
from wabot.work.models import Models
from wabot.work.trial import Briefing, Tried


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
    contact, before, seen = NOBODY, list[Said](), _Asked()
    if args.number:
        limit, oldest = factories.reply_style(chosen).bounds(time.time())
        contact, before = talk_so_far(chosen.server.data_dir, identify(args.number), limit=limit, oldest=oldest)
    briefing = factories.briefing(chosen, time.time)
    async with AsyncExitStack() as stack:
        clients = await Clients.open({"": chosen}, stack, archive=False)
        models = Models(await clients.models(chosen), clock=time.time, observers=[seen])  # and no tools
        tried = await factories.trial(chosen, briefing, models, time.time).ask(args.question, contact, before)
    if tried is None:
        _print("There is no text to answer.")
        return 1
    found = _document(tried, seen)
    _print(json.dumps(found, ensure_ascii=False) if args.json else _in_words(found, _without_passages(briefing)))
    return 1 if found["error"] else 0


def _document(tried: Tried, seen: _Asked) -> dict[str, Any]:
    says, failure = tried.says, " ".join(seen.failed) if tried.failure else ""
    if not failure and not says.texts and not tried.handoff:
        failure = f"{seen.by} answered with nothing; see the passages and the prompt that it was shown"
    return {
        "passages": [{"file": one.file, "heading": one.heading, "text": one.text} for one in tried.passages],
        "prompt": {
            "system": tried.prompt.system,
            "turns": [{"role": str(turn.role), "text": turn.text} for turn in tried.prompt.turns],
        },
        "answer": list(says.texts),
        "choices": list(says.choices.titles) if says.choices else [],
        "handoff": tried.handoff,
        "error": failure or None,
        "model": seen.by or None,
        "failed": seen.failed,
    }


def _without_passages(briefing: Briefing) -> str:
    """Why no passages were looked up."""
    if briefing.is_searched:
        return "(nothing in the knowledge fits the question)"
    if briefing.files:
        return f"(all of the knowledge is shown, see system: {', '.join(name for name, _ in briefing.files)})"
    return "(there is no knowledge: assistant.knowledge_dir is not set, or has nothing that can be read)"


def _in_words(found: dict[str, Any], without: str) -> str:
    """`without`: what stands where no passages were looked up."""
    passages = [f"{one['file']}: {one['heading']}\n{one['text']}".strip() for one in found["passages"]]
    turns = [f"{turn['role']}: {turn['text']}" for turn in found["prompt"]["turns"]]
    said = "\n\n".join(found["answer"]) or "(nothing)"
    parts = {
        "passages": "\n\n".join(passages) or without,
        "system": found["prompt"]["system"].strip(),
        "talk": "\n".join(turns),
        "answer": f"(no answer: {found['error']})" if found["error"] else said,
    }
    if found["model"] and found["failed"]:
        parts["model"] = "\n".join([f"{found['model']} answered, since others failed:", *found["failed"]])
    if found["choices"]:
        parts["choices"] = " | ".join(found["choices"])
    if found["handoff"]:
        parts["handoff"] = "The model asks for a person: the assistant is silent from then on."
    return "\n\n".join(f"--- {name} ---\n{text}" for name, text in parts.items())


def _print(text: str) -> None:
    print(text)  # noqa: T201
