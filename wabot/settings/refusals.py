"""Refuses valid settings with which wabot could not work, or would let strangers in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from wabot.ownership import whose
from wabot.settings.accounts import AccountSettings, place
from wabot.settings.sections import Assistant, ModelSettings, Server, WhatsApp


class Settings(Protocol):
    """The settings that are checked."""

    @property
    def server(self) -> Server: ...
    @property
    def whatsapp(self) -> WhatsApp: ...
    @property
    def assistant(self) -> Assistant: ...
    @property
    def accounts(self) -> tuple[AccountSettings, ...]: ...
    def of_accounts(self) -> Mapping[str, Settings]: ...


def refusals(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each refusal as (setting, why). A `why` that begins with "missing" means that the setting must be set."""
    index = {account.name: index for index, account in enumerate(settings.accounts)}
    for name, account in settings.of_accounts().items():
        for setting, why in _of_account(account):
            yield _within(index[name], name, setting, why) if name in index else (setting, why)
    if not settings.server.api_keys and not _is_loopback(settings.server.host):
        yield "server.api_keys", "missing: server.host is open to other machines"


def _within(index: int, name: str, setting: str, why: str) -> tuple[str, str]:
    """The refusal of an account's setting, with the place of the setting in the accounts."""
    if setting == "whatsapp.ignore_phone_number_ids":  # it holds for all accounts
        return setting, why.replace("whatsapp.phone_number_id", place(index, name, "phone_number_id"))
    return place(index, name, *setting.partition(" ")[0].split(".")), why.replace("whatsapp.", "")


def _of_account(settings: Settings) -> Iterator[tuple[str, str]]:
    whatsapp = settings.whatsapp
    if not whatsapp.access_token:
        yield "whatsapp.access_token", "missing: nothing can be sent without it"
    if not whatsapp.phone_number_id:
        yield "whatsapp.phone_number_id", "missing: nothing can be sent without it"
    elif whatsapp.phone_number_id in whatsapp.ignore_phone_number_ids:
        yield "whatsapp.ignore_phone_number_ids", "names whatsapp.phone_number_id itself; take it out"
    if not whatsapp.app_secret and not whatsapp.allow_unsigned:
        yield (
            "whatsapp.app_secret",
            "missing: anybody could fake a webhook (whatsapp.allow_unsigned accepts that)",
        )
    yield from _of_assistant(settings.assistant)


def _of_assistant(assistant: Assistant) -> Iterator[tuple[str, str]]:
    yield from _of_model(assistant, "assistant")
    for index, fallback in enumerate(assistant.fallbacks):
        yield from _of_model(fallback, f"assistant.fallbacks[{index}]")
    for key in ("prompt_file", "knowledge_dir"):
        if reason := _unreadable(getattr(assistant, key), folder=key == "knowledge_dir"):
            yield f"assistant.{key} (or WABOT_ASSISTANT__{key.upper()})", f"cannot be read: {reason}"


def _of_model(model: Assistant | ModelSettings, setting: str) -> Iterator[tuple[str, str]]:
    needed = {"gemini": ("api_key",), "openai": ("base_url", "model")}.get(model.provider, ())
    for key in [key for key in needed if not getattr(model, key)]:
        yield f"{setting}.{key}", f"missing: {setting}.provider {model.provider} needs it"


def _is_loopback(host: str) -> bool:
    """Whether `host` accepts connections from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _unreadable(path: Path | None, *, folder: bool) -> str:
    """Why the file (UTF-8 text) or folder `path` cannot be read; "" if it can, or if `path` is None."""
    try:
        if path is not None:
            _ = list(path.iterdir()) if folder else path.read_text(encoding="utf-8")
    except OSError as error:
        return f"{whose(path or '')}: {error.strerror or type(error).__name__}"
    except ValueError:
        return f"{path}: not UTF-8 text"
    return ""
