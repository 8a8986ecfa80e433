"""The section [handoff]: when a person answers instead of the assistant."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from wabot.core import handoff
from wabot.core.phone_numbers import InvalidNumber, normalize_number
from wabot.settings.sections import NotNegative, Said, Seconds, Section, Words


def _digits(number: str) -> str:
    try:
        return normalize_number(number) if number else ""
    except InvalidNumber as error:
        raise ValueError("must be a phone number with its country code") from error


class Handoff(Section):
    words: Words = handoff.WORDS
    by_assistant: bool = True
    notice: Said = "A colleague will answer you here."
    unanswered_minutes: NotNegative = 30
    unanswered_notice: Said = "We have not forgotten you. A colleague will answer as soon as possible."
    resume_hours: Seconds = 12
    alert_number: Annotated[str, AfterValidator(_digits)] = ""
    alert_template: str = ""
