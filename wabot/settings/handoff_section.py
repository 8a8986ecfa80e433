"""The section [handoff]: when a person answers instead of the assistant."""

from __future__ import annotations

from wabot.settings.sections import Seconds, Section


class Handoff(Section):
    resume_hours: Seconds = 12
