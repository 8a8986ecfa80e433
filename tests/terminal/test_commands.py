"""The commands that talk to the service, as processes of their own beside the real one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA
from tests.process import PATIENCE, RUN, World, environment, eventually, free_port, world
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import error

INVITATION = "[invitation]"
GUESTS = f"number,1\n+{ANA},Ana\n+{BEN},Ben\n"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run(w: World, *arguments: str, err: int = asyncio.subprocess.PIPE) -> Ran:
    """Run a command with the world's settings."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(RUN), *arguments, "--config", str(w.config),
        cwd=w.place, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=err,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        out, said = await child.communicate()
    ran = Ran(child.returncode or 0, out.decode(), (said or b"").decode())
    assert "Traceback" not in ran.err
    return ran


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    """A wabot that runs, whose account has the stand-in's templates."""
    async with world(tmp_path, whatsapp={"business_account_id": "200000000000002"}) as found:
        await found.start()
        yield found


def guests(w: World, text: str = GUESTS) -> str:
    (w.place / "guests.csv").write_text(text, "utf-8")
    return str(w.place / "guests.csv")


async def test_send_sends_a_text_or_a_template_and_says_what_became_of_it(w: World) -> None:
    await w.meta.say("Hi", from_=ANA)

    text = await run(w, "send", f"+{ANA}", "--text", "Your parcel is here.")
    template = await run(w, "send", BEN, "--template", "invitation", "--value", "1=Ben", "--json")

    assert (text.status, text.out.partition(" (")[0]) == (0, f"{ANA}: sent")
    assert (template.status, template.json["status"], template.json["number"]) == (0, "sent", BEN)
    assert "Your parcel is here." in w.texts(ANA)
    parameters = w.meta.sent[-1].payload["template"]["components"][0]["parameters"]
    assert [one["text"] for one in parameters] == ["Ben"]


async def test_a_refusal_is_said_in_plain_words_with_exit_code_1(w: World) -> None:
    closed = await run(w, "send", ANA, "--text", "Hi")
    lacking = await run(w, "send", ANA, "--template", "invitation")
    unknown = await run(w, "send", ANA, "--template", "unheard_of")
    nobody = await run(w, "send", "12", "--template", "hello_world")

    assert (closed.status, closed.err) == (
        1, "wabot: this person has not written within 24 hours, so Meta delivers nothing but a template\n",
    )  # fmt: skip
    assert (lacking.status, lacking.err) == (1, "wabot: there is no value for 1: the template needs 1\n")
    assert (unknown.status, unknown.err.partition("; ")[0]) == (1, "wabot: there is no template unheard_of")
    assert "hello_world, invitation" in unknown.err
    assert (nobody.status, "phone number" in nobody.err) == (1, True)
    assert w.texts() == []


async def test_a_send_that_fails_ends_with_1_and_the_reason(w: World) -> None:
    w.meta.behaviour.always(EVA, error(131026))

    failed = await run(w, "send", EVA, "--template", "hello_world")

    assert failed.status == 1
    assert failed.out.startswith(f"{EVA}: failed: ")
    assert "(131026)" in failed.out


async def test_a_campaign_is_tried_then_sent_and_never_twice(w: World) -> None:
    file = guests(w, f"{GUESTS}12,Nobody\n")

    dry = await run(w, "campaign", file, "--template", "invitation", "--dry-run")
    assert (dry.status, w.texts()) == (0, [])
    assert [line.split()[-1] for line in dry.out.splitlines() if "would send" in line] == ["2"]

    sent = await run(w, "campaign", file, "--template", "invitation")
    again = await run(w, "campaign", file, "--template", "invitation", "--json")

    assert sent.status == again.status == 1, "one of them is no phone number"
    assert "3 recipients: 2 sent, 1 failed." in sent.out
    assert "No phone number: 12" in sent.out
    assert (again.json["successful"], again.json["failed"], len(again.json["batches"])) == (2, 1, 1)
    assert ("sent before" in sent.err, "sent before" in again.err) == (False, True)
    assert w.texts() == [INVITATION, INVITATION]
    names = [one.payload["template"]["components"][0]["parameters"][0]["text"] for one in w.meta.sent]
    assert sorted(names) == ["Ana", "Ben"]
    assert (await run(w, "campaign", file, "--template", "invitation", "--again", "june")).status == 1
    assert len(w.texts()) == 4


