"""Time zones by their names in the IANA database, such as "Europe/Berlin"."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('must be a time zone such as "Europe/Berlin" or "UTC"') from None
    return name


Timezone = Annotated[str, AfterValidator(_known)]
OptionalTimezone = Annotated[str, AfterValidator(lambda name: name and _known(name))]
