from __future__ import annotations

import json
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, DAY, NOW, Scene, said, sent, text
from wabot.core.conversation import ASKED_MESSAGES, Said
from wabot.core.jobs import Event, Job, Kind, Outcome
from wabot.core.messages import Direction
from wabot.core.outgoing import Origin
from wabot.core.reply_caps import HIGHEST, ReplyCaps
from wabot.core.whatsapp_text import MAX_BODY
from wabot.journal.talk_from_outside import talk_so_far


async def answered(scene: Scene, says: str, wamid: str, origin: Origin = Origin.AI) -> None:
    """The reply that is due says something, and Meta takes it."""
    scene.now += 2
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED, says=(text(says, origin),)))
    await scene.settle(await scene.claim_one(), sent(wamid))


async def next_reply(scene: Scene) -> Job:
    scene.now += 2
    return await scene.claim_one(Kind.REPLY)


def document(wamid: str, at: int, *, ours: bool = False, body: str = "from before") -> dict[str, Any]:
    """A message as the archive has it."""
    return {
        "_id": wamid, "id": wamid, "from": "15550783881" if ours else ANA, "to": ANA if ours else "15550783881",
        "timestamp": str(at), "type": "text", "body": body, "raw": {"x": 1}, "direction": "out" if ours else "in",
        "origin": "ai" if ours else "person",
    }  # fmt: skip


async def test_a_first_message_has_nothing_earlier(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="Hi"), said("wamid.2", body="there"))
    talk = await scene.journal.talk(await next_reply(scene), 20)
    assert (talk.earlier, talk.searched) == (False, False)
    assert [(line.origin, line.body, line.asked) for line in talk.said] == [
        (Origin.PERSON, "Hi", True),
        (Origin.PERSON, "there", True),
    ]


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 3, 20])
async def test_what_is_read_from_outside_is_what_the_next_reply_continues(
    scene: Scene, limit: int, waits: bool
) -> None:
    await scene.hear(said("wamid.1", body="Long ago", at=scene.now))
    await answered(scene, "Hello!", "wamid.out")
    scene.now += DAY
    await scene.hear(said("wamid.2", body="Open on Sunday?", at=scene.now))
    await answered(scene, "No.", "wamid.no")
    context = json.dumps({"id": "wamid.3", "context": {"id": "wamid.no"}})
    await scene.hear(said("wamid.3", body="Really?", raw=context, at=scene.now))
    await scene.hear(said("wamid.4", body="", type="reaction", raw=json.dumps({"id": "wamid.4"}), at=scene.now))
    if not waits:
        await answered(scene, "Really.", "wamid.really")
    bounds = {"limit": limit, "oldest": scene.now - 3600}
    contact, before = talk_so_far(scene.data_dir, ANA, **bounds)
    assert contact.wa_id == ANA

    await scene.hear(said("wamid.5", body="And on Monday?", at=scene.now))
    talk = await scene.journal.talk(await next_reply(scene), *bounds.values())
    assert [*before, Said(Origin.PERSON, "And on Monday?", asked=True)] == talk.said
    assert any(line.asked for line in before) is waits


async def test_a_talk_is_told_oldest_first_with_our_own_turns(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="Hi", at=scene.now))
    await answered(scene, "Hello!", "wamid.out")
    await scene.hear(said("wamid.2", body="Open on Sunday?", at=scene.now))
    talk = await scene.journal.talk(await next_reply(scene), 20)
    assert talk.earlier
    assert [(line.origin, line.body, line.asked) for line in talk.said] == [
        (Origin.PERSON, "Hi", False),
        (Origin.AI, "Hello!", False),
        (Origin.PERSON, "Open on Sunday?", True),
    ]


async def test_what_came_after_the_claim_is_left_to_the_next_reply(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="one"))
    job = await next_reply(scene)
    await scene.hear(said("wamid.2", body="two"))
    assert [line.body for line in (await scene.journal.talk(job, 20)).said] == ["one"]


async def test_what_is_answered_is_told_as_it_was_written_and_not_as_it_arrived(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="Hi", at=scene.now))
    await answered(scene, "Hello!", "wamid.out")
    await scene.hear(said("wamid.3", body="for Saturday", at=scene.now + 1))
    await scene.hear(said("wamid.2", body="A table", at=scene.now), said("wamid.4", body="at eight", at=scene.now + 1))
    talk = await scene.journal.talk(await next_reply(scene), 20)
    assert [line.body for line in talk.said] == ["Hi", "Hello!", "A table", "for Saturday", "at eight"]
    assert (talk.questions, talk.newest) == (["wamid.2", "wamid.3", "wamid.4"], "wamid.4")


