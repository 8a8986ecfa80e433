"""Reads config.toml, `.env` and the environment once into one frozen `Settings`.

Priority, highest first: `WABOT_SECTION__KEY` in the environment, a flat name (`PORT`) in the environment, the
same two inside `.env`, config.toml, the defaults. An empty flat name counts as not set; an empty WABOT_* is a value.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import unquote

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from wabot.core.errors import WabotError
from wabot.ownership import whose
from wabot.settings.refusals import refusals
from wabot.settings.sections import (
    SANDBOX,
    SANDBOX_DEFAULTS,
    SANDBOX_TAKES,
    Api,
    Assistant,
    Delivery,
    FirstContact,
    Log,
    Mongo,
    OptOut,
    Section,
    Server,
    WhatsApp,
)

Place = tuple[str, str]
"""The place of a setting: section and key."""

Layer = dict[str, Any]
"""The settings of one source: section → key → value."""


class SettingsError(WabotError):
    """The settings are invalid. `problems`: one line each, with the key but never the value."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Settings(BaseModel):
    """All settings. The constructor does not read the environment; `load` does."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server: Server = Server()
    api: Api = Api()
    whatsapp: WhatsApp = WhatsApp()
    first_contact: FirstContact = FirstContact()
    assistant: Assistant = Assistant()
    mongo: Mongo = Mongo()
    delivery: Delivery = Delivery()
    optout: OptOut = OptOut()
    log: Log = Log()

    def secrets(self) -> Iterator[str]:
        """All secrets that are set, and the password in `mongo.uri`: values that no log may show."""
        for name in SECTIONS:
            for value in dict(getattr(self, name)).values():
                for item in value if isinstance(value, tuple) else (value,):
                    if isinstance(item, SecretStr) and item:
                        yield item.get_secret_value()
        user_info = self.mongo.uri.get_secret_value().partition("://")[2].rpartition("@")[0]
        if password := user_info.partition(":")[2]:
            yield from {password, unquote(password)}

    def refuse_unsafe(self) -> None:
        """Raise SettingsError if these settings cannot work, or would let strangers in."""
        if problems := [_refusal(*refused) for refused in refusals(self)]:
            raise SettingsError(problems)


SECTIONS: Mapping[str, type[Section]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)
}
PLACES: tuple[Place, ...] = tuple((name, key) for name, section in SECTIONS.items() for key in section.model_fields)
WABOT_NAMES: Mapping[str, Place] = {f"WABOT_{name}__{key}".upper(): (name, key) for name, key in PLACES}
FLAT_NAMES: Mapping[str, Place] = {
    "PORT": ("server", "port"),
    "ACCESS_TOKEN": ("whatsapp", "access_token"),
    "PHONE_NUMBER_ID": ("whatsapp", "phone_number_id"),
    "BUSINESS_ACCOUNT_ID": ("whatsapp", "business_account_id"),
    "VERIFY_TOKEN": ("whatsapp", "verify_token"),
    "APP_SECRET": ("whatsapp", "app_secret"),
    "GRAPH_API_BASE": ("whatsapp", "graph_api_base"),
    "GOOGLE_API_KEY": ("assistant", "api_key"),
    "MONGO_URI": ("mongo", "uri"),
    "DATABASE_NAME": ("mongo", "database"),
    "COLLECTION_NAME": ("mongo", "collection"),
}


def load(
    config: Path | None,
    *,
    env_file: Path | None = Path(".env"),
    environ: Mapping[str, str] = os.environ,
    sandbox: bool = False,
    whole: bool = True,
) -> Settings:
    """The settings. Raises SettingsError with every problem found.

    `whole`: check that they suffice for the service; commands need only address, key and data directory.

    Without `config`, config.toml of the current directory is read if it exists. The sandbox reads neither that nor
    `.env`; of `config` and the environment it uses only PORT, the sections of SANDBOX_TAKES and, with `config`,
    GOOGLE_API_KEY: it must not touch a real address, journal, database, token or key.
    """
    if config is None and not sandbox and Path("config.toml").is_file():
        config = Path("config.toml")
    table = {} if config is None else _read_toml(config)
    dotenv = {} if sandbox or env_file is None else _read_dotenv(env_file)
    problems = [_unknown_name(name) for name in {**environ, **dotenv} if _is_unknown(name)]
    for name in [name for name in SECTIONS if not isinstance(table.get(name, {}), dict)]:
        problems.append(f"{name}: must be a section, [{name}]")
        del table[name]
    known = _sandbox_names(config) if sandbox else [WABOT_NAMES, FLAT_NAMES]
    found = [_variables(source, names) for source in (environ, dotenv) for names in known]
    layers = [*(_layer(variables) for variables in found), table]
    if sandbox:
        layers = [*layers[:-1], _sandboxed(table), SANDBOX, SANDBOX_DEFAULTS]
    try:
        settings = Settings(**_merged(layers))
    except ValidationError as error:
        origins = {place: name for variables in reversed(found) for place, (name, _) in variables.items()}
        problems += [_explain(detail["type"], detail["loc"], detail["msg"], origins) for detail in error.errors()]
    if problems:
        raise SettingsError(problems)
    if whole:
        settings.refuse_unsafe()
    return settings


def is_journald(stream: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd's journal reads what is written to this file descriptor: `JOURNAL_STREAM` of systemd.exec(5)."""
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _sandbox_names(config: Path | None) -> list[Mapping[str, Place]]:
    allowed = {name: place for name, place in WABOT_NAMES.items() if place[0] in SANDBOX_TAKES}
    return [allowed, {name: FLAT_NAMES[name] for name in (["PORT", "GOOGLE_API_KEY"] if config else ["PORT"])}]


