"""[bulk]: when and how bulk sends leave."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from pydantic import AfterValidator

from wabot.quiet_hours import QuietHours
from wabot.settings.sections import Section
from wabot.settings.time_zones import Timezone


def _span(text: str) -> str:
    QuietHours.of(text, UTC)
    return text


class Bulk(Section):
    quiet_hours: Annotated[str, AfterValidator(_span)] = ""
    timezone: Timezone = "UTC"
    check_templates: bool = True