async def test_history_is_bounded_but_all_that_is_asked_is_there(scene: Scene) -> None:
    for n in range(5):
        await scene.hear(said(f"wamid.{n}", body=f"old {n}", at=scene.now))
        await answered(scene, f"answer {n}", f"wamid.out{n}")
    await scene.hear(*(said(f"wamid.new{n}", body=f"new {n}", at=scene.now) for n in range(4)))
    talk = await scene.journal.talk(await next_reply(scene), 3)
    assert [line.body for line in talk.said] == ["new 0", "new 1", "new 2", "new 3"]


async def test_what_failed_is_not_told_as_said_and_makes_nobody_known(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), Outcome(Event.GIVE_UP, error="no such template", code=132001))
    await scene.hear(said("wamid.1"))
    talk = await scene.journal.talk(await next_reply(scene), 20)
    assert (talk.earlier, len(talk.said)) == (False, 1)


async def test_a_template_with_which_we_began_the_talk_makes_somebody_known(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.out")
    await scene.hear(said("wamid.1"))
    assert (await scene.journal.talk(await next_reply(scene), 20)).earlier


async def test_messages_are_listed_newest_first_and_only_what_was_said(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW, body="Hi", business_number="15550783881"))
    await answered(scene, "Hello!", "wamid.out")
    queued = await scene.owe(ANA, text("soon"))
    contact, documents = await scene.journal.of_contact(ANA, 0, ())
    assert contact is not None
    assert contact.wa_id == ANA
    assert [(doc["id"], doc["direction"], doc["from"], doc["to"]) for doc in documents] == [
        ("wamid.out", "out", "15550783881", ANA),
        ("wamid.1", "in", ANA, "15550783881"),
    ]
    _, everything = await scene.journal.of_contact(ANA, 0, ("queued", "failed"))
    assert everything[0]["outbox_id"] == f"{scene.journal.name}-{queued}"
    assert everything[0]["status"] == "queued"
    _, newest = await scene.journal.of_contact(ANA, 1, ())
    assert [doc["id"] for doc in newest] == ["wamid.out"]
    assert await scene.journal.of_contact(BEN, 0, ()) == (None, [])


async def test_a_document_keeps_the_shape_of_the_earlier_service(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW + 0.9, body="Hi", business_number="15550783881"))
    _, (doc,) = await scene.journal.of_contact(ANA, 0, ())
    assert doc["timestamp"] == str(int(NOW))
    assert doc["participant_numbers"] == sorted([ANA, "15550783881"])
    assert (doc["_id"], doc["type"], doc["raw"]) == ("wamid.1", "text", '{"id": "wamid.1"}')
    assert (doc["outbox_id"], doc["error"], doc["status"]) == (None, None, "received")
    assert doc["contact"] == f"{scene.journal.name}-1"


async def test_a_content_that_was_damaged_is_json_all_the_same(scene: Scene) -> None:
    await scene.hear(said("wamid.1", raw='{"id": "wam'))
    _, (doc,) = await scene.journal.of_contact(ANA, 0, ())
    assert json.loads(doc["raw"]) == '{"id": "wam'


async def test_the_archive_gets_what_it_lacks_in_pages_until_it_has_it(scene: Scene) -> None:
    await scene.hear(*(said(f"wamid.{n}") for n in range(5)))
    first = await scene.journal.ahead_of_archive(0, 3)
    second = await scene.journal.ahead_of_archive(first[-1][0], 3)
    assert [row[2]["id"] for row in first + second] == [f"wamid.{n}" for n in range(5)]
    await scene.journal.mark_archived((row[0], row[1]) for row in first)
    assert [row[0] for row in await scene.journal.ahead_of_archive(0, 10)] == [row[0] for row in second]
    assert await scene.journal.archive_lag() == 2


async def test_what_changed_while_it_was_being_archived_is_archived_again(scene: Scene) -> None:
    await scene.batch(ANA)
    ((message, version, _),) = await scene.journal.ahead_of_archive(0, 10)
    await scene.settle(await scene.claim_one(), sent("wamid.1"))
    await scene.journal.mark_archived([(message, version)])
    ((_, newer, doc),) = await scene.journal.ahead_of_archive(0, 10)
    assert newer > version
    assert doc["id"] == "wamid.1"
    await scene.journal.mark_archived([(message, newer)])
    await scene.journal.mark_archived([(message, version)])
    assert await scene.journal.ahead_of_archive(0, 10) == [], "an earlier version that is marked late undoes nothing"


