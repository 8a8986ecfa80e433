"""Reads config.toml, `.env` and the environment once into one frozen `Settings`.

Priority, highest first: `WABOT_SECTION__KEY` in the environment, a flat name (`PORT`) in the environment, the
same two inside `.env`, config.toml, the defaults. An empty flat name counts as not set; an empty WABOT_* is a value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr, TypeAdapter, ValidationError, model_validator

from wabot.settings.accounts import (
    INHERITED,
    MAIN,
    VARIABLE,
    AccountSettings,
    clashes,
    completed,
    explain,
    is_list,
    is_own,
    listed,
    not_a_list,
)
from wabot.settings.bulk import Bulk
from wabot.settings.environment_names import FLAT_NAMES
from wabot.settings.errors import SettingsError, hint, reason
from wabot.settings.events_section import EVENTS_VARIABLE, Endpoints, EventEndpoint
from wabot.settings.handoff_section import Handoff
from wabot.settings.media_section import Media
from wabot.settings.refusals import refusals
from wabot.settings.sections import (
    SANDBOX,
    SANDBOX_DEFAULTS,
    SANDBOX_TAKES,
    TABLES,
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
from wabot.settings.sources import Layer, config_here, merged, read_dotenv, read_toml

Place = tuple[str, str]
"""The place of a setting: section and key."""


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
    media: Media = Media()
    bulk: Bulk = Bulk()
    optout: OptOut = OptOut()
    handoff: Handoff = Handoff()
    log: Log = Log()
    events: Endpoints = ()
    accounts: tuple[AccountSettings, ...] = ()
    _origins: Mapping[Place, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _complete_accounts(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return completed(table)

    @property
    def main(self) -> WhatsApp | None:
        """[whatsapp], if it is an account: None if it is not set up, and there are others."""
        meta = self.whatsapp
        return meta if not self.accounts or meta.access_token or meta.phone_number_id else None

    def of_accounts(self) -> dict[str, Settings]:
        """Complete settings for each account, the default first. Without [[accounts]] it is these, as MAIN.

        Otherwise `server.api_keys` are those that open this account alone, `server.data_dir` is the folder of its
        journal, and `whatsapp.ignore_phone_number_ids` are those of all accounts.
        """
        if not self.accounts:
            return {MAIN: self}
        found = {MAIN: self._of(self, api_keys=())} if self.main else {}
        for one in self.accounts:
            found[one.name] = self._of(one, api_keys=one.api_keys, data_dir=one.data_dir(self.server.data_dir))
        return found

    def account_named(self, name: str) -> str:
        """The account that a command's --account means; "" means the default one. Raises SettingsError."""
        accounts = self.of_accounts()
        if name and name not in accounts:
            raise SettingsError([f"--account: no account is called {name}; there are {', '.join(accounts)}"])
        return name or next(iter(accounts))

    def _of(self, one: Settings | AccountSettings, **server: Any) -> Settings:
        metas = (self.whatsapp, *(account.whatsapp for account in self.accounts))
        ignored = dict.fromkeys(number for meta in metas for number in meta.ignore_phone_number_ids)
        changed = {name: getattr(one, name) for name in INHERITED}
        changed["whatsapp"] = one.whatsapp.model_copy(update={"ignore_phone_number_ids": tuple(ignored)})
        changed["server"] = self.server.model_copy(update=server)
        return self.model_copy(update={**changed, "accounts": ()})

    def origin(self, section: str, key: str) -> str | None:
        """Where a setting came from: the name of a variable or of a file; None if it has its default."""
        return self._origins.get((section, key))

    def secrets(self) -> Iterator[str]:
        """All secrets that are set, and the password in `mongo.uri`: values that no log may show."""
        yield from dict.fromkeys(_secrets(self))
        user_info = self.mongo.uri.get_secret_value().partition("://")[2].rpartition("@")[0]
        if password := user_info.partition(":")[2]:
            yield from {password, unquote(password)}

    def refuse_unsafe(self) -> None:
        """Raise SettingsError if these settings cannot work, or would let strangers in."""
        if problems := [_refusal(*refused) for refused in refusals(self)]:
            raise SettingsError(problems)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr) and value:
        yield value.get_secret_value()
    elif isinstance(value, BaseModel | tuple):
        for item in value if isinstance(value, tuple) else dict(value).values():
            yield from _secrets(item)


