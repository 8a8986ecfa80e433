"""What goes wrong is a problem at `/readyz`, with what to do about it, and is gone from there when it is over."""

from __future__ import annotations

import asyncio
import shutil
from collections import namedtuple
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.business import ANA, BEN, Business, business
from tests.doctor.test_doctor import WHATSAPP, meta
from tests.process import eventually
from tests.virtual_time import START, clock, virtual_time
from wabot.core import health_checks
from wabot.core.exceptions import AssistantFailed
from wabot.core.health_checks import Check
from wabot.core.jobs import Event, Kind, Outcome
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.monitor.check_schedule import ASKED_SECONDS
from wabot.monitor.problem_sources import Watch
from wabot.sandbox.behaviour import error

BANNED = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": ["DISABLE"]}}
RESTRICTED = {
    "event": "ACCOUNT_RESTRICTION",
    "restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}],
}
REINSTATED = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": ["REINSTATE"]}}


@pytest.fixture
async def wabot(tmp_path: Path) -> AsyncIterator[Business]:
    """One whose Meta knows it, and in which all is well."""
    async with business(tmp_path, meta=meta(), whatsapp=WHATSAPP) as running:
        assert await problems(running) == []
        yield running


async def problems(wabot: Business) -> list[dict[str, Any]]:
    return list((await wabot.get("/readyz")).json["problems"])


async def the_problem(wabot: Business) -> dict[str, Any]:
    (only,) = await problems(wabot)
    assert only["remedy"].endswith(".")
    assert only["since"] > 1_700_000_000
    return only


async def all_is_well(wabot: Business) -> None:
    async def none() -> bool:
        return await problems(wabot) == []

    await eventually(none)


async def test_strict_says_503_while_there_is_a_problem(wabot: Business) -> None:
    assert (await wabot.get("/readyz", params={"strict": "1"})).status == 200
    await wabot.post("/webhook", {}, headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})
    answer = await wabot.get("/readyz", params={"strict": "1"})
    assert (answer.status, len(answer.json["problems"])) == (503, 1)
    assert (await wabot.get("/readyz")).status == 200


@pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}], ids=["none", "wrong"])
async def test_the_first_refused_signature_is_a_problem_until_meta_signs_one(
    wabot: Business, headers: dict[str, str]
) -> None:
    await wabot.post("/webhook", {}, headers=headers)
    assert "app_secret" in (await the_problem(wabot))["remedy"]
    assert (await wabot.get("/readyz")).json["last_webhook_at"] is None
    await wabot.meta.say("Hi", from_=ANA)
    assert await problems(wabot) == []
    assert (await wabot.get("/readyz")).json["last_webhook_at"] > 1_700_000_000


async def test_a_webhook_that_says_nothing_does_not_prove_metas_secret(wabot: Business) -> None:
    await wabot.post("/webhook", {})
    await examine(wabot)  # its own no-op is signed with our secret
    assert "app_secret" in (await the_problem(wabot))["remedy"]


async def examine(wabot: Business) -> None:
    await wabot.running.account.watch.examine(wabot.running.account.doctor)


async def test_webhooks_for_another_number_are_a_problem(tmp_path: Path) -> None:
    stand_in = meta()
    async with business(tmp_path, meta=stand_in, whatsapp=WHATSAPP | {"phone_number_id": "100000000000077"}) as wabot:
        await wabot.meta.say("40 cakes", from_=ANA)
        found = await the_problem(wabot)
        assert "100000000000001" in found["what"]
        assert "1 kept" in found["what"]
        assert "whatsapp.phone_number_id" in found["remedy"]
    ignored = {"phone_number_id": "100000000000077", "ignore_phone_number_ids": ["100000000000001"]}
    async with business(tmp_path, meta=stand_in, whatsapp=WHATSAPP | ignored) as wabot:
        assert await problems(wabot) == []