async def test_the_key_of_a_document_never_changes(scene: Scene) -> None:
    await scene.batch(ANA)
    ((_, _, before),) = await scene.journal.ahead_of_archive(0, 10)
    await scene.settle(await scene.claim_one(), sent("wamid.1"))
    ((_, _, after),) = await scene.journal.ahead_of_archive(0, 10)
    assert before["_id"] == after["_id"] == f"{scene.journal.name}-1"


async def test_what_the_archive_knows_comes_before_all_that_we_saw_ourselves(scene: Scene) -> None:
    await scene.hear(said("wamid.new", body="it's me again", at=NOW))
    job = await next_reply(scene)
    found = [document("wamid.b", 1500, ours=True, body="second"), document("wamid.a", 1400, body="first")]
    await scene.journal.adopt(job, found, scene.now)
    talk = await scene.journal.talk(job, 20)
    assert (talk.earlier, talk.searched) == (True, True)
    assert [(line.body, line.asked) for line in talk.said] == [
        ("first", False),
        ("second", False),
        ("it's me again", True),
    ]
    assert await scene.journal.archive_lag() == 1, "what came from the archive need not go back"


async def test_what_is_brought_back_later_stands_in_its_place_all_the_same(scene: Scene) -> None:
    await scene.hear(said("wamid.new", body="it's me again", at=NOW))
    job = await next_reply(scene)
    newer, older = document("wamid.b", 1500, body="second"), document("wamid.a", 1400, body="first")
    await scene.journal.adopt(job, [older], scene.now)
    await scene.journal.adopt(job, [newer, older], scene.now)
    talk = await scene.journal.talk(job, 20)
    assert [line.body for line in talk.said] == ["first", "second", "it's me again"]


async def test_of_what_is_answered_no_more_is_read_than_a_model_is_shown(scene: Scene) -> None:
    count = ASKED_MESSAGES + 50
    await scene.hear(*(said(f"wamid.{n}", body=f"{n} " + "x" * 60_000) for n in range(count)))
    talk = await scene.journal.talk(await next_reply(scene), 20)
    assert len(talk.said) == ASKED_MESSAGES
    assert talk.said[-1].body.startswith(f"{count - 1} ")
    assert max(len(line.body) for line in talk.said) == MAX_BODY + 1
    assert talk.questions[-1] == f"wamid.{count - 1}"


async def test_what_we_have_already_is_not_brought_back_twice(scene: Scene) -> None:
    await scene.hear(said("wamid.new"))
    job = await next_reply(scene)
    for _ in range(2):
        await scene.journal.adopt(job, [document("wamid.new", 1500), document("wamid.a", 1400)], scene.now)
    assert scene.row("SELECT count(*) AS n FROM messages") == {"n": 2}


async def test_an_archive_that_knows_nobody_is_not_asked_again(scene: Scene) -> None:
    await scene.hear(said("wamid.new"))
    job = await next_reply(scene)
    await scene.journal.adopt(job, [], scene.now)
    talk = await scene.journal.talk(job, 20)
    assert (talk.earlier, talk.searched) == (False, True)


@pytest.mark.parametrize("direction", [Direction.IN, Direction.OUT])
async def test_messages_of_one_second_keep_their_order(scene: Scene, direction: Direction) -> None:
    await scene.hear(*(said(f"wamid.{n}", at=NOW, body=str(n), direction=direction) for n in range(5)))
    _, documents = await scene.journal.of_contact(ANA, 0, ())
    assert [doc["body"] for doc in documents] == ["4", "3", "2", "1", "0"]


async def test_what_a_reply_answers_is_found_also_where_it_arrived_late_or_the_first_of_it_is_gone(
    scene: Scene,
) -> None:
    await scene.hear(said("wamid.1"), said("wamid.2", at=NOW - 6 * DAY, body="late"), said("wamid.3"))
    job = await next_reply(scene)
    assert [one.asked for one in (await scene.journal.talk(job, 1)).said] == [True, True, True]
    await scene.journal.writer(lambda db: db.execute("DELETE FROM messages WHERE wamid = 'wamid.1'") and None)
    assert [one.body for one in (await scene.journal.talk(job, 1)).said if one.asked] == ["late", "Hello"]


async def test_the_answers_of_a_day_are_counted_up_to_the_highest_cap_beside_the_notice(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    says = (*(text("Hi", Origin.AI) for _ in range(HIGHEST)), text("Until tomorrow", Origin.LIMIT))
    await scene.settle(await next_reply(scene), Outcome(Event.SUCCEED, says=says))
    await scene.hear(said("wamid.2"))
    counted = await scene.journal.answers(await next_reply(scene), NOW - DAY)
    assert ReplyCaps(per_day=HIGHEST).reached(counted, scene.now) == "day"
    assert not ReplyCaps(per_day=HIGHEST, notice="Until tomorrow").notice_is_due(counted, scene.now)
