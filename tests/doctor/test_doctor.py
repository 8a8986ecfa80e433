"""`doctor` against a real wabot and the stand-in for Meta: all is well, then each thing broken in turn."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.business import Business, business
from tests.process import free_port
from wabot.core import health_checks
from wabot.core.exceptions import ArchiveDown, AssistantFailed
from wabot.core.health_checks import Check, State
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.doctor.doctor import ArchiveToExamine, Doctor, Surroundings
from wabot.journal.inspection import inspect
from wabot.sandbox.meta import Meta
from wabot.settings.loading import Settings

WHATSAPP = {
    "access_token": "EAAG" + "b1" * 60,
    "phone_number_id": "100000000000001",
    "business_account_id": "200000000000002",
    "app_secret": "0123456789abcdef" * 2,
    "verify_token": "a word of ours",
}


def meta() -> Meta:
    """A stand-in that has given out what the settings hold."""
    return Meta(
        access_token=WHATSAPP["access_token"],
        app_secret=WHATSAPP["app_secret"],
        verify_token=WHATSAPP["verify_token"],
        receipt_delay=0.0,
    )


MAIN = ModelName("openai", "llama")
SECOND = ModelName("gemini", "flash", "assistant.fallbacks[0]")


class Store:
    """An archive that works, or says why not."""

    def __init__(self, *, missing: tuple[str, ...] = (), down: bool = False) -> None:
        self._missing, self._down = missing, down

    async def examine(self) -> tuple[str, ...]:
        if self._down:
            raise ArchiveDown("MongoDB does not answer")
        return self._missing


class Model:
    """A model that answers, or says why not."""

    def __init__(self, failure: str = "") -> None:
        self._failure = failure

    async def answer(self, _prompt: Any) -> ModelAnswer:
        if self._failure:
            raise AssistantFailed(self._failure)
        return ModelAnswer("hello")


@asynccontextmanager
async def examined(
    b: Business,
    *,
    archive: ArchiveToExamine | None = None,
    models: Mapping[ModelName, Model] | None = None,
    journal: Callable[[], Awaitable[Check]] | None = None,
    clock: Callable[[], float] = time.time,
    url: str = "",
    fix: bool = False,
    **whatsapp: Any,
) -> AsyncIterator[dict[str, Check]]:
    """The checks of a wabot, with some of its settings changed."""

    async def look() -> Check:
        return inspect(b.settings.server.data_dir)

    changed = {"whatsapp": b.settings.whatsapp.model_copy(update=secret(whatsapp))} if whatsapp else {}
    chosen: Settings = b.settings.model_copy(update=changed)
    async with ClientSession() as session:
        around = Surroundings(session, journal or look, archive, models or {MAIN: Model()})
        checks = await Doctor(chosen, around, clock=clock, url=url).examine(fix=fix)
    assert tuple(check.name for check in checks) == health_checks.NAMES
    yield {check.name: check for check in checks}


def secret(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are secrets are wrapped as such."""
    from pydantic import SecretStr

    secrets = ("access_token", "app_secret", "verify_token")
    return {name: SecretStr(value) if name in secrets else value for name, value in values.items()}


@pytest.fixture
async def b(tmp_path: Path) -> AsyncIterator[Business]:
    async with business(tmp_path / "data", meta=meta(), whatsapp=WHATSAPP) as running:
        yield running


def broken(checks: Mapping[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.state is State.BROKEN}


async def test_where_all_is_well_nothing_is_to_do(b: Business) -> None:
    async with examined(b, archive=Store()) as checks:
        states = {name: check.state for name, check in checks.items()}
        assert states == dict.fromkeys(health_checks.NAMES, State.OK) | {"events": State.SKIPPED}
        assert not any(check.remedy for check in checks.values())
        assert "only Meta's own webhook proves" in checks["webhook"].detail


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("access_token", "EAAG...", "access_token looks like a placeholder"),
        ("access_token", "your-access-token-goes-here-" * 3, "access_token looks like a placeholder"),
        ("phone_number_id", "15550001111", "is a phone number"),
        ("phone_number_id", "+1 555 000", "has digits only"),
        ("business_account_id", "100000000000001", "are the same"),
    ],
)
async def test_settings_of_a_wrong_shape_are_named(b: Business, setting: str, value: str, says: str) -> None:
    async with examined(b, **{setting: value}) as checks:
        assert checks["settings"].state is State.BROKEN
        assert says in checks["settings"].detail
        assert value not in checks["settings"].detail


