"""Settings with some of them changed, as a rehearsal does."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError

from wabot.settings.errors import SettingsError, reason
from wabot.settings.loading import Settings
from wabot.settings.sources import Layer, merged


def overlaid(settings: Settings, layers: Collection[Layer], *, keep: Collection[str], where: str) -> Settings:
    """The sections `keep` of `settings`, and the `layers` over them, the first one on top.

    Raises SettingsError, whose lines begin with `where`.
    """
    base = {name: value for name, value in settings.model_dump(exclude_unset=True).items() if name in keep}
    try:
        return Settings.model_validate(merged([*layers, base]))
    except ValidationError as error:
        raise SettingsError(_line(where, found) for found in error.errors()) from None


def _line(where: str, error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101
    place = ".".join(str(part) for part in error["loc"])
    wrong = "unknown key" if error["type"] == "extra_forbidden" else reason(error["type"], error["msg"])
    return f"{where}: {place}: {wrong}"