async def test_a_lane_that_pauses_says_why_when_it_tries_again_and_what_to_do(wabot: Business) -> None:
    wabot.meta.behaviour.always(ANA, error(190))
    await wabot.post("/initiate-bulk", {"numbers": [ANA]}, headers={"Prefer": "respond-async"})
    await eventually(lambda: wabot.running.account.lanes[Kind.SEND].paused)
    found = await the_problem(wabot)
    assert "190" in found["what"]
    assert "whatsapp.access_token" in found["remedy"]
    assert found["next_probe"] > found["since"]
    ready = (await wabot.get("/readyz")).json
    assert (ready["graph"], ready["ready"]) == ("ok", True), "Graph answers, if only that a person must act"

    wabot.meta.behaviour.clear()
    answer = await wabot.post("/lanes/send/probe")

    assert (answer.status, answer.json["lane"]) == (200, "send")
    await all_is_well(wabot)
    await eventually(lambda: len(wabot.meta.sent) == 1)


async def test_there_is_nothing_to_try_of_a_lane_that_there_is_not(wabot: Business) -> None:
    assert (await wabot.post("/lanes/nothing/probe")).status == 404
    assert (await wabot.post("/lanes/reply/probe")).json == {"lane": "reply", "state": "running", "reason": None}


async def test_what_meta_says_of_the_account_is_a_problem_until_it_is_lifted(wabot: Business) -> None:
    for news in (BANNED, RESTRICTED):
        await wabot.meta.news("account_update", news)
        assert "Business Support Home" in (await the_problem(wabot))["remedy"]
        await wabot.meta.news("account_update", REINSTATED)
        assert await problems(wabot) == []


async def test_a_warning_of_metas_is_a_problem_for_a_day(wabot: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    category = {"message_template_name": "sale", "message_template_language": "de", "new_category": "MARKETING"}
    await wabot.meta.news("template_category_update", category)
    found = await the_problem(wabot)
    assert "sale (de) is MARKETING" in found["what"]
    assert "WhatsApp Manager" in found["remedy"]
    monkeypatch.setattr(wabot.running.account.watch, "_clock", lambda: found["since"] + 86401)
    assert await problems(wabot) == []


async def test_a_model_that_refuses_the_key_says_so_itself(wabot: Business) -> None:
    watch = wabot.running.account.watch
    first, second = ModelName("openai", "gpt"), ModelName("gemini", "flash", "assistant.fallbacks[0]")
    watch.model_failed(first, 1.0, AssistantFailed("HTTP 401: Incorrect API key provided", 401))
    found = await the_problem(wabot)
    assert "Incorrect API key" in found["what"]
    assert "assistant.api_key" in found["remedy"]
    await examine(wabot)
    assert len(await problems(wabot)) == 1, "doctor knows it from there"
    watch.model_failed(second, 1.0, AssistantFailed("HTTP 404: no such model", 404))
    assert [problem["what"] for problem in await problems(wabot)] == [
        "The model gpt (openai) does not answer: HTTP 401: Incorrect API key provided",
        "The model flash (gemini) does not answer: HTTP 404: no such model",
    ]
    assert "assistant.fallbacks[0].model" in (await problems(wabot))[1]["remedy"]
    watch.model_answered(first, 1.0, ModelAnswer("Yes."))
    watch.model_answered(second, 1.0, ModelAnswer("Yes."))
    assert await problems(wabot) == []


async def test_a_disk_that_fills_is_a_problem_at_once(wabot: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 << 30, (10 << 30) - 5_000_000, 5_000_000))
    assert "room" in (await the_problem(wabot))["remedy"]
    monkeypatch.undo()
    assert await problems(wabot) == []