async def test_a_campaign_can_be_scheduled_and_says_so(w: World) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    later = await run(w, "campaign", guests(w), "--template", "invitation", "--at", at)
    naive = await run(w, "campaign", guests(w), "--template", "invitation", "--at", "tomorrow")

    assert (later.status, later.out) == (0, f"Scheduled for {at}: 2 of 2.\n")
    assert (await w.get("/batches"))["batches"][0]["state"] == "scheduled"
    assert (naive.status, "ISO 8601 time with an offset" in naive.err) == (1, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("name\nAna\n", "has no column number"),
        (f"number,1\n{ANA}\n", "line 2: has 1 columns, the first line 2"),
        ("number,1\n", "has no lines"),
        (f"number,2\n{ANA},Ana\n", "line 2: there is no value for 1: the template needs 1"),
        (f'number,1\n{ANA},"Ana\n', "is no CSV"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_its_line(w: World, text: str, says: str) -> None:
    refused = await run(w, "campaign", guests(w, text), "--template", "invitation")

    assert refused.status == 1
    assert says in refused.err
    assert w.texts() == []


async def test_a_bar_shows_how_far_a_campaign_is_where_somebody_looks(w: World) -> None:
    master, terminal = os.openpty()
    w.meta.behaviour.always(EVA, error(131016))  # it is tried again, so there is something to wait for

    child = asyncio.create_task(
        run(w, "campaign", guests(w, f"number,1\n{ANA},A\n{EVA},E\n"), "--template", "invitation", err=terminal)
    )
    await eventually(lambda: len(w.meta.attempts) >= 2)
    w.meta.behaviour.mend()
    ran = await child
    os.close(terminal)
    shown = os.read(master, 65_536).decode()
    os.close(master)

    assert "sent or failed" in shown
    assert (ran.status, ran.out) == (0, "2 recipients: 2 sent, 0 failed.\n")


async def test_what_failed_of_a_batch_is_tried_again(w: World) -> None:
    w.meta.behaviour.always(EVA, error(131051))
    campaign = await run(w, "campaign", guests(w, f"number,1\n{EVA},Eva\n"), "--template", "invitation")
    (hint,) = [line for line in campaign.out.splitlines() if "outbox retry" in line]
    w.meta.behaviour.mend()

    retried = await run(w, *hint.partition(":")[2].split())

    assert (retried.status, retried.out) == (0, "tried again: 1\n")
    await eventually(lambda: w.texts(EVA) == [INVITATION])


async def test_conversations_lists_who_talks_and_shows_one_talk(w: World) -> None:
    await w.meta.say(payloads.text("Where is\nmy \x1b[31morder?"), from_=ANA)
    await eventually(lambda: w.texts(ANA))
    await w.meta.say("Hello", from_=BEN)
    await eventually(lambda: w.texts(BEN))

    listed = await run(w, "conversations")
    found = await run(w, "--json", "conversations", "--search", ANA[2:8])
    talk = await run(w, "conversations", f"+{ANA}")

    assert [line.split()[0] for line in listed.out.splitlines()] == [BEN, ANA]
    assert [one["number"] for one in found.json["contacts"]] == [ANA]
    assert "← Where is my [31morder?" in talk.out.splitlines()[0]
    assert "→ [template hello_world]" in talk.out.splitlines()[1]


async def test_what_only_reads_works_from_the_journal_when_wabot_is_down(w: World) -> None:
    await w.meta.say("Hello", from_=BEN)
    await eventually(lambda: w.texts(BEN))
    alive = [(await run(w, *command)).json for command in _READS]
    one = alive[2]["outbox"][0]["outbox_id"]
    await w.wabot.stop()

    dead = [await run(w, *command) for command in _READS]
    shown = await run(w, "outbox", "show", one)
    acts = await run(w, "send", BEN, "--text", "Hi")

    assert [ran.status for ran in dead] == [0, 0, 0]
    assert all("What follows is from the journal." in ran.err for ran in dead)
    assert dead[0].json["contacts"][0]["number"] == alive[0]["contacts"][0]["number"] == BEN
    assert [one["id"] for one in dead[1].json["messages"]] == [one["id"] for one in alive[1]["messages"]]
    assert [one["outbox_id"] for one in dead[2].json["outbox"]] == [one]
    assert shown.json["content"]["template"]["name"] == "hello_world"
    assert (acts.status, "is it running?" in acts.err) == (1, True)


_READS = (
    ("conversations", "--json"),
    ("conversations", BEN, "--json"),
    ("outbox", "list", "--json", "--number", BEN),
)


async def test_what_cannot_be_read_is_refused_in_the_same_words_when_wabot_is_down(w: World) -> None:
    up = [await run(w, *command) for command in _UNREADABLE]
    await w.wabot.stop()
    down = [await run(w, *command) for command in _UNREADABLE]

    assert [ran.status for ran in up + down] == [1] * 2 * len(_UNREADABLE)
    assert all(ran.err.count("\n") == 1 for ran in up), up
    assert [ran.err.splitlines()[-1] for ran in down] == [ran.err.strip() for ran in up]


_UNREADABLE = (
    ("conversations", "--limit", "0"),
    ("conversations", "--cursor", "abc"),
    ("conversations", ANA, "--limit", "-1"),
    ("outbox", "list", "--limit", "0"),
    ("outbox", "list", "--limit", "1001"),
    ("outbox", "list", "--state", "gone"),
    ("outbox", "list", "--cursor", "abc"),
    ("outbox", "list", "--kind", "event", "--number", "12"),
)


async def test_events_are_listed_from_the_journal_when_wabot_is_down(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    endpoint = {"url": address, "secret": "whsec_" + "c2VjcmV0" * 5, "types": ["message.received"]}
    async with world(tmp_path) as w:
        await w.start(WABOT_EVENTS=json.dumps([endpoint]))
        await w.meta.say("Hello", from_=BEN)
        up = (await run(w, "outbox", "list", "--kind", "event", "--json")).json
        await w.wabot.stop()

        down = await run(w, "outbox", "list", "--kind", "event", "--number", BEN, "--json")
        shown = await run(w, "outbox", "list", "--kind", "event")

    assert [one["outbox_id"] for one in down.json["outbox"]] == [one["outbox_id"] for one in up["outbox"]] != []
    assert (down.status, down.json["outbox"][0]["number"], down.json["outbox"][0]["kind"]) == (0, BEN, "event")
    assert "What follows is from the journal." in down.err
    assert (shown.status, BEN in shown.out) == (0, True)


@asynccontextmanager
async def watching(w: World) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What `watch` prints, from its start on."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(RUN), "--config", str(w.config), "watch", "--json",
        cwd=w.place, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    said = (json.loads(line) async for line in child.stdout)
    try:
        yield said
    finally:
        await said.aclose()
        child.terminate()
        await child.communicate()


async def test_watch_shows_what_is_said_as_it_happens_also_across_a_restart(w: World) -> None:
    await w.meta.say("Hello", from_=BEN)
    async with watching(w) as said, asyncio.timeout(PATIENCE):
        assert (await anext(said))["body"] == "Hello"
        await w.restart()
        await w.meta.say("Are you there?", from_=ANA)
        while (one := await anext(said))["body"] != "Are you there?":
            pass
        assert (one["number"], one["direction"]) == (ANA, "in")


async def test_watch_misses_nothing_of_a_burst_of_many_people_and_of_one(w: World) -> None:
    """Many more than it reads at once, between two looks."""
    await w.meta.say("Before", from_=EVA)
    people = [f"9198765{n:05}" for n in range(250)]
    missing = {f"from {person}" for person in people} | {f"Eva's {n}" for n in range(250)}
    try:
        async with watching(w) as said, asyncio.timeout(3 * PATIENCE):
            assert (await anext(said))["body"] == "Before"
            await asyncio.gather(
                *(w.meta.say(f"from {person}", from_=person) for person in people),
                *(w.meta.say(f"Eva's {n}", from_=EVA) for n in range(250)),
            )
            while missing:
                missing.discard((await anext(said))["body"])
    except TimeoutError:
        raise AssertionError(f"{len(missing)} are missing, such as {min(missing)}") from None


async def test_the_commands_need_the_address_and_the_key_only(w: World) -> None:
    """Neither a token nor a secret, nor that the rest of the configuration is complete."""
    bare = w.place / "bare.toml"
    server = f'[server]\ndata_dir = "{w.place / "data"}"\napi_keys = ["the-key-of-the-tests"]\n'
    bare.write_text(server, "utf-8")
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(RUN), "--config", str(bare), "send", BEN, "--template", "hello_world",
        cwd=w.place, env=environment(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()

    assert out.decode().startswith(f"{BEN}: sent")


async def test_the_accounts_that_a_command_may_name_are_those_of_the_running_service(tmp_path: Path) -> None:
    """A configuration of address and key does not have them; what else there is of it, only the service knows."""
    shop = {"name": "shop", "phone_number_id": "111", "access_token": "shop-token", "app_secret": "shop-secret"}
    async with world(tmp_path) as w:
        await w.start(WABOT_ACCOUNTS=json.dumps([shop]))

        talks = await run(w, "conversations", "--account", "shop", "--json")
        sends = await run(w, "outbox", "list", "--account", "shop", "--json")
        nobody = await run(w, "conversations", "--account", "shed")

    assert (talks.status, talks.json["account"], talks.json["contacts"]) == (0, "shop", [])
    assert (sends.status, sends.json["account"], sends.json["outbox"]) == (0, "shop", [])
    assert (nobody.status, nobody.err) == (1, "wabot: no account is called 'shed'\n")


async def test_a_key_that_the_service_refuses_is_named_with_the_place_that_it_is_from(w: World, tmp_path: Path) -> None:
    said = {}
    for key in ("of-another-service", ""):
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(RUN), "conversations",
            cwd=tmp_path, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env=environment(
                PORT=w.wabot.url.rpartition(":")[2], WABOT_SERVER__DATA_DIR="elsewhere", WABOT_SERVER__API_KEYS=key
            ),
        )  # fmt: skip
        said[key] = (await child.communicate())[1].decode()
        assert child.returncode == 1

    at = f"wabot: the wabot at {w.wabot.url}"
    remedy = "name its own with --config PATH; if you changed them, restart it\n"
    has = "refuses the key of these settings (the first of server.api_keys)"
    lacks = "needs a key, and these settings have none: neither server.api_keys nor elsewhere/api-key"
    assert said == {"of-another-service": f"{at} {has}: {remedy}", "": f"{at} {lacks}: {remedy}"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("conversations",), "nobody is found"),
        (("conversations", "--attention"), "nobody waits for a person"),
        (("conversations", EVA), f"there are no messages with {EVA}"),
        (("outbox", "list", "--state", "parked"), "there are no such sends"),
        (("outbox", "list", "--kind", "reply"), "no reply waits"),
    ],
)
async def test_an_empty_list_is_said_to_be_empty_beside_the_output(
    w: World, command: tuple[str, ...], says: str
) -> None:
    for_people, for_programs = await run(w, *command), await run(w, *command, "--json")

    assert (for_people.status, for_people.out, for_people.err) == (0, "", f"wabot: {says}\n")
    assert (for_programs.json["count"], for_programs.err) == (0, "")


@pytest.mark.parametrize("command", ["send", "campaign", "conversations", "watch", "outbox"])
async def test_help_has_examples(tmp_path: Path, command: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(RUN), command, "--help", env=environment(), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()

    assert f"examples:\n  run.py {command}" in out.decode()


@pytest.mark.parametrize("argv", [["--json"], ["--json", "backup", "x"], ["--account", "x", "--sandbox"]])
async def test_an_option_that_a_command_does_not_have_is_refused(tmp_path: Path, argv: list[str]) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(RUN), *argv, env=environment(), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await child.communicate()

    assert child.returncode == 2
    assert "does not go with" in err.decode()
