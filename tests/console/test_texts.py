"""What wabot says in English, and the console in another language."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

import pytest

from tests.console.sentences import VARIES, sentences_in
from wabot import accounts, batch_building, message_building, operations, service, template_list
from wabot.adapters import gemini, graph_api, mongo, openai, signed_post, whatsapp
from wabot.console import (
    batches,
    conversations,
    events,
    knowledge,
    new_batch,
    now,
    outbox,
    setup,
    sign_in,
    template_form,
    texts,
)
from wabot.core import (
    account_news,
    credential_shapes,
    health_checks,
    may_send,
    meta_errors,
    remedies,
    reply_caps,
    template_check,
    waiting_reasons,
)
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Kind, State
from wabot.doctor import doctor, event_endpoints, public_address, questions_to_meta
from wabot.journal import event_queue, inspection, retry_and_cancel, single_messages, sqlite
from wabot.knowledge import files, pdf_text
from wabot.monitor import problem_sources, readiness
from wabot.work import archive_circuit, event_posts, models, reply, send, tool_calls, trial

OTHERS = [language for language in texts.LANGUAGES if language != texts.DEFAULT]

SPEAKERS = (
    accounts, batch_building, message_building, operations, service, template_list,
    gemini, graph_api, mongo, openai, signed_post, whatsapp,
    batches, conversations, events, knowledge, new_batch, now, outbox, setup, sign_in, template_form,
    account_news, credential_shapes, health_checks, may_send, meta_errors, remedies, template_check, waiting_reasons,
    doctor, event_endpoints, public_address, questions_to_meta,
    event_queue, inspection, retry_and_cancel, single_messages, sqlite, files, pdf_text, problem_sources, readiness,
    archive_circuit, event_posts, models, reply, send, tool_calls, trial,
)  # fmt: skip
"""The modules whose words come to a page of the console."""

NOT_SAID = {
    health_checks.SYSTEM_USERS, health_checks.TEMPLATE_MANAGER,  # Meta's places, in Meta's words
    f"not called, since {VARIES} calls are the most. Answer with what you know.",
    "Answer with one word: hello.", "(The business began this conversation.)",  # to a model
    f", {VARIES} more had no room", "; it has it in 7",  # ends of sentences that are looked up whole below
    "the token's app is not subscribed to the account7: nothing arrives", "the account has no template 7 in 77",
    "The template 7 (7) 7 7: that decides what it costs and who gets it", "Was answered as often as allowed in 7",
    "a send that is 7 cannot be 7", "the event is 7",
}  # fmt: skip
PUT_TOGETHER = (
    "the token's app is not subscribed to the account: nothing arrives",
    "the token's app is not subscribed to the account, but 2 other: nothing arrives",
    "the account has no template a in en_US",
    "the account has no template a in en_US; it has it in es, fr",
    "Webhooks came for phone number ids that are not ours (1, 2): 3 kept, 4 more had no room",
    "The template a (en_US) is MARKETING: that decides what it costs and who gets it",
    "The template a (en_US) will be MARKETING: that decides what it costs and who gets it",
    *(f"Was answered as often as allowed in {span}" for span in reply_caps.IN_WORDS.values()),
    *(
        f"a send that is {state.replace('_', ' ')} cannot be {done}"
        for state in State
        for done in retry_and_cancel._DONE_TO.values()
    ),
    *(f"the event is {state}" for state in (State.WAITING, State.RUNNING, State.DONE, State.CANCELLED)),
    "Quiet hours until 08:00",
)


def sentences() -> Iterator[str]:
    """What wabot says of itself."""
    for module in SPEAKERS:
        yield from sentences_in(module) - NOT_SAID
    yield from PUT_TOGETHER
    for status in (401, 404, 429, 418, None):
        yield remedies.of_model(AssistantFailed("", status))
    for kind in Kind:
        for state in (State.WAITING, State.RUNNING, State.IN_DOUBT, State.PARKED, State.HELD, State.QUEUED):
            for due, error, paused in ((0.0, None, None), (9.0, None, None), (0.0, "x", None), (0.0, None, "y")):
                said = waiting_reasons.why(kind, state, due_at=due, now=1.0, attempts=0, error=error, paused=paused)
                assert said is not None
                yield said


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
    assert said("done is approved") == "done está aprobada", "the name of a template is a name"
    assert said(None) == ""


def test_what_is_said_one_after_the_other_is_translated_one_by_one() -> None:
    said = texts.speaker("es")
    assert said("Register it in WhatsApp > API setup. Put it into config.toml.") == (
        "Regístrelo en WhatsApp > API setup. Póngalo en config.toml."
    )
    assert said("m (openai): no connection (TimeoutError); n (gemini): HTTP 500") == (
        "m (openai): sin conexión (TimeoutError); n (gemini): HTTP 500"
    )


def test_the_settings_of_a_further_account_are_those_that_a_remedy_names() -> None:
    said = texts.speaker("es")
    of_first = "Copy it from the app's App settings > Basic into whatsapp.app_secret, and restart wabot."
    of_north = remedies.of_account(of_first, "north")
    assert said(of_north) == said(of_first).replace("whatsapp.app_secret", "accounts.north.app_secret")
    assert all(said(remedies.of_account(each, "north")) != remedies.of_account(each, "north") for each in sentences())


FAMILIAR = r"tú|tu|tus|te|ti|contigo|haz|pon|mira|corrige|comprueba|reinicia|elige|genera|ponlo|cópialo"


def test_spanish_says_usted() -> None:
    said = [other for _, other in texts._sentences("es")]
    said += [str(text) for section in texts.read("es").values() for text in section.values()]
    assert [text for text in said if re.search(rf"(?<![\w.])(?:{FAMILIAR})(?!\w)", text, re.IGNORECASE)] == []


def test_english_is_as_it_is() -> None:
    assert all(texts.speaker("en")(sentence) == sentence for sentence in sentences())