def _sandboxed(table: Layer) -> Layer:
    """`table` without the keys that the sandbox ignores; misspelt ones stay, and are refused."""
    return {
        name: {key: value for key, value in section.items() if name in SANDBOX_TAKES or (name, key) not in PLACES}
        if name in SECTIONS
        else section
        for name, section in table.items()
    }


def _read_toml(path: Path) -> Layer:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError([f"{whose(path)}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from None


def _read_dotenv(path: Path) -> dict[str, str]:
    """The assignments of a `.env`, without interpolation: `${…}` in a secret stays as it is."""
    if not path.is_file():  # missing, or a virtual environment of that name
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SettingsError([f"{whose(path)}: cannot be read: {_reason(error)}"]) from None
    return {name: text or "" for name, text in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}


def _variables(source: Mapping[str, str], names: Mapping[str, Place]) -> dict[Place, tuple[str, str]]:
    """The variables of `source` that are in `names`: place → (name, text)."""
    return {
        place: (name, source[name].strip())
        for name, place in names.items()
        if name in source and (source[name].strip() or name in WABOT_NAMES)
    }


def _layer(variables: Mapping[Place, tuple[str, str]]) -> Layer:
    layer: Layer = {}
    for (section, key), (_, text) in variables.items():
        layer.setdefault(section, {})[key] = _decode(text, SECTIONS[section].model_fields[key].annotation)
    return layer


def _merged(layers: Sequence[Layer]) -> Layer:
    """The layers, highest priority first, as one: key by key within a section."""
    merged: Layer = {}
    for layer in reversed(layers):
        for name, value in layer.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    return merged


def _decode(text: str, wanted: Any) -> Any:
    """`text` as the type `wanted`; if that fails, `text` unchanged, which validation refuses."""
    with suppress(ValueError):
        if get_origin(wanted) is tuple:
            words = json.loads(text) if text.startswith("[") else text.split(",")
            return [word for word in words if not isinstance(word, str) or word.strip()]
        if wanted in (bool, int, float):
            return TypeAdapter(wanted).validate_python(text)
    return text


def _is_unknown(name: str) -> bool:
    return name.upper().startswith("WABOT_") and name not in WABOT_NAMES


def _unknown_name(name: str) -> str:
    return f"{name}: unknown setting{_hint(name.upper(), WABOT_NAMES)}"


def _hint(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _explain(kind: str, loc: tuple[int | str, ...], message: str, origins: Mapping[Place, str]) -> str:
    """One line for one of pydantic's errors, with the variable that the value came from."""
    path = ".".join(str(part) for part in loc)
    word = str(loc[-1])
    if kind == "extra_forbidden":
        if len(loc) > 1:
            return f"{path}: unknown key{_hint(word, SECTIONS[str(loc[0])].model_fields)}"
        homes = [name for name, key in PLACES if key == word]
        return f"{path}: unknown key" + (f" (it belongs in [{homes[0]}])" if homes else _hint(word, SECTIONS))
    origin = origins.get((str(loc[0]), str(loc[1]))) if len(loc) > 1 else None
    text = message.removeprefix("Value error, ").replace("Input should", "must").replace("tuple", "list")
    if kind == "path_type":
        text = "must be a path in quotes"
    return f"{path} (from {origin}): {text}" if origin else f"{path}: {text}"


def _refusal(setting: str, why: str) -> str:
    """One line for a refused setting; if it is missing, with the names by which it can be set."""
    if not why.startswith("missing"):
        return f"{setting}: {why}"
    names = [name for known in (FLAT_NAMES, WABOT_NAMES) for name, place in known.items() if ".".join(place) == setting]
    return f"{setting}: {why}; set it in config.toml or as {' or '.join(names)}"


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8 text"