@pytest.mark.parametrize(
    ("of", "name", "bad", "says"),
    [
        ("account", "subscribed", False, "--fix"),
        ("account", "registered", False, "WhatsApp Manager"),
        ("template", "status", "PAUSED", "WhatsApp Manager"),
    ],
)
async def test_what_doctor_finds_is_a_problem_until_it_finds_it_mended(
    wabot: Business, of: str, name: str, bad: object, says: str
) -> None:
    thing = wabot.meta.account if of == "account" else wabot.meta.templates.find("hello_world", "en_US")
    good = getattr(thing, name)
    for value, broken in ((good, False), (bad, True), (good, False)):
        setattr(thing, name, value)
        await examine(wabot)
        found = [problem["remedy"] for problem in await problems(wabot)]
        assert [says in remedy for remedy in found] == [True] * broken


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("access_token", "EAAG" + "zz" * 60, "System users"),
        ("phone_number_id", "100000000000009", "whatsapp.phone_number_id"),
        ("graph_api_base", "http://127.0.0.1:1/v26.0", "graph.facebook.com"),
    ],
)
async def test_settings_that_meta_does_not_know_are_named_soon_after_the_start(
    tmp_path: Path, setting: str, value: str, remedy: str
) -> None:
    async with business(tmp_path, meta=meta(), examine=True, whatsapp=WHATSAPP | {setting: value}) as wabot:

        async def named_account() -> bool:
            return any(remedy in problem["remedy"] for problem in await problems(wabot))

        await eventually(named_account)
        if setting == "graph_api_base":
            assert len(await problems(wabot)) == 1, "it is one trouble"


async def test_a_send_and_doctor_see_one_problem_which_ends_when_neither_does(tmp_path: Path) -> None:
    async with business(tmp_path, meta=meta(), whatsapp=WHATSAPP | {"access_token": "EAAG" + "zz" * 60}) as wabot:
        await wabot.post("/initiate-bulk", {"numbers": [BEN]}, headers={"Prefer": "respond-async"})
        await eventually(lambda: wabot.running.account.lanes[Kind.SEND].paused)
        await examine(wabot)
        await the_problem(wabot)


async def test_without_mongodb_it_is_embedded(wabot: Business) -> None:
    assert (await wabot.get("/readyz")).json["mongo"] == "embedded"


async def test_a_secret_that_meta_does_not_take_is_a_problem_unless_meta_signs_with_it(wabot: Business) -> None:
    secret, wabot.meta.receipts = wabot.meta.app_secret, False
    wabot.meta._caller.app_secret = "f" * 32  # Graph compares with this one
    await examine(wabot)
    assert "whatsapp.app_secret" in (await the_problem(wabot))["remedy"]
    await wabot.meta.deliver({})
    await the_problem(wabot)  # doctor and the webhook that was refused see one problem

    wabot.meta._caller.app_secret = secret
    await wabot.meta.say("Hi", from_=ANA)
    assert await problems(wabot) == []
    wabot.meta._caller.app_secret = "f" * 32
    await examine(wabot)
    assert await problems(wabot) == [], "Meta's own webhook proves more than what Graph says of an app"


class Examiner:
    """A doctor that notes when it is asked."""

    reached = True

    def __init__(self) -> None:
        self.at: list[float] = []
        self.finds: list[Check] = []

    async def examine(self) -> list[Check]:
        self.at.append(clock() - START)
        return self.finds


class Sound:
    """A journal that is well."""

    refused_lately = None

    async def foreign_kept(self, _: object) -> SimpleNamespace:
        return SimpleNamespace(webhooks=0)


@virtual_time
async def test_doctor_comes_hourly_sooner_where_it_found_something_and_at_once_where_something_fails() -> None:
    doctor = Examiner()
    watch = Watch(Sound(), data_dir=Path("/tmp"), ignored_numbers=frozenset(), clock=clock)
    running = asyncio.create_task(watch.run(doctor))
    failed = Outcome(Event.GIVE_UP, code=132001)

    await asyncio.sleep(4000)
    assert [round(at) for at in doctor.at] == [0, 3600]
    for _ in range(40):
        watch.job_settled(failed)
        watch.job_settled(Outcome(Event.GIVE_UP, code=131026))
        await asyncio.sleep(1)
    assert [round(at) for at in doctor.at[2:]] == [4000, 4030]

    doctor.finds = [health_checks.broken("template", "it is PAUSED", "See there.")]
    watch.examine_soon(ASKED_SECONDS)
    await asyncio.sleep(700)
    watch.job_settled(failed)  # it is named already
    await asyncio.sleep(1)
    assert [round(at) for at in doctor.at[4:]] == [4041, 4641]

    doctor.finds = [health_checks.ok("template", "it is approved")]
    watch.template_changed()
    await asyncio.sleep(3000)
    assert [round(at) for at in doctor.at[6:]] == [4741]
    assert not watch.problems
    running.cancel()
