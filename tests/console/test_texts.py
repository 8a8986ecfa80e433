"""What wabot says in English, and the console in another language."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from wabot import message_building
from wabot.console import batches, conversations, events, new_batch, now, outbox, serving, template_form, texts
from wabot.core import may_send, remedies, waiting_reasons
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Kind, State
from wabot.monitor import problem_sources

OTHERS = [language for language in texts.LANGUAGES if language != texts.DEFAULT]


def sentences() -> Iterator[str]:
    """What wabot says of itself: remedies, and why something waits or did not leave."""
    for value in vars(remedies).values():
        if isinstance(value, remedies.Trouble):
            yield value.remedy
    yield from (remedies.KNOWLEDGE, remedies.OF_ENDPOINT, remedies.MONGO, remedies.OF_WARNING)
    yield from (problem_sources._SIGNATURE, problem_sources._FOREIGN)
    for status in (401, 404, 429, 418, None):
        yield remedies.of_model(AssistantFailed("", status))
    for kind in Kind:
        for state in (State.WAITING, State.RUNNING, State.IN_DOUBT, State.PARKED, State.HELD, State.QUEUED):
            for due, error, paused in ((0.0, None, None), (9.0, None, None), (0.0, "x", None), (0.0, None, "y")):
                said = waiting_reasons.why(kind, state, due_at=due, now=1.0, attempts=0, error=error, paused=paused)
                assert said is not None
                yield said
    for module in (batches, conversations, events, new_batch, now, outbox, serving, template_form):
        for words in re.findall(r'Refusal\(\d+, f?"([^"]+)"\)', Path(str(module.__file__)).read_text("utf-8")):
            yield re.sub(r"\{[^}]*\}", "7", words)
    yield from message_building._WORDS.values()
    yield from (may_send.TAKEN_OVER, may_send.OPTED_OUT[0], "Quiet hours until 08:00", "Waits for the pair limit")


@pytest.mark.parametrize("language", OTHERS)
def test_what_wabot_says_is_known_in_every_language(language: str) -> None:
    said = texts.speaker(language)
    assert [sentence for sentence in sentences() if said(sentence) == sentence] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_keeps_what_varies_in_it(language: str) -> None:
    for pattern, other in texts._sentences(language):
        names = {name for _, name, _, _ in string.Formatter().parse(other) if name}
        assert names == set(pattern.groupindex), other


def test_what_varies_is_translated_too_and_what_others_say_is_not() -> None:
    said = texts.speaker("es")
    assert said("Is held: Quiet hours until 08:00") == "Está retenido: Horas de silencio hasta las 08:00"
    assert said("Nothing is sent: (#131042) Payment issue") == "No se envía nada: (#131042) Payment issue"
    assert said("(#131042) Payment issue") == "(#131042) Payment issue"
    assert said(None) == ""


def test_english_is_as_it_is() -> None:
    assert all(texts.speaker("en")(sentence) == sentence for sentence in sentences())
    assert not re.search(r"\{", " ".join(sentences()))
