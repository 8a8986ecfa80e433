"""The section [media]: what becomes of pictures, voice notes and files that come in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wabot.settings.sections import Section


class Media(Section):
    keep: bool = False
    max_megabytes: Annotated[float, Field(gt=0, le=100)] = 16
