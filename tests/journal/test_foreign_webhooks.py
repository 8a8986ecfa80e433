"""Webhooks for a phone number id that is not configured, and what becomes of them when it is."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, DAY, RULES, Scene, said
from tests.journal.test_after_restore import put_back
from wabot.core.handoff import Handoff, HandoffRules, Reason
from wabot.core.jobs import Kind, State
from wabot.core.messages import ForeignPart, Webhook
from wabot.core.owner_events import Endpoint
from wabot.journal import backup, foreign_webhooks, takeover
from wabot.journal.event_writing import EventWriter

OURS, OTHER = "999000999000999", "7"


def payload(*messages: dict[str, Any], number: str = OURS, statuses: Any = None) -> str:
    value = {"metadata": {"phone_number_id": number, "display_phone_number": "15550001111"}}
    value |= {"messages": list(messages)} if messages else {}
    value |= {"statuses": statuses} if statuses else {}
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]})


def text(wamid: str, at: float, body: str = "40 cakes, please", who: str = ANA) -> dict[str, Any]:
    return {"from": who, "id": wamid, "timestamp": str(int(at)), "type": "text", "text": {"body": body}}


async def kept(scene: Scene, *payloads: str, number: str = OURS) -> None:
    for one in payloads:
        await scene.journal.accept(Webhook(count=1, foreign=(ForeignPart(number, one),)), scene.now)


async def reclaim(scene: Scene, number: str = OURS) -> int:
    """All of it; how many webhooks that were."""
    total = 0
    while step := await scene.journal.reclaim(number, scene.now):
        if not step.webhooks:
            break
        total += step.webhooks
    return total


async def test_what_was_kept_is_accepted_as_if_it_had_just_come(scene: Scene) -> None:
    await kept(scene, payload(text("wamid.1", scene.now)))
    await kept(scene, payload(text("wamid.2", scene.now, who=BEN), number=OTHER), number=OTHER)
    assert scene.rows("SELECT * FROM messages") == []
    scene.now += 3 * 3600

    assert await reclaim(scene) == 1

    assert scene.rows("SELECT wamid, body FROM messages") == [{"wamid": "wamid.1", "body": "40 cakes, please"}]
    scene.now += 2
    assert [job.contact.wa_id for job in await scene.claim(Kind.REPLY)] == [ANA]
    assert [row["phone_number_id"] for row in scene.rows("SELECT * FROM foreign_webhooks")] == [OTHER]
    assert await reclaim(scene) == 0


async def test_what_is_older_than_twelve_hours_is_recorded_and_not_answered(scene: Scene) -> None:
    await kept(
        scene,
        payload(text("wamid.old", scene.now), text("wamid.stop", scene.now, "stop", BEN)),
        payload(text("wamid.fresh", scene.now + 1, "stop", "491711234500")),
    )
    scene.now += 12 * 3600 + 1

    await reclaim(scene)

    assert {row["wamid"] for row in scene.rows("SELECT wamid FROM messages WHERE direction = 'in'")} == {
        "wamid.old",
        "wamid.stop",
        "wamid.fresh",
    }
    assert scene.jobs(Kind.REPLY) == []
    stopped = scene.rows("SELECT wa_id FROM contacts WHERE stopped = 'all' ORDER BY wa_id")
    assert [row["wa_id"] for row in stopped] == ["491711234500", BEN]
    confirmed = scene.rows("SELECT person FROM messages WHERE direction = 'out'")
    assert [row["person"] for row in confirmed] == ["491711234500"], "an old STOP holds, and is not confirmed"
    waiting = scene.rows("SELECT wa_id, attention_reason, paused_until FROM contacts WHERE attention_at IS NOT NULL")
    assert waiting == [{"wa_id": ANA, "attention_reason": "old_news", "paused_until": None}], "a person sees to them"


async def test_who_also_wrote_lately_is_answered_and_needs_no_person(scene: Scene) -> None:
    webhooks = [payload(text(f"wamid.{number}", scene.now + number, who=ANA)) for number in range(101)]
    await kept(scene, *webhooks, payload(text("wamid.ben", scene.now, who=BEN)))
    scene.now += 12 * 3600 + 100
    await reclaim(scene)
    waiting = scene.rows("SELECT wa_id FROM contacts WHERE attention_at IS NOT NULL OR alert_due IS NOT NULL")
    assert waiting == [{"wa_id": BEN}], "Ana's last message came in time, in a later step"
    scene.now += 60
    assert [job.contact.wa_id for job in await scene.claim(Kind.REPLY, limit=9)] == [ANA]


async def test_old_news_asks_for_nobody_where_nobody_would_have_answered_and_tells_of_nobody_who_is_answered(
    scene: Scene,
) -> None:
    with_a_colleague, owner = "491711234501", "491711234502"
    await scene.journal.close()
    await scene.open(rules=replace(RULES, handoff=HandoffRules(alert_number=owner, alert_template="t")))
    endpoint = Endpoint("http://a", "", ("contact.handoff",))
    writer = EventWriter("main", [endpoint], clock=lambda: scene.now, noise=lambda: 0.5, wake=lambda _: None)
    await scene.journal.tell_programs(writer, [endpoint.url], scene.now)
    await scene.journal.pause(with_a_colleague, scene.now + 9 * DAY, None, scene.now)
    await kept(
        scene, *(payload(text(f"wamid.{who}", scene.now, who=who)) for who in (ANA, BEN, with_a_colleague, owner))
    )
    scene.now += 13 * 3600
    await kept(scene, payload(text("wamid.fresh", scene.now, who=ANA)))
    await reclaim(scene)
    waiting = scene.rows("SELECT wa_id FROM contacts WHERE attention_at IS NOT NULL OR alert_due IS NOT NULL")
    assert waiting == [{"wa_id": BEN}]
    told = scene.rows(
        "SELECT c.wa_id FROM events e JOIN contacts c ON c.id = e.contact_id WHERE type = 'contact.handoff'"
    )
    assert told == [{"wa_id": BEN}]


async def test_who_waits_for_a_person_already_goes_on_waiting_as_before(scene: Scene) -> None:
    await scene.hear(said("wamid.before", BEN))
    contact, _ = await scene.journal.of_contact(BEN, 0, ())
    assert contact is not None
    await scene.journal.writer(takeover.hand_off, contact.id, Handoff(Reason.ASKED, 90 * 86400.0), scene.now - 5)
    await kept(
        scene, payload(text("wamid.old", scene.now, who=BEN), text("wamid.fresh", scene.now + 13 * 3600, who=BEN))
    )
    scene.now += 13 * 3600
    await reclaim(scene)
    waiting = scene.rows("SELECT attention_at, attention_reason FROM contacts WHERE wa_id = ?", BEN)
    assert waiting == [{"attention_at": scene.now - 13 * 3600 - 5, "attention_reason": "asked"}]


async def test_what_a_copy_had_kept_is_not_answered_again_when_it_is_put_back(scene: Scene, tmp_path: Path) -> None:
    await kept(scene, payload(text("wamid.1", scene.now)))
    backup.copy(scene.data_dir, tmp_path / "copy.db")
    await reclaim(scene)
    assert len(scene.jobs(Kind.REPLY)) == 1

    await put_back(scene, tmp_path / "copy.db")
    scene.now += 1
    await kept(scene, payload(text("wamid.2", scene.now, who=BEN)))
    await reclaim(scene)

    assert scene.rows("SELECT wamid FROM messages ORDER BY id") == [{"wamid": "wamid.1"}, {"wamid": "wamid.2"}]
    assert scene.rows("SELECT 1 FROM contacts WHERE attention_at IS NOT NULL") == [], "it may have been answered"
    scene.now += 60
    assert [job.contact.wa_id for job in await scene.claim(Kind.REPLY, limit=9)] == [BEN]


async def test_a_message_without_a_time_is_as_old_as_its_webhook(scene: Scene) -> None:
    nameless = text("wamid.1", 0)
    del nameless["timestamp"]
    await kept(scene, payload(nameless))
    came = scene.now
    scene.now += DAY
    await reclaim(scene)
    assert scene.row("SELECT timestamp FROM messages") == {"timestamp": came}
    assert scene.jobs(Kind.REPLY) == []


async def test_receipts_are_kept_and_reclaimed_too(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    status = {"id": "wamid.out", "status": "sent", "timestamp": "1760000000", "recipient_id": ANA}
    await kept(scene, payload(statuses=[{**status, "biz_opaque_callback_data": job.tag}]))
    assert scene.state(job.id) is State.RUNNING
    await reclaim(scene)
    assert scene.state(job.id) is State.DONE


async def test_reclaiming_goes_in_steps_and_each_is_there_whole_or_not_at_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(scene, *(payload(text(f"wamid.{n}", scene.now)) for n in range(250)))
    first = await scene.journal.reclaim(OURS, scene.now)
    assert (first.webhooks, first.stored) == (foreign_webhooks.STEP_WEBHOOKS, foreign_webhooks.STEP_WEBHOOKS)

    def killed(*_: Any) -> int:
        raise sqlite3.OperationalError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(foreign_webhooks, "_forget", killed)
        with pytest.raises(sqlite3.OperationalError):
            await scene.journal.reclaim(OURS, scene.now)
    await scene.restart()
    assert await reclaim(scene) == 150
    assert scene.row("SELECT count(*) AS n FROM messages") == {"n": 250}


async def test_what_meta_delivered_twice_is_accepted_once(scene: Scene) -> None:
    await kept(scene, *[payload(text("wamid.1", scene.now))] * 3)
    await scene.hear(said("wamid.1"))
    assert await reclaim(scene) == 3
    assert scene.row("SELECT count(*) AS n FROM messages") == {"n": 1}


async def test_no_more_than_the_bounds_is_kept_and_the_oldest_go_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_webhooks, "KEPT_WEBHOOKS", 10)
    await kept(scene, *(payload(text(f"wamid.{n}", scene.now)) for n in range(25)))
    assert totals(scene) == (10, actual(scene), 15)
    assert "wamid.15" in scene.rows("SELECT raw FROM foreign_webhooks ORDER BY id")[0]["raw"]

    monkeypatch.setattr(foreign_webhooks, "KEPT_BYTES", 20_000)
    await kept(scene, payload(text("wamid.long", scene.now, body="x" * 19_000)))
    assert actual(scene) <= 20_000
    assert totals(scene)[:2] == (scene.row("SELECT count(*) AS n FROM foreign_webhooks")["n"], actual(scene))
    assert "wamid.long" in scene.rows("SELECT raw FROM foreign_webhooks ORDER BY id")[-1]["raw"]

    await reclaim(scene)
    assert totals(scene)[:2] == (0, 0)


def totals(scene: Scene) -> tuple[int, int, int]:
    row = scene.row("SELECT * FROM foreign_totals")
    return row["webhooks"], row["bytes"], row["dropped"]


def actual(scene: Scene) -> int:
    return int(scene.row("SELECT coalesce(sum(length(CAST(raw AS BLOB))), 0) AS n FROM foreign_webhooks")["n"])


async def test_after_seven_days_it_is_forgotten(scene: Scene) -> None:
    await kept(scene, payload(text("wamid.1", scene.now)))
    scene.now += 3 * DAY
    await kept(scene, payload(text("wamid.2", scene.now)))
    scene.now += 4 * DAY + 1
    while await scene.journal.prune(before=scene.now - 30 * DAY, now=scene.now):
        pass
    (left,) = scene.rows("SELECT raw FROM foreign_webhooks")
    assert "wamid.2" in left["raw"]
    assert totals(scene) == (1, actual(scene), 0)