@pytest.mark.parametrize("half", [{"alert_number": "4915112345678"}, {"alert_template": "a_person_waits"}])
async def test_half_of_what_alerts_take_is_a_warning(tmp_path: Path, half: dict[str, str]) -> None:
    async with business(tmp_path, meta=meta(), whatsapp=WHATSAPP, handoff=half) as b, examined(b) as checks:
        assert checks["settings"].state is State.WARNING
        assert "nobody is told of a handoff" in checks["settings"].detail


async def test_a_token_that_meta_does_not_know_is_to_be_made_anew(b: Business) -> None:
    async with examined(b, access_token="EAAG" + "zz" * 60) as checks:
        assert broken(checks) == {"token"}
        assert checks["number"].state is State.SKIPPED
        assert "System users" in checks["token"].remedy
        assert "zzzz" not in str(checks)


async def test_a_token_that_dies_during_the_examination_is_one_trouble(b: Business) -> None:
    asked = b.meta.kind_of

    def dies(id_: str) -> str:
        if asked(id_) == "number":
            b.meta.access_token = "another"
        return asked(id_)

    b.meta.kind_of = dies  # type: ignore[method-assign]
    async with examined(b) as checks:
        assert broken(checks) == {"token"}
        assert checks["account"].state is State.SKIPPED


async def test_a_phone_number_id_that_is_not_there_is_named(b: Business) -> None:
    async with examined(b, phone_number_id="100000000000009") as checks:
        assert broken(checks) == {"number"}
        assert "whatsapp.phone_number_id" in checks["number"].remedy


async def test_a_number_that_is_not_registered_is_named(b: Business) -> None:
    b.meta.account.registered = False
    async with examined(b) as checks:
        assert broken(checks) == {"number"}


async def test_an_account_that_is_not_there_is_named(b: Business) -> None:
    async with examined(b, business_account_id="200000000000009") as checks:
        assert {"account", "subscription", "template"} <= broken(checks)
        assert "whatsapp.business_account_id" in checks["account"].remedy


async def test_an_account_that_is_not_configured_is_asked_for(b: Business) -> None:
    async with examined(b, business_account_id="") as checks:
        states = {checks[name].state for name in ("account", "subscription", "template")}
        assert (states, checks["settings"].state) == ({State.SKIPPED}, State.WARNING)


async def test_an_app_that_is_not_subscribed_is_broken_and_fixed(b: Business) -> None:
    b.meta.account.subscribed = False
    async with examined(b) as checks:
        assert broken(checks) == {"subscription"}
        assert "--fix" in checks["subscription"].remedy
    async with examined(b, fix=True) as checks:
        assert (broken(checks), b.meta.account.subscribed) == (set(), True)


async def test_fields_that_are_missing_are_named_and_fixed(b: Business) -> None:
    b.meta.account.fields = ("messages", "security")
    async with examined(b) as checks:
        assert checks["subscription"].state is State.WARNING
        assert "user_preferences" in checks["subscription"].detail
    async with examined(b, fix=True) as checks:
        assert checks["subscription"].state is State.OK
        assert {"messages", "security", "user_preferences"} <= set(b.meta.account.fields)


async def test_without_the_field_messages_nothing_arrives(b: Business) -> None:
    b.meta.account.fields = ("security",)
    async with examined(b) as checks:
        assert broken(checks) == {"subscription"}


async def test_a_template_that_is_not_approved_is_broken(b: Business) -> None:
    template = b.meta.templates.find("hello_world", "en_US")
    assert template is not None
    template.status = "PAUSED"
    async with examined(b) as checks:
        assert broken(checks) == {"template"}
        assert "PAUSED" in checks["template"].detail
    b.meta.templates.remove(template)
    async with examined(b) as checks:
        assert "does not exist" in checks["template"].detail


