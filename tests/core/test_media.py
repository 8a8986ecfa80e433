"""What a message says about its file, and what of it a model is shown."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.media import Medium, has_digest, medium_of
from wabot.core.prompt_media import MediaRefusals, senses_in, with_contents, without_media

VOICE = Medium("1", "audio", "audio/ogg")
PICTURE = Medium("2", "image", "image/jpeg")
OFFER = Medium("3", "document", "application/pdf", filename="offer.pdf")
SHEET = Medium("4", "document", "application/vnd.ms-excel", filename="x.xls")


def asked(*media: Medium) -> Prompt:
    return Prompt("", (Turn(Role.USER, "[voice message]", media),))


def test_a_file_is_read_from_a_message() -> None:
    audio = {"id": "75", "mime_type": "audio/ogg; codecs=opus", "sha256": "x=", "voice": True}
    assert medium_of({"type": "audio", "audio": audio}) == Medium("75", "audio", "audio/ogg", "x=")


@pytest.mark.parametrize("id_", ["", "../me", "a/b", "1?x=", "1" * 65, None, 7.5, "ü", "1\n"])
def test_an_id_that_could_name_something_else_is_none(id_: Any) -> None:
    assert medium_of({"type": "image", "image": {"id": id_, "mime_type": "image/png"}}) is None


@pytest.mark.parametrize("message", [{}, {"type": "text", "text": {"id": "1"}}, {"type": "image", "image": "x"}])
def test_other_messages_have_none(message: dict[str, Any]) -> None:
    assert medium_of(message) is None


def test_metas_digest_may_be_hex_or_base64() -> None:
    digest = hashlib.sha256(b"a voice").digest()
    for given in (digest.hex(), digest.hex().upper(), base64.b64encode(digest).decode(), ""):
        assert has_digest(b"a voice", given)
        assert given == "" or not has_digest(b"another", given)
    assert not has_digest(b"a voice", "what is this?")


def test_what_cannot_be_had_is_a_note_and_what_no_model_reads_is_left_as_it_is() -> None:
    shown = with_contents(asked(VOICE, PICTURE, OFFER, SHEET), {"2": b"jpeg"})
    assert shown.turns[0].text == (
        "[voice message]\n[voice message: not available to you]\n[document offer.pdf: not available to you]"
    )
    assert [medium.content for medium in shown.turns[0].media] == [b"jpeg"]
    assert without_media(shown).turns[0].media == ()


@pytest.mark.parametrize(
    ("status", "media", "before", "lasting"),
    [
        (400, (VOICE,), (), True),
        (415, (VOICE,), (), True),
        (413, (VOICE,), (), False),
        (500, (VOICE,), (), False),
        (400, (VOICE, PICTURE), (), False),
        (400, (VOICE,), (VOICE,), False),
        (400, (VOICE,), (PICTURE,), True),
    ],
)
def test_a_refusal_is_remembered_unless_it_may_be_about_this_file(
    status: int, media: tuple[Medium, ...], before: tuple[Medium, ...], lasting: bool
) -> None:
    refusals, failure = MediaRefusals(), AssistantFailed("HTTP", status)
    contents = {"1": b"ogg", "2": b"jpeg"}
    refusals.accepted(with_contents(asked(*before), contents))
    shown = with_contents(asked(*media), contents)
    assert refusals.may_be(failure, shown)
    refusals.refused(failure, shown)
    assert (senses_in(refusals.shown(shown)) != senses_in(shown)) == lasting


@pytest.mark.parametrize("status", [None, 401, 403, 429, 503])
def test_other_failures_are_no_refusals(status: int | None) -> None:
    shown = with_contents(asked(VOICE), {"1": b"ogg"})
    assert not MediaRefusals.may_be(AssistantFailed("failed", status), shown)
    assert not MediaRefusals.may_be(AssistantFailed("failed", 400), asked(replace(VOICE, content=None)))
