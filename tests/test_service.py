"""The verbs that HTTP offers, without HTTP: what `history` makes of journal and archive, batches, health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from wabot.batch_building import Asked, Bulk
from wabot.core.exceptions import ArchiveDown
from wabot.core.history_span import ALWAYS, Span
from wabot.core.messages import Status
from wabot.core.phone_numbers import InvalidNumber, identify
from wabot.log import configure
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import error, undelivered
from wabot.service import KeyConflict, Service
from wabot.settings.sections import Log
from wabot.webhook_intake import BadSignature, Received

NOW = int(time.time())


class Shelf:
    """An archive that has what is put on it, newest first as MongoDB gives it; or does not answer."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.asked: list[tuple[set[str], str | None]] = []
        self.down = False

    def put(self, wamid: str, at: int, body: str = "earlier", key: str | None = None) -> None:
        self.documents.append(
            {
                "_id": key or wamid,
                "id": wamid,
                "from": ANA,
                "to": "1",
                "timestamp": str(at),
                "type": "text",
                "body": body,
            }
        )

    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None:
        return next((document for document in self.documents if document["id"] == id_), None)

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
    ) -> list[dict[str, Any]]:
        if self.down:
            raise ArchiveDown("down")
        self.asked.append(({name for name in identities if name}, contact))
        found = sorted(self.documents, key=lambda document: int(document["timestamp"]), reverse=True)
        return found[:limit] if limit else found


@pytest.fixture
def service(wabot: Business) -> Service:
    return wabot.running.account.service


@pytest.fixture
def shelf(service: Service) -> Shelf:
    service._histories._archive = shelf = Shelf()
    return shelf