SECTIONS: Mapping[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
PLACES: tuple[Place, ...] = tuple((name, key) for name, section in SECTIONS.items() for key in section.model_fields)
WABOT_NAMES: Mapping[str, Place] = {f"WABOT_{name}__{key}".upper(): (name, key) for name, key in PLACES}


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
    if config is None and not sandbox:
        config = config_here()
    table = {} if config is None else read_toml(config)
    dotenv = {} if sandbox or env_file is None else read_dotenv(env_file)
    problems = list(_unknown_names({**environ, **dotenv}))
    for name in [name for name in SECTIONS if not isinstance(table.get(name, {}), dict)]:
        problems.append(f"{name}: must be a section, [{name}]")
        del table[name]
    tables: dict[str, tuple[Any, str]] = {"accounts": ([], ""), "events": ([], "")}
    for name, variable in () if sandbox else (("accounts", VARIABLE), ("events", EVENTS_VARIABLE)):
        tables[name] = listed(table.pop(name, []), (environ, dotenv), variable)
        if not is_list(tables[name][0]):
            problems.append(not_a_list(tables[name][1], name))
            tables[name] = [], ""
    known = _sandbox_names(config) if sandbox else [WABOT_NAMES, FLAT_NAMES]
    found = [_variables(source, names) for source in (environ, dotenv) for names in known]
    written = [_sandboxed(table), SANDBOX, SANDBOX_DEFAULTS] if sandbox else [table]
    layers = [*(_layer(variables) for variables in found), *written]
    try:
        settings = Settings.model_validate({**merged(layers), **{name: rows for name, (rows, _) in tables.items()}})
        settings._origins = _origins(found, written[0], config)
        problems += clashes(settings.main, settings.accounts)
    except ValidationError as error:
        problems += _explained(error.errors(), _origins(found), *tables["accounts"])
    if problems:
        raise SettingsError(problems)
    if whole:
        settings.refuse_unsafe()
    return settings


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
        if name not in ("accounts", "events")
    }


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


def _decode(text: str, wanted: Any) -> Any:
    """`text` as the type `wanted`; if that fails, `text` unchanged, which validation refuses."""
    with suppress(ValueError):
        if get_origin(wanted) is tuple:
            words = json.loads(text) if text.startswith("[") else text.split(",")
            return [word for word in words if not isinstance(word, str) or word.strip()]
        if wanted in (bool, int, float):
            return TypeAdapter(wanted).validate_python(text)
    return text


def _origins(
    found: Sequence[Mapping[Place, tuple[str, str]]], table: Layer | None = None, config: Path | None = None
) -> dict[Place, str]:
    """Where each setting came from: the sources in `found`, the highest first, and the file's table below them."""
    origins = {(section, key): str(config) for section, keys in (table or {}).items() for key in keys} if config else {}
    return origins | {place: name for variables in reversed(found) for place, (name, _) in variables.items()}


def _unknown_names(names: Iterable[str]) -> Iterator[str]:
    known = (*WABOT_NAMES, VARIABLE, EVENTS_VARIABLE)
    for name in names:
        if name.upper().startswith("WABOT_") and name not in known:
            yield f"{name}: unknown setting{hint(name.upper(), known)}"


def _explained(
    errors: Sequence[Any], origins: Mapping[Place, str], accounts: Sequence[Layer], accounts_from: str
) -> Iterator[str]:
    """One line for each of pydantic's errors, with the variable that the value came from."""
    ours = [error for error in errors if error["loc"][0] != "accounts"]
    yield from (_explain(error["type"], error["loc"], error["msg"], origins) for error in ours)
    said = {(error["loc"], error["msg"]) for error in ours}
    for error in errors:
        kind, loc, message = error["type"], error["loc"], error["msg"]
        if loc[0] == "accounts":
            own = accounts[loc[1]]
            if (loc[2:], message) not in said or is_own(loc, own):
                yield explain(kind, loc, message, own, accounts_from)


def _explain(kind: str, loc: tuple[int | str, ...], message: str, origins: Mapping[Place, str]) -> str:
    path = ".".join(str(part) for part in loc)
    word = str(loc[-1])
    if kind == "extra_forbidden":
        if len(loc) > 2:
            known = EventEndpoint if loc[0] == "events" else TABLES[str(loc[1])]
            return f"{path}: unknown key{hint(word, known.model_fields)}"
        if len(loc) > 1:
            return f"{path}: unknown key{hint(word, SECTIONS[str(loc[0])].model_fields)}"
        homes = [name for name, key in PLACES if key == word]
        return f"{path}: unknown key" + (
            f" (it belongs in [{homes[0]}])" if homes else hint(word, Settings.model_fields)
        )
    origin = origins.get((str(loc[0]), str(loc[1]))) if len(loc) > 1 else None
    text = reason(kind, message)
    return f"{path} (from {origin}): {text}" if origin else f"{path}: {text}"


def _refusal(setting: str, why: str) -> str:
    """One line for a refused setting; if it is missing, with the names by which it can be set."""
    if not why.startswith("missing"):
        return f"{setting}: {why}"
    names = [name for known in (FLAT_NAMES, WABOT_NAMES) for name, place in known.items() if ".".join(place) == setting]
    of_table = "WABOT_{}__{}".format(*[*setting.partition("[")[0].split("."), ""][:2]).upper()
    variables = f"as {' or '.join(names)}" if names else f"in {of_table if of_table in WABOT_NAMES else VARIABLE}"
    return f"{setting}: {why}; set it in config.toml or {variables}"
