"""Whatever breaks of what wabot needs is found by `doctor`, and named by `/readyz` with what to do, and where.

From outside: the real process, its terminal command, and what they say. In each test one thing is broken.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN
from tests.doctor.test_doctor import WHATSAPP, meta
from tests.mongo_server import MongoServer, mongo_server
from tests.process import World, eventually, free_port, served, world
from tests.stand_ins import OpenAIStandIn
from wabot.sandbox.meta import Meta

NAMES = [
    "settings", "disk", "clock", "journal", "token", "number", "account",
    "subscription", "template", "webhook", "mongo", "model", "events",
]  # fmt: skip
"""The contract's, in its order."""

REFUSED_KEY = "Incorrect API key provided."


@dataclass
class Scene:
    """All that wabot needs, of which a test breaks something."""

    w: World
    model: OpenAIStandIn
    mongo: MongoServer | None = None

    async def problems(self) -> list[dict[str, Any]]:
        return list((await self.w.get("/readyz"))["problems"])

    async def names(self, check: str, *words: str) -> None:
        """`/readyz` names one problem, whose remedy has these words; who asks strictly hears 503."""
        found: list[dict[str, Any]] = []

        async def named_account() -> bool:
            found[:] = await self.problems()
            return any(all(word in problem["remedy"] for word in words) for problem in found)

        try:
            await eventually(named_account)
        except TimeoutError:
            pytest.fail(f"not named: {check}: {found}")
        assert len(found) == 1, found
        assert set(found[0]) - {"next_probe"} == {"what", "since", "remedy"}
        assert found[0]["remedy"].endswith(".")
        async with self.w.client.get(f"{self.w.wabot.url}/readyz?strict=1") as response:
            assert (response.status, (await response.json())["problems"][0]["what"]) == (503, found[0]["what"])

    async def all_is_well(self) -> None:
        async def none() -> bool:
            return await self.problems() == []

        await eventually(none)
        async with self.w.client.get(f"{self.w.wabot.url}/readyz?strict=1") as response:
            assert response.status == 200

    async def doctor(self, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
        """The exit status of `python run.py doctor --json`, and its checks by name."""
        process = await self.w.spawn(arguments=["doctor", "--json", *arguments])
        self.w.processes.remove(process)
        status = await process.ended()
        (answer,) = process.lines
        assert answer["ok"] is (status == 0), process.said
        assert [check["name"] for check in answer["checks"]] == NAMES
        assert all(set(check) == {"name", "state", "detail", "remedy"} for check in answer["checks"])
        return status, {check["name"]: check for check in answer["checks"]}

    async def probe(self) -> None:
        """Somebody says that it is mended."""
        status, answer = await self.w.post("/lanes/send/probe", {})
        assert (status, answer["lane"]) == (200, "send")


@asynccontextmanager
async def scene(
    place: Path, settings: Mapping[str, Mapping[str, Any]], *, mongo: MongoServer | None = None
) -> AsyncIterator[Scene]:
    """A wabot that is not yet started, whose Meta and model know it."""
    model = OpenAIStandIn(reason=REFUSED_KEY)
    sections = {name: dict(values) for name, values in settings.items()}
    sections["whatsapp"] = WHATSAPP | sections.get("whatsapp", {})
    if mongo is not None:
        sections["mongo"] = {"uri": mongo.uri}
    async with served(model.app()) as url:
        sections["assistant"] = {"provider": "openai", "base_url": f"{url}/v1", "model": "tiny", "api_key": "a-key"}
        async with world(place, meta=meta(), **sections) as w:
            yield Scene(w, model, mongo)


async def nothing(_: Scene) -> None: ...


def at_meta(change: Callable[[Meta], object]) -> Callable[[Scene], Awaitable[None]]:
    async def changed(s: Scene) -> None:
        change(s.w.meta)

    return changed


def status_of_template(status: str) -> Callable[[Meta], None]:
    def change(meta: Meta) -> None:
        template = meta.templates.find("hello_world", "en_US")
        assert template is not None
        template.status = status

    return change


async def greeted(s: Scene) -> None:
    """Somebody writes for the first time."""
    await s.w.meta.say("Hi", from_=BEN)


async def asked(s: Scene) -> None:
    """Somebody who is known asks the model something."""
    await s.w.meta.say("Hi", from_=ANA)
    await s.w.meta.until(lambda meta: len(meta.sent) == 1)
    await s.w.meta.say("Who are you?", from_=ANA)


@dataclass(frozen=True)
class Broken:
    """What was broken before the start: `check` is doctor's name for it, `words` those of the remedy."""

    check: str
    words: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    before: Callable[[Scene], Awaitable[None]] = nothing


BEFORE_THE_START = {
    "secret": Broken("settings", ("whatsapp.app_secret", "Basic"), {"whatsapp": {"app_secret": "f" * 32}}),
    "token": Broken("token", ("whatsapp.access_token",), {"whatsapp": {"access_token": "EAAG" + "zz" * 60}}),
    "phone id": Broken("number", ("whatsapp.phone_number_id",), {"whatsapp": {"phone_number_id": "100000000000009"}}),
    "no template": Broken("template", ("first_contact.template",), {"first_contact": {"template": "no_such"}}),
    "template paused": Broken(
        "template", ("WhatsApp Manager", "first_contact.template"), before=at_meta(status_of_template("PAUSED"))
    ),
    "mongodb": Broken("mongo", ("mongo.uri",), {"mongo": {"uri": f"mongodb://127.0.0.1:{free_port()}"}}),
    "subscription": Broken(
        "subscription", ("doctor --fix",), before=at_meta(lambda meta: setattr(meta.account, "subscribed", False))
    ),
}


@pytest.mark.parametrize("broken", BEFORE_THE_START.values(), ids=BEFORE_THE_START)
async def test_readyz_names_what_was_broken_at_the_start_before_anybody_wrote(tmp_path: Path, broken: Broken) -> None:
    async with scene(tmp_path, broken.settings) as s:
        await broken.before(s)
        await s.w.start()
        await s.names(broken.check, *broken.words)


async def refuse_key(s: Scene) -> None:
    s.model.status = 401


MODEL = {"model key": Broken("model", ("assistant.api_key",), before=refuse_key)}


@pytest.mark.parametrize("broken", (BEFORE_THE_START | MODEL).values(), ids=BEFORE_THE_START | MODEL)
async def test_doctor_finds_what_is_broken(tmp_path: Path, broken: Broken) -> None:
    async with scene(tmp_path, broken.settings) as s:
        await broken.before(s)
        await s.w.start()
        status, checks = await s.doctor()
        assert status == 1
        assert [name for name, check in checks.items() if check["state"] == "broken"] == [broken.check]
        assert all(word in checks[broken.check]["remedy"] for word in broken.words), checks[broken.check]


async def test_doctor_has_nothing_to_say_where_nothing_is_broken(tmp_path: Path) -> None:
    async with mongo_server(tmp_path / "mongo") as mongo, scene(tmp_path, {}, mongo=mongo) as s:
        await s.w.start()
        status, checks = await s.doctor()
        states = {name: check["state"] for name, check in checks.items()}
        assert (status, states) == (0, dict.fromkeys(NAMES, "ok") | {"events": "skipped"})
        await s.all_is_well()


async def test_doctor_subscribes_the_app(tmp_path: Path) -> None:
    async with scene(tmp_path, {}) as s:
        s.w.meta.account.subscribed = False
        await s.w.start()
        await s.names("subscription", "doctor --fix")
        status, checks = await s.doctor("--fix")
        assert (status, checks["subscription"]["state"], s.w.meta.account.subscribed) == (0, "ok", True)
        await s.probe()
        await s.all_is_well()


@dataclass(frozen=True)
class Breaks:
    """What breaks while wabot runs: how, which request fails by it, and how it is mended."""

    check: str
    words: tuple[str, ...]
    breaks: Callable[[Scene], Awaitable[None]]
    fails: Callable[[Scene], Awaitable[None]]
    mended: Callable[[Scene], Awaitable[None]]


async def another_secret(s: Scene) -> None:
    s.w.meta._caller.app_secret = "f" * 32


async def the_old_secret(s: Scene) -> None:
    s.w.meta._caller.app_secret = WHATSAPP["app_secret"]
    await greeted(s)


async def accept_key(s: Scene) -> None:
    s.model.status = 200


async def mongo_goes(s: Scene) -> None:
    assert s.mongo is not None
    await s.mongo.stop()


async def mongo_comes(s: Scene) -> None:
    assert s.mongo is not None
    await s.mongo.start()


def token(value: str) -> Callable[[Scene], Awaitable[None]]:
    return at_meta(lambda meta: setattr(meta, "access_token", value))


WHILE_IT_RUNS = {
    "secret": Breaks("settings", ("whatsapp.app_secret",), another_secret, greeted, the_old_secret),
    "token": Breaks(
        "token", ("whatsapp.access_token",), token("another"), greeted, token(WHATSAPP["access_token"])
    ),
    "template": Breaks(
        "template", ("first_contact.template",), at_meta(status_of_template("PAUSED")), greeted,
        at_meta(status_of_template("APPROVED")),
    ),
    "model key": Breaks("model", ("assistant.api_key",), refuse_key, asked, accept_key),
    "mongodb": Breaks("mongo", ("mongo.uri",), mongo_goes, greeted, mongo_comes),
}  # fmt: skip


@pytest.mark.parametrize("what", WHILE_IT_RUNS.values(), ids=WHILE_IT_RUNS)
async def test_what_breaks_is_named_by_the_first_request_that_fails_until_it_is_mended(
    tmp_path: Path, what: Breaks
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        mongo = await stack.enter_async_context(mongo_server(tmp_path / "mongo")) if what.check == "mongo" else None
        s = await stack.enter_async_context(scene(tmp_path, {}, mongo=mongo))
        await s.w.start()
        await s.all_is_well()
        await what.breaks(s)
        await what.fails(s)
        await s.names(what.check, *what.words)
        await what.mended(s)
        await s.probe()
        await s.all_is_well()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def filled(place: Path) -> Iterator[None]:
    """A file that leaves no byte."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


async def test_a_full_disk_is_named_and_found_and_nothing_is_acknowledged_that_was_not_written(
    tmp_path: Path, small_disk: Path
) -> None:
    async with scene(tmp_path, {"server": {"data_dir": small_disk / "data"}}) as s:
        await s.w.start()
        await greeted(s)
        await s.w.meta.until(lambda meta: len(meta.told) == 3)  # nothing is about to be written
        await s.all_is_well()
        with filled(small_disk):
            said = [await s.w.meta.say(f"Hi {nth}", from_=ANA) for nth in range(3)]
            assert {status for _, status in said} <= {200, 503}
            async with s.w.client.get(f"{s.w.wabot.url}/readyz?strict=1") as response:
                answer = await response.json()
            named = [problem for problem in answer["problems"] if str(small_disk) in problem["remedy"]]
            assert (response.status, bool(named)) == (503, True), answer
            assert answer["ready"] is (answer["journal"] == "ok")
            assert any("room" in problem["remedy"] and problem["what"].startswith("Disk") for problem in named)
            status, checks = await s.doctor()
            assert (status, checks["disk"]["state"]) == (1, "broken")
            assert str(small_disk) in checks["disk"]["remedy"]
            history = [m["id"] for m in await s.w.said_with(ANA) if m["direction"] == "in"]
            assert history == [wamid for wamid, status in said if status == 200]
        await s.w.meta.say("Hi again", from_=ANA, attempts=30)
        await s.all_is_well()
