"""Meta answers what Meta never should: a page of HTML, nothing, ten megabytes, somebody else's message id."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, Business, business
from tests.process import eventually
from wabot.sandbox.behaviour import HTML, Answer, raw

BIG = b'{"messages": [{"id": "wamid.big"}], "padding": "' + b"x" * 10_000_000 + b'"}'


async def outbox(wabot: Business, number: str) -> list[dict[str, Any]]:
    """The sends to somebody, oldest first."""
    return list(reversed((await wabot.get("/outbox", params={"number": number})).json["outbox"]))


async def are_in(wabot: Business, number: str, *states: str) -> None:
    """Wait until the sends to somebody are in these states."""

    async def there() -> bool:
        return [send["state"] for send in await outbox(wabot, number)] == list(states)

    await eventually(there)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(502, HTML), id="a gateway's page"),
        pytest.param(raw(200, HTML), id="a page with status 200"),
        pytest.param(raw(200, b"", "application/json"), id="nothing"),
        pytest.param(raw(200, b"{}", "application/json"), id="an empty object"),
        pytest.param(raw(200, b'{"messages": [{"id": 7}]}', "application/json"), id="an id that is a number"),
        pytest.param(raw(200, b"[" * 100_000, "application/json"), id="brackets without end"),
        pytest.param(raw(200, BIG, "application/json"), id="ten megabytes"),
        pytest.param(raw(503, b"\xff\xfe\x00", "application/json"), id="no text at all"),
    ],
)
async def test_an_answer_that_proves_nothing_is_a_doubt_and_the_message_goes_again_after_the_hold(
    tmp_path: Path, answer: Answer
) -> None:
    async with business(tmp_path, delivery={"hold_seconds": 0.4}) as wabot:
        wabot.meta.behaviour.script(ANA, [answer])

        await wabot.meta.say("Hi", from_=ANA)
        await are_in(wabot, ANA, "in_doubt")
        await wabot.meta.say("Hi", from_=BEN)
        await wabot.meta.until(lambda meta: [sent.to for sent in meta.sent] == [BEN])

        await are_in(wabot, ANA, "done")
        first, second = (attempt for attempt in wabot.meta.attempts if attempt.to == ANA)
        assert second.at - first.at >= wabot.settings.delivery.hold_seconds
        assert (await wabot.get("/readyz")).json["graph"] == "ok"


async def test_ten_megabytes_are_not_read(tmp_path: Path) -> None:
    """Of an answer at most a quarter of a megabyte is kept: many such answers at once cost no memory."""
    people = [f"9190000000{n:02d}" for n in range(16)]
    async with business(tmp_path, delivery={"hold_seconds": 60}) as wabot:
        wabot.meta.behaviour.always("*", raw(200, BIG, "application/json"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await wabot.post("/initiate-bulk", {"numbers": people}, headers={"Prefer": "respond-async"})

        async def all_in_doubt() -> bool:
            return (await wabot.get("/outbox", params={"state": "in_doubt"})).json["count"] == len(people)

        await eventually(all_in_doubt)
        # Kilobytes, most of them the stand-in's: sixteen answers are 160 MB, and reading them whole takes twice that.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 140_000


async def test_a_message_id_that_we_already_have_does_not_make_one_message_of_two(tmp_path: Path) -> None:
    async with business(tmp_path) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        await are_in(wabot, ANA, "done")
        known = wabot.meta.sent[0].wamid
        contact = {"input": ANA, "wa_id": ANA}
        answer = json.dumps({"contacts": [contact], "messages": [{"id": known}]}).encode()
        wabot.meta.behaviour.script(ANA, [raw(200, answer, "application/json")])

        await wabot.meta.say("prices?", from_=ANA)

        await are_in(wabot, ANA, "done", "done")
        assert [send["message_id"] for send in await outbox(wabot, ANA)] == [known, known], "that is what Meta said"
        messages = (await wabot.post("/get", {"number": ANA})).json["messages"]
        assert len({m["body"] for m in messages if m["id"] == known}) == 2
        await wabot.meta.say("Hi", from_=BEN)
        await are_in(wabot, BEN, "done")


async def test_a_message_id_that_is_a_persons_own_does_not_touch_theirs(tmp_path: Path) -> None:
    async with business(tmp_path) as wabot:
        wamid, _ = await wabot.meta.say("Hi", from_=ANA)
        await are_in(wabot, ANA, "done")
        answer = json.dumps({"messages": [{"id": wamid}]}).encode()
        wabot.meta.behaviour.script(ANA, [raw(200, answer, "application/json")])

        await wabot.meta.say("prices?", from_=ANA)

        await are_in(wabot, ANA, "done", "done")
        messages = (await wabot.post("/get", {"number": ANA})).json["messages"]
        called_so = {m["direction"]: m["body"] for m in messages if m["id"] == wamid}
        assert called_so.keys() == {"in", "out"}
        assert called_so["in"] == "Hi"