async def test_another_secret_or_verify_token_than_the_running_one_shows_at_the_address(b: Business) -> None:
    async with examined(b, app_secret="f" * 32, url=b.url) as checks:
        assert "webhook" in broken(checks)
        assert "app secret" in checks["webhook"].detail
    async with examined(b, verify_token="another word", url=b.url) as checks:
        assert broken(checks) == {"webhook"}
        assert "verify token" in checks["webhook"].detail


async def test_an_address_where_nobody_or_somebody_else_listens_is_broken(b: Business) -> None:
    async with examined(b, url=f"http://127.0.0.1:{free_port()}") as checks:
        assert broken(checks) == {"webhook"}
    other = b.settings.whatsapp.graph_api_base.removesuffix("/v26.0")
    async with examined(b, url=other) as checks:
        assert broken(checks) == {"webhook"}


async def test_an_address_that_nobody_knows_is_skipped(b: Business) -> None:
    b.meta.webhook_url = None
    async with examined(b) as checks:
        assert checks["webhook"].state is State.SKIPPED
        assert "--url" in checks["webhook"].remedy


async def test_a_clock_that_is_wrong_is_compared_with_metas(b: Business) -> None:
    async with examined(b, clock=lambda: time.time() + 3600) as checks:
        assert broken(checks) == {"clock"}
    async with examined(b, clock=lambda: time.time() - 60) as checks:
        assert checks["clock"].state is State.WARNING


async def test_meta_out_of_reach_is_said_once(b: Business) -> None:
    async with examined(b, graph_api_base=f"http://127.0.0.1:{free_port()}/v26.0") as checks:
        assert broken(checks) == {"token"}
        assert {checks[name].state for name in ("number", "account", "subscription", "template")} == {State.SKIPPED}
        assert "cannot be reached" in checks["token"].detail
        assert checks["clock"].state is State.SKIPPED


async def test_a_graph_that_is_none_is_said_so(b: Business) -> None:
    async with examined(b, graph_api_base=f"{b.url}/metrics?") as checks:
        assert "token" in broken(checks)


async def test_each_model_is_asked_and_a_fallback_that_fails_is_a_warning(b: Business) -> None:
    async with examined(b, models={MAIN: Model(), SECOND: Model()}) as checks:
        assert checks["model"].detail == "llama (openai), flash (gemini) answer"
    async with examined(b, models={MAIN: Model(), SECOND: Model("HTTP 404")}) as checks:
        assert checks["model"].state is State.WARNING
        assert checks["model"].detail == "flash (gemini): HTTP 404"
        assert "[assistant.fallbacks[0]]" in checks["model"].remedy
    async with examined(b, models={MAIN: Model("HTTP 500"), SECOND: Model()}) as checks:
        assert checks["model"].state is State.BROKEN


async def test_mongodb_and_the_model_say_why_they_fail(b: Business) -> None:
    async with examined(b, archive=Store(down=True), models={MAIN: Model("HTTP 401")}) as checks:
        assert broken(checks) == {"mongo", "model"}
        assert ("401" in checks["model"].detail, "mongo.uri" in checks["mongo"].remedy) == (True, True)
    async with examined(b, archive=Store(missing=("id",))) as checks:
        assert checks["mongo"].state is State.WARNING


async def test_a_damaged_journal_is_found_from_outside(b: Business, tmp_path: Path) -> None:
    place = tmp_path / "other"
    place.mkdir()
    (place / "wabot.db").write_bytes(b"SQLite format 3\0" + b"\7" * 5000)

    async def look() -> Check:
        return inspect(place)

    async with examined(b, journal=look) as checks:
        assert broken(checks) == {"journal"}
        assert "backup" in checks["journal"].remedy


async def test_a_full_disk_is_broken_before_it_is_full() -> None:
    assert health_checks.disk(10 << 20, 1 << 40, "/data").state is State.BROKEN
    assert health_checks.disk(300 << 20, 1 << 40, "/data").state is State.WARNING


def test_a_journal_whose_place_cannot_be_looked_at_is_broken_and_not_the_end_of_the_examination(tmp_path: Path) -> None:
    check = inspect(tmp_path / ("too-long" * 40))

    assert (check.state, check.remedy.partition(";")[0]) == (State.BROKEN, "Run this as the user of wabot")