async def _given(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return documents


async def said(wabot: Business, wamid: str, at: int = NOW) -> None:
    """A reaction: stored, and answered by nobody."""
    await wabot.meta.say(payloads.reaction("wamid.x"), from_=ANA, wamid=wamid, timestamp=at)


def ids(history: Any) -> list[str]:
    return [message["id"] for message in history.messages]


async def test_history_is_the_archive_with_what_it_lacks_laid_over(
    wabot: Business, service: Service, shelf: Shelf
) -> None:
    shelf.put("wamid.old", NOW - 90_000)
    shelf.put("wamid.older", NOW - 99_000)
    await said(wabot, "wamid.new")
    history = await service.history("+" + ANA, 0)
    assert ids(history) == ["wamid.new", "wamid.old", "wamid.older"]
    assert not history.partial


async def test_what_both_have_is_told_once_and_as_the_journal_knows_it(
    wabot: Business, service: Service, shelf: Shelf
) -> None:
    await said(wabot, "wamid.1")
    shelf.put("wamid.1", NOW, body="stale")
    shelf.put("wamid.1", NOW, body="stale, of the earlier service", key="65f0c0ffee")
    history = await service.history(ANA, 0)
    assert ids(history) == ["wamid.1"]
    assert history.messages[0]["body"] != "stale"


async def test_what_we_said_is_told_once_though_the_archive_has_it_under_another_key(
    wabot: Business, service: Service, shelf: Shelf
) -> None:
    """As where another program of the business recorded it too."""
    batch, _ = await service.initiate(Bulk([Asked(ANA)]))
    await service.wait(batch, 60)
    (sent,) = wabot.meta.sent
    shelf.put(sent.wamid, NOW, body="of another program", key="65f0c0ffee")
    assert ids(await service.history(ANA, 0)) == [sent.wamid]


async def test_a_limit_counts_both_together(wabot: Business, service: Service, shelf: Shelf) -> None:
    for n in range(3):
        shelf.put(f"wamid.old{n}", NOW - 1000 - n)
        await said(wabot, f"wamid.new{n}", NOW - n)
    assert ids(await service.history(ANA, 4)) == ["wamid.new0", "wamid.new1", "wamid.new2", "wamid.old0"]
    assert ids(await service.history(ANA, 2)) == ["wamid.new0", "wamid.new1"]


async def test_the_archive_is_asked_for_every_name_of_a_contact(
    wabot: Business, service: Service, shelf: Shelf
) -> None:
    await wabot.meta.say(payloads.reaction("wamid.x"), from_=ANA, user_id="IN.AbCd12345")
    await service.history("IN.AbCd12345", 0)
    await service.history(EVA, 0)
    (names, contact), (others, nobody) = shelf.asked
    assert names == {ANA, "IN.AbCd12345"}
    assert contact == f"{wabot.journal.name}-1"
    assert (others, nobody) == ({EVA}, None)


async def test_a_document_without_a_sensible_time_comes_last(service: Service, shelf: Shelf) -> None:
    for wamid, timestamp in (("wamid.1", "yesterday"), ("wamid.2", None), ("wamid.3", str(NOW))):
        shelf.put(wamid, NOW)
        shelf.documents[-1]["timestamp"] = timestamp
    shelf.history = lambda *_, **__: _given(shelf.documents)  # type: ignore[method-assign]
    assert ids(await service.history(ANA, 0))[0] == "wamid.3"


async def test_with_the_archive_down_the_journal_answers_in_part(
    wabot: Business, service: Service, shelf: Shelf
) -> None:
    await said(wabot, "wamid.1")
    shelf.down = True
    history = await service.history(ANA, 0)
    assert (ids(history), history.partial) == (["wamid.1"], True)


async def test_an_invalid_number_reaches_no_store(service: Service, shelf: Shelf) -> None:
    with pytest.raises(InvalidNumber):
        await service.history("12", 0)
    assert not shelf.asked


@pytest.mark.parametrize(
    ("written", "identity"), [("+91 92165-98210", ANA), ("IN.AbCd12345", "IN.AbCd12345"), (f"00{ANA}", ANA)]
)
def test_people_are_named_by_digits_or_user_id(written: str, identity: str) -> None:
    assert identify(written) == identity


async def test_a_webhook_without_a_true_signature_raises(wabot: Business) -> None:
    intake = wabot.running.intake
    with pytest.raises(BadSignature):
        await intake.receive(b"{}", None)
    assert await intake.receive(b"{}", payloads.sign(b"{}", "sandbox-secret")) == Received(0, 0, [])


async def test_a_key_stands_for_one_request(service: Service) -> None:
    bulk = Bulk([Asked(ANA)], key="k")
    first, known = await service.initiate(bulk)
    assert not known
    assert await service.initiate(bulk) == (first, True)
    for other in (
        Bulk([Asked(BEN)], key="k"),
        Bulk([Asked(ANA), Asked(ANA)], key="k"),
        Bulk([Asked(ANA, components=[])], key="k"),
        Bulk([Asked(ANA)], template={"name": "hello_world", "language": "en_US"}, key="k"),
    ):
        with pytest.raises(KeyConflict):
            await service.initiate(other)


async def test_waiting_ends_when_all_is_settled_when_time_is_up_or_when_we_stop(
    wabot: Business, service: Service
) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        batch, _ = await service.initiate(Bulk([Asked(ANA)]))
        await service.wait(batch, 60)
        result = await service.batch(batch)
        assert result is not None
        assert result["successful"] == 1
        wabot.meta.behaviour.always(EVA, error(190))  # nobody gets through, so nothing settles
        batch, _ = await service.initiate(Bulk([Asked(EVA)]))
        started = loop.time()
        await service.wait(batch, 0.1)
        assert 0.05 < loop.time() - started < 2
        waiting = [asyncio.create_task(service.wait(batch, 60)) for _ in range(3)]
        await wabot.meta.until(lambda meta: len(meta.attempts) > 1)
        service.stop_waiting()
        await asyncio.gather(*waiting)
        await service.wait(batch, 60)  # nor does anybody begin to wait


async def test_an_unknown_batch_is_settled_and_has_nothing_to_tell(service: Service) -> None:
    await service.wait("nothing", 60)
    assert await service.batch("nothing") is None


async def test_outbox_ids_are_ours_or_nobodys(wabot: Business, service: Service) -> None:
    name = wabot.journal.name
    assert service.job_id(f"{name}-12") == 12
    for text in ("", "-", "12", name, f"{name}-", f"{name}-0", f"x{name}-1", f"{name}-1\n", f"{name}-" + "9" * 19):
        assert service.job_id(text) is None, text


@pytest.mark.parametrize("bodies", [False, True])
async def test_what_people_write_is_in_the_log_only_where_it_was_asked_for(
    wabot: Business, capsys: pytest.CaptureFixture[str], bodies: bool
) -> None:
    configure(Log(bodies=bodies))
    try:
        await wabot.meta.say("my secret wish", from_=ANA)
    finally:
        configure(Log())
    assert ("my secret wish" in capsys.readouterr().out) is bodies


async def test_an_account_that_fails_after_the_fact_pauses_the_lane(wabot: Business, service: Service) -> None:
    wabot.meta.behaviour.always(ANA, undelivered(131042))
    await service.initiate(Bulk([Asked(ANA)]))
    await wabot.meta.until(lambda meta: any(receipt.status is Status.FAILED for receipt in meta.told))
    assert (await wabot.get("/readyz")).json["paused"].keys() == {"send"}


async def test_what_comes_in_counts_against_metas_throughput(tmp_path: Path) -> None:
    async with business(tmp_path, delivery={"messages_per_second": 4}) as wabot:
        loop = asyncio.get_running_loop()
        for n in range(4):
            await said(wabot, f"wamid.in{n}")
        began = loop.time()
        await wabot.running.account.service.initiate(Bulk([Asked(BEN)]))
        await wabot.meta.until(lambda meta: len(meta.sent) == 1)
        assert loop.time() - began > 0.5
