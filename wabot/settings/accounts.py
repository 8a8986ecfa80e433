"""`[[accounts]]`: further business numbers in one process, each with complete settings of its own.

A table has the keys of [whatsapp] and, in its sub-tables, those keys of INHERITED that differ; the rest comes from the
section of that name, whichever source set it there. [whatsapp] itself is the account MAIN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeGuard

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict

from wabot.settings.errors import hint, reason
from wabot.settings.handoff_section import Handoff
from wabot.settings.sections import ApiKeys, Assistant, Delivery, FirstContact, Section, WhatsApp

MAIN = "main"
"""The account of [whatsapp]."""

VARIABLE = "WABOT_ACCOUNTS"
"""The name in the environment: a JSON list, which replaces the whole list of config.toml."""

FOLDER = "accounts"
"""The folder within the service's data directory that has a folder for each further account."""

INHERITED: Mapping[str, type[Section]] = {
    "assistant": Assistant, "first_contact": FirstContact, "handoff": Handoff, "delivery": Delivery,
}  # fmt: skip
"""The sections of which an account may set some keys anew."""

OF_PROVIDER = frozenset({"model", "api_key", "base_url"})
"""Keys of [assistant] that an account with another provider does not inherit: no provider may see another's key."""

_OWN = ("name", "api_keys")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

Loc = tuple[int | str, ...]
"""The place of a value within the settings, as pydantic says it: ("accounts", 1, "assistant", "model")."""


def _short_word(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("must be at most 32 of a-z, 0-9, _ and -, and begin with a letter or a digit")
    return name


class AccountSettings(BaseModel):
    """A further business number, with complete sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Strict(), AfterValidator(_short_word)]
    api_keys: ApiKeys = ()
    whatsapp: WhatsApp
    assistant: Assistant
    first_contact: FirstContact
    handoff: Handoff
    delivery: Delivery

    def data_dir(self, of_service: Path) -> Path:
        """The folder of this account's journal, within that of the service."""
        return of_service / FOLDER / self.name


def listed(table: Any, sources: Iterable[Mapping[str, str]], variable: str = VARIABLE) -> tuple[Any, str]:
    """A list of tables, by default that of accounts, and the variable that it comes from ("": the file's, `table`).

    What is no JSON stays text, which `is_list` refuses.
    """
    for text in [source[variable].strip() for source in sources if variable in source]:
        with suppress(ValueError):
            return json.loads(text or "[]"), variable
        return text, variable
    return table, ""


def is_list(accounts: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether these are tables."""
    return isinstance(accounts, list) and all(isinstance(account, dict) for account in accounts)


def not_a_list(origin: str, name: str = "accounts") -> str:
    """The line for what is no list of tables; `origin` as `listed` says it."""
    return f"{origin}: must be a JSON list, [{{…}}]" if origin else f"{name}: must be tables, [[{name}]]"


def completed(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """`table`, which is input for Settings, with complete sections in each of its accounts."""
    accounts = table.get("accounts")
    if not is_list(accounts):
        return table
    return {**table, "accounts": [_completed(own, table) for own in accounts]}


def _completed(own: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    whatsapp = {key: value for key, value in _set(table.get("whatsapp")).items() if key == "graph_api_base"}
    account: dict[str, Any] = {"whatsapp": whatsapp}
    for key, value in own.items():
        (account if key in (*_OWN, *INHERITED) else whatsapp)[key] = value
    for name in INHERITED:
        if isinstance(different := own.get(name, {}), Mapping):
            account[name] = {**_inherited(name, _set(table.get(name)), different), **different}
    return account


def _set(section: Any) -> Mapping[str, Any]:
    """The keys of a section that were set."""
    if isinstance(section, Section):
        return {key: getattr(section, key) for key in section.model_fields_set}
    return section if isinstance(section, Mapping) else {}


def _inherited(name: str, section: Mapping[str, Any], different: Mapping[str, Any]) -> Mapping[str, Any]:
    provider = section.get("provider", Assistant.model_fields["provider"].default)
    if name != "assistant" or different.get("provider", provider) == provider:
        return section
    return {key: value for key, value in section.items() if key not in OF_PROVIDER}


def clashes(main: WhatsApp | None, accounts: Sequence[AccountSettings]) -> Iterator[str]:
    """A line for each name and number that an earlier account has already. `main`: [whatsapp], if it is an account."""
    names = {MAIN} if main else set()
    numbers = {main.phone_number_id: MAIN} if main else {}
    for index, account in enumerate(accounts):
        name, number = account.name, account.whatsapp.phone_number_id
        if name in names:
            why = "is the account of [whatsapp]" if main and name == MAIN else "is the name of an earlier account"
            yield f"{place(index, name, 'name')}: {why}"
        if number and number in numbers:
            yield f"{place(index, name, 'phone_number_id')}: is the number of {numbers[number]} already"
        names.add(name)
        numbers.setdefault(number, name)


def place(index: int, name: str, *path: int | str, origin: str = "") -> str:
    """A place in an account, as errors say it: "accounts[1].assistant.model (shop, from WABOT_ACCOUNTS)"."""
    if path[:1] == ("whatsapp",) and len(path) > 1:
        path = path[1:]  # its keys stand in the table of the account itself
    known = ", ".join(word for word in (name, f"from {origin}" if origin else "") if word)
    return ".".join([f"accounts[{index}]", *map(str, path)]) + (f" ({known})" if known else "")


def explain(kind: str, loc: Loc, message: str, own: Mapping[str, Any], origin: str) -> str:
    """One line for an error at `loc` within an account, whose table is `own`."""
    index, path = int(loc[1]), loc[2:]
    name = own.get("name")
    said = place(index, name if isinstance(name, str) and _NAME.fullmatch(name) else "", *path, origin=origin)
    return f"{said}: {_unknown(path) if kind == 'extra_forbidden' else reason(kind, message)}"


def _unknown(path: Loc) -> str:
    section, word = str(path[0]), str(path[-1])
    keys = INHERITED[section].model_fields if section in INHERITED else [*_OWN, *INHERITED, *WhatsApp.model_fields]
    homes = [f"[accounts.{name}]" for name, model in INHERITED.items() if word in model.model_fields]
    homes += ["[[accounts]]"] if word in (*_OWN, *WhatsApp.model_fields) else []
    return "unknown key" + (f" (it belongs in {homes[0]})" if homes else hint(word, keys))


def is_own(loc: Loc, own: Mapping[str, Any]) -> bool:
    """Whether the value at `loc` stands in the account's table `own`, and is not inherited."""
    section, key = (*loc[2:4], "", "")[:2]
    table = own if section == "whatsapp" else own.get(str(section), {})
    return not isinstance(table, Mapping) or key in table
