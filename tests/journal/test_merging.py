from __future__ import annotations

import pytest

from tests.journal.scene import ANA, BEN, EVA, Scene, receipt, said, sent, text
from wabot.core.jobs import Event, Job, Kind, Outcome, State
from wabot.core.messages import Person, Status
from wabot.journal import merging
from wabot.journal.merge_undo import CannotUndo

BSUID, OTHER = "IN.1A2B3C", "IN.9Z8Y7X"
ASKED, METAS = "5511987654321", "551187654321"
"""A number in Brazil as people write it, and as WhatsApp does."""

BOTH = Person(wa_id=ANA, bsuid=BSUID)


async def two_halves(scene: Scene) -> None:
    """Somebody whom we know by number, and by BSUID, and do not know to be one."""
    await scene.hear(said("wamid.1", ANA, answerable=False))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), answerable=False))


async def both_busy(scene: Scene) -> list[Job]:
    """Both halves have a send on its way."""
    await two_halves(scene)
    return await both_in_flight(scene)


async def both_in_flight(scene: Scene) -> list[Job]:
    await scene.owe(ANA)
    await scene.owe(BSUID)
    jobs = await scene.claim()
    assert len(jobs) == 2
    return jobs


def people(scene: Scene) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in scene.rows("SELECT id, wa_id, bsuid FROM contacts ORDER BY id")]


def stops(scene: Scene) -> list[object]:
    return [row["stopped"] for row in scene.rows("SELECT stopped FROM contacts ORDER BY id")]


async def known_as(scene: Scene, name: str) -> int | None:
    contact, _ = await scene.journal.of_contact(name, 0, ())
    return contact.id if contact else None


async def asked(scene: Scene, job: Job) -> list[str]:
    """What a reply answers."""
    return [line.body for line in (await scene.journal.talk(job, 100)).said if line.asked]


# A merge that must wait.


async def test_a_merge_that_had_to_wait_is_done_in_the_commit_that_ends_the_obstacle(scene: Scene) -> None:
    first, second = await both_busy(scene)
    await scene.hear(said("wamid.3", BOTH))
    assert len(people(scene)) == 2
    assert await known_as(scene, ANA) == await known_as(scene, BSUID) == 1
    await scene.settle(first, sent("wamid.out"))
    assert people(scene) == [(1, ANA, BSUID)]
    assert await scene.settle(second, sent("wamid.out2")) is State.DONE
    assert scene.row("SELECT count(*) AS n FROM messages WHERE contact_id = 1") == {"n": 5}


@pytest.mark.parametrize("how", ["a receipt", "the end of a doubt"])
async def test_a_merge_that_waited_for_a_doubt_is_done_when_time_has_passed(scene: Scene, how: str) -> None:
    first, second = await both_busy(scene)
    for job in (first, second):
        await scene.settle(job, Outcome(Event.LOSE_TRACK, due_at=scene.now + (90 if job is first else 900)))
    await scene.hear(said("wamid.3", BOTH))
    assert len(people(scene)) == 2
    if how == "a receipt":
        await scene.told(receipt("wamid.out", Status.SENT, tag=first.tag))
    else:
        scene.now += 91
    await scene.journal.tend(scene.now)
    assert people(scene) == [(1, ANA, BSUID)]


@pytest.mark.parametrize("half", [Person(wa_id=ANA), Person(bsuid=BSUID)])
async def test_a_stop_of_one_half_binds_both_while_their_merge_waits(scene: Scene, half: Person) -> None:
    await both_busy(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.hear(said("wamid.4", half, body="STOP"))
    assert stops(scene) == ["all", "all"]
    await scene.batch(ANA)
    assert scene.row("SELECT error_code FROM recipients") == {"error_code": "opted_out"}


@pytest.mark.parametrize("stopped", [ANA, BSUID])
async def test_a_stop_from_before_binds_the_other_half_at_once(scene: Scene, stopped: str) -> None:
    await both_busy(scene)
    await scene.journal.set_stop(stopped, scene.now, stop=True)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    assert stops(scene) == ["all", "all"]
    await scene.hear(said("wamid.4", BOTH, body="start"))
    assert stops(scene) == [None, None]


async def test_a_change_of_number_while_both_are_busy_keeps_the_stop_under_the_new_number(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, answerable=False), said("wamid.2", EVA, at=scene.now + 1, answerable=False))
    await scene.owe(ANA)
    await scene.owe(EVA)
    first, _ = await scene.claim()
    await scene.journal.set_stop(ANA, scene.now, stop=True)
    await scene.hear(said("wamid.3", ANA, type="system", moved_to=Person(wa_id=EVA), answerable=False))
    assert stops(scene) == ["all", "all"]
    await scene.batch(EVA)
    assert scene.row("SELECT error_code FROM recipients") == {"error_code": "opted_out"}
    await scene.settle(first, sent("wamid.out"))
    assert people(scene) == [(1, EVA, None)]
    assert await known_as(scene, ANA) is None


# Nothing is answered twice.


async def test_after_a_merge_each_message_is_answered_by_one_reply(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="from the number"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="from the BSUID"))
    await scene.hear(said("wamid.3", BOTH, body="from both"))
    assert await asked(scene, running) == ["from the number"]
    await scene.settle(running, Outcome(Event.SUCCEED, says=(text("one"),)))
    scene.now += 2
    rest = await scene.claim_one(Kind.REPLY)
    assert await asked(scene, rest) == ["from the BSUID", "from both"]


async def test_after_a_merge_what_the_other_half_was_answered_is_not_asked_again(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="waits"))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="is answered"))
    scene.now += 2
    first, second = await scene.claim(Kind.REPLY)
    await scene.settle(second, Outcome(Event.SUCCEED, says=(text(),)))
    await scene.settle(first, Outcome(Event.RETRY, due_at=scene.now))
    await scene.hear(said("wamid.3", BOTH, body="and more"))
    scene.now += 20
    assert await asked(scene, await scene.claim_one(Kind.REPLY)) == ["waits", "and more"]


async def test_a_reply_that_runs_again_after_a_merge_answers_what_it_absorbs(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), body="first"))
    await scene.hear(said("wamid.2", ANA, body="second"))
    await scene.journal.writer(lambda db: db.execute("UPDATE jobs SET due_at = due_at + 9 WHERE id = 1").rowcount)
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    assert await asked(scene, running) == ["second"]
    await scene.settle(running, Outcome(Event.RETRY, due_at=scene.now))
    assert await asked(scene, await scene.claim_one(Kind.REPLY)) == ["first", "second", "Hello"]


async def test_somebody_known_who_was_merged_after_the_claim_is_no_newcomer(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="an old question", answerable=False))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="a new one"))
    scene.now += 2
    job = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    talk = await scene.journal.talk(job, 20)
    assert (talk.earlier, talk.contact.id) == (True, 1)
    await scene.journal.adopt(job, [], scene.now)
    assert scene.row("SELECT searched FROM contacts") == {"searched": int(scene.now)}


async def test_the_window_of_either_half_is_that_of_the_person(scene: Scene) -> None:
    for number, (first, second) in enumerate([(-500.0, -90_000.0), (-90_000.0, -500.0)]):
        one, two = Person(wa_id=f"49171123456{number}"), Person(bsuid=f"DE.{number}")
        await scene.hear(said(f"a{number}", one, at=scene.now + first), said(f"b{number}", two, at=scene.now + second))
        both = Person(wa_id=one.wa_id, bsuid=two.bsuid)
        await scene.hear(said(f"c{number}", both, at=scene.now - 80_000, type="system", answerable=False))
    assert [row["last_inbound_at"] for row in scene.rows("SELECT last_inbound_at FROM contacts")] == [
        scene.now - 500
    ] * 2


async def test_who_was_only_written_to_has_the_window_of_the_half_that_wrote(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), at=scene.now - 500))
    await scene.hear(said("wamid.2", BOTH, at=scene.now - 80_000, type="system", answerable=False))
    assert scene.rows("SELECT last_inbound_at FROM contacts") == [{"last_inbound_at": scene.now - 500}]


async def test_a_half_that_waits_has_the_window_of_the_person(scene: Scene) -> None:
    """What is queued for it may leave as long as the person may be answered."""
    recently, long_ago = scene.now - 500, scene.now - 90_000
    await scene.hear(said("wamid.a", ANA, at=recently), said("wamid.b", Person(bsuid=BSUID), at=long_ago))
    await both_in_flight(scene)
    await scene.hear(said("wamid.c", BOTH, at=long_ago, type="system", answerable=False))
    assert scene.rows("SELECT last_inbound_at FROM contacts") == [{"last_inbound_at": recently}] * 2


async def test_the_id_of_a_contact_that_was_merged_never_comes_back(scene: Scene) -> None:
    await two_halves(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.hear(said("wamid.4", BEN))
    await scene.batch(EVA)
    assert [row[0] for row in people(scene)] == [1, 3, 4]


async def test_what_was_adopted_from_the_archive_is_not_recorded_again_by_a_merge(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA), said("wamid.2", Person(bsuid=BSUID)))
    scene.now += 2
    _, job = await scene.claim(Kind.REPLY)
    old = {"id": "wamid.old", "from": BSUID, "to": "1", "timestamp": "1", "type": "text", "body": "", "raw": {}}
    await scene.journal.adopt(job, [{**old, "direction": "in", "origin": "person"}], scene.now)
    await scene.settle(job, Outcome(Event.SUCCEED))
    await scene.hear(said("wamid.3", BOTH))
    assert scene.row("SELECT contact_id FROM messages WHERE wamid = 'wamid.old'") == {"contact_id": 1}
    ahead = await scene.journal.ahead_of_archive(-100, 10)
    assert [document["id"] for _, _, document in ahead] == ["wamid.1", "wamid.2", "wamid.3"]


# Two spellings of one number.


async def test_the_other_spelling_of_a_stopped_number_is_stopped(scene: Scene) -> None:
    await scene.hear(said("wamid.1", METAS, body="stop"))
    await scene.batch(ASKED)
    sends = {job.contact.wa_id: job for job in await scene.claim()}
    await scene.settle(sends[METAS], sent("wamid.confirmation"))
    await scene.settle(sends[ASKED], sent("wamid.out", wa_id=METAS))
    assert await known_as(scene, ASKED) == await known_as(scene, METAS) == 1
    await scene.batch(ASKED, batch_id="again")
    assert scene.row("SELECT error_code FROM recipients WHERE batch_id = 'again'") == {"error_code": "opted_out"}


@pytest.mark.parametrize("answered", [True, False])
async def test_a_spelling_is_learnt_though_the_receipt_is_first(scene: Scene, answered: bool) -> None:
    await scene.batch(ASKED)
    job = await scene.claim_one()
    told = receipt("wamid.out", Status.SENT, tag=job.tag)
    told = told if answered else told._replace(person=Person(wa_id=METAS))
    await scene.told(told)
    if answered:
        assert await scene.settle(job, sent("wamid.out", wa_id=METAS)) is None
    assert await known_as(scene, METAS) == 1


async def test_a_receipt_of_a_send_from_before_a_change_of_number_teaches_no_spelling(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.hear(said("wamid.1", ANA, type="system", moved_to=Person(wa_id=EVA), answerable=False))
    late = receipt("wamid.out", Status.SENT, tag=job.tag)._replace(person=Person(wa_id=ANA))
    await scene.told(late)
    assert await known_as(scene, ANA) is None, "it may be somebody else's by now"


async def test_a_spelling_of_two_people_goes_to_the_one_whom_it_reaches_with_the_stop(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ASKED, bsuid=BSUID), answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=METAS, bsuid=OTHER), answerable=False))
    await scene.batch(ASKED)
    job = await scene.claim_one()
    await scene.journal.set_stop(ASKED, scene.now, stop=True)
    await scene.settle(job, sent("wamid.out", wa_id=METAS))
    assert people(scene) == [(1, None, BSUID), (2, METAS, OTHER)]
    assert await known_as(scene, ASKED) == 2
    assert stops(scene) == ["all", "all"]


# Numbers that are passed on.


async def test_a_number_that_somebody_moved_to_brings_no_talk_of_its_former_owner(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=EVA, bsuid=OTHER), answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=BSUID), answerable=False))
    new = Person(wa_id=EVA, bsuid="IN.new")
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID), type="system", moved_to=new, answerable=False))
    assert people(scene) == [(1, None, OTHER), (2, EVA, "IN.new")]
    assert scene.rows("SELECT * FROM merges") == []


async def test_who_wrote_from_a_number_before_somebody_moved_there_is_somebody_else(scene: Scene) -> None:
    await scene.hear(said("wamid.1", EVA, at=scene.now - 1, answerable=False), said("wamid.2", ANA, answerable=False))
    await scene.hear(said("wamid.3", ANA, type="system", moved_to=Person(wa_id=EVA), answerable=False))
    assert people(scene) == [(1, None, None), (2, EVA, None)]


async def test_a_change_of_number_counts_though_its_owner_wrote_since_with_the_number_hidden(scene: Scene) -> None:
    await scene.hear(said("wamid.1", BOTH, answerable=False))
    await scene.hear(said("wamid.3", Person(bsuid=BSUID), at=scene.now + 2, answerable=False))
    moved = said("wamid.2", BOTH, at=scene.now + 1, type="system", moved_to=Person(wa_id=EVA), answerable=False)
    await scene.hear(moved)
    assert people(scene) == [(1, EVA, BSUID)]
    assert await known_as(scene, ANA) is None


async def test_a_number_is_whose_it_was_last_though_its_former_owner_wrote_since_with_the_number_hidden(
    scene: Scene,
) -> None:
    await scene.hear(said("wamid.1", BOTH, answerable=False))
    await scene.hear(said("wamid.3", Person(bsuid=BSUID), at=scene.now + 2, answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=OTHER), at=scene.now + 1, answerable=False))
    assert people(scene) == [(1, None, BSUID), (2, ANA, OTHER)]


async def test_what_was_queued_for_a_number_that_somebody_lost_fails(scene: Scene) -> None:
    await scene.batch(EVA)
    await scene.hear(said("wamid.1", BOTH, answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=EVA, bsuid=BSUID), answerable=False))
    assert (await scene.claim_one()).contact.address == ""


async def test_the_archive_is_not_asked_for_a_number_that_was_somebody_elses(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=BSUID), answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=OTHER)))
    scene.now += 2
    talk = await scene.journal.talk(await scene.claim_one(Kind.REPLY), 20)
    assert (talk.names, talk.key) == ((OTHER,), f"{scene.journal.name}-2")


# Undoing.


async def test_a_merge_is_written_down_and_can_be_undone(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    await two_halves(scene)
    ids = [await scene.owe(who) for who in (ANA, BSUID)]
    before = scene.rows("SELECT * FROM contacts")
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    assert capsys.readouterr().out.count("contacts.merged") == 1
    (merge,) = await scene.journal.merges(10)
    assert (merge["contact"], merge["merged"], merge["numbers"], merge["bsuids"]) == (1, 2, [ANA, None], [None, BSUID])
    undone = await scene.journal.undo_merge(merge["id"], scene.now)
    assert undone is not None
    assert undone["undone_at"] == scene.now
    assert scene.rows("SELECT * FROM contacts") == before
    _, documents = await scene.journal.of_contact(BSUID, 0, ())
    assert [document["id"] for document in documents] == ["wamid.2"]
    assert [(job.id, job.contact.address) for job in await scene.claim()] == [(ids[0], ANA), (ids[1], BSUID)]
    await scene.hear(said("wamid.4", BOTH, answerable=False))
    assert people(scene) == [(1, None, None), (2, ANA, BSUID)], "the number moves, and they stay two"


async def test_a_stop_outlives_the_undoing_of_a_merge_in_both_halves(scene: Scene) -> None:
    await two_halves(scene)
    await scene.hear(said("wamid.3", BOTH, body="stop"))
    await scene.journal.undo_merge(1, scene.now)
    assert stops(scene) == ["all", "all"]


async def test_a_merge_that_waits_or_was_undone_or_merged_again_cannot_be_undone(scene: Scene) -> None:
    assert await scene.journal.undo_merge(1, scene.now) is None
    first, _ = await both_busy(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    with pytest.raises(CannotUndo, match="waits"):
        await scene.journal.undo_merge(1, scene.now)
    await scene.settle(first, sent("wamid.out"))
    await scene.journal.undo_merge(1, scene.now)
    with pytest.raises(CannotUndo, match="already"):
        await scene.journal.undo_merge(1, scene.now)


async def test_of_two_merges_in_a_row_the_later_is_undone_first(scene: Scene) -> None:
    await scene.hear(*(said(f"w{n}", who, answerable=False) for n, who in enumerate((Person(bsuid=BSUID), METAS))))
    await scene.batch(ASKED)
    await scene.settle(await scene.claim_one(), sent("wamid.out", wa_id=METAS))
    await scene.hear(said("w3", Person(wa_id=METAS, bsuid=BSUID), answerable=False))
    assert people(scene) == [(1, METAS, BSUID)]
    with pytest.raises(CannotUndo, match="the later merge first"):
        await scene.journal.undo_merge(1, scene.now)
    for merge_id in (2, 1):
        await scene.journal.undo_merge(merge_id, scene.now)
    assert people(scene) == [(1, None, BSUID), (2, METAS, None), (3, ASKED, None)]


# What comes late, and what is parted.


async def test_a_receipt_for_a_send_to_a_bsuid_gives_nobody_that_bsuid(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=OTHER), answerable=False))
    await scene.owe(BSUID)
    job = await scene.claim_one()
    told = receipt("wamid.out", Status.SENT, tag=job.tag)._replace(person=Person(wa_id=ANA, bsuid=BSUID))
    await scene.told(told)
    assert await known_as(scene, BSUID) == 1
    assert await known_as(scene, OTHER) == 2


async def test_after_an_undoing_each_is_answered_what_it_asked(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="one"))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="two"))
    await scene.hear(said("wamid.3", BOTH, body="three"))
    await scene.journal.undo_merge(1, scene.now)
    scene.now += 20
    jobs = await scene.claim(Kind.REPLY)
    got = sorted([await asked(scene, job) for job in jobs])
    assert got == [["one", "three"], ["two"]]


async def test_after_an_undoing_the_reply_of_one_leaves_nothing_of_the_other_unanswered(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="one", answerable=False))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="two"))
    await scene.hear(said("wamid.3", BOTH, body="three"))
    await scene.journal.undo_merge(1, scene.now)
    scene.now += 20
    jobs = await scene.claim(Kind.REPLY)
    got = sorted([await asked(scene, job) for job in jobs])
    assert got == [["three"], ["two"]]


async def test_a_late_message_of_a_numbers_former_owner_takes_it_from_nobody_and_lifts_no_stop(scene: Scene) -> None:
    await scene.hear(said("wamid.0", Person(wa_id=ANA, bsuid=BSUID), at=scene.now - 100, answerable=False))
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=OTHER), body="stop", at=scene.now))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=BSUID), at=scene.now - 50, answerable=False))
    assert people(scene) == [(1, None, BSUID), (2, ANA, OTHER)]
    await scene.batch(ANA)
    assert scene.row("SELECT error_code FROM recipients") == {"error_code": "opted_out"}


async def test_a_late_message_from_an_old_number_changes_nothing(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=EVA, bsuid=OTHER), at=scene.now, answerable=False))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=OTHER), at=scene.now - 50, answerable=False))
    assert people(scene) == [(1, EVA, OTHER)]


async def test_a_number_that_is_passed_on_is_lost_to_a_half_that_waits_too(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), answerable=False))
    await scene.hear(said("wamid.2", ANA, answerable=False))
    for who in (ANA, BSUID, ANA):
        await scene.owe(who)
    assert len(await scene.claim()) == 2
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.hear(said("wamid.4", Person(wa_id=ANA, bsuid=OTHER), at=scene.now + 1, answerable=False))
    assert people(scene) == [(1, None, BSUID), (2, None, BSUID), (3, ANA, OTHER)]


async def test_a_half_that_waits_moves_to_the_new_number_too(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), answerable=False))
    await scene.hear(said("wamid.2", ANA, answerable=False))
    for who in (ANA, BSUID, ANA):
        await scene.owe(who)
    await scene.claim()
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.hear(said("wamid.4", BOTH, type="system", moved_to=Person(wa_id=EVA), answerable=False))
    assert people(scene) == [(1, EVA, BSUID), (2, EVA, BSUID)]


async def test_a_merge_cannot_be_undone_while_another_of_the_contact_waits(scene: Scene) -> None:
    await scene.hear(said("wamid.0", METAS, answerable=False))
    await two_halves(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.owe(METAS)
    await scene.owe(ANA)
    await scene.claim()
    await scene.journal.writer(merging.unite, 1, 2, scene.now, "x")
    with pytest.raises(CannotUndo, match="another merge"):
        await scene.journal.undo_merge(1, scene.now)


async def test_news_of_a_move_that_take_a_message_back_too_can_be_accepted(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID), answerable=False), said("wamid.2", ANA, answerable=False))
    news = said("wamid.3", ANA, type="system", moved_to=Person(bsuid=BSUID), revokes="wamid.4", answerable=False)
    assert (await scene.hear(news)).stored == 1
    assert people(scene) == [(1, ANA, BSUID)]


async def test_who_was_parted_from_somebody_stays_apart_from_whom_they_became(scene: Scene) -> None:
    await scene.hear(
        *(said(f"w{n}", who, answerable=False) for n, who in enumerate((METAS, ASKED, Person(bsuid=BSUID))))
    )
    await scene.hear(said("w3", Person(wa_id=ASKED, bsuid=BSUID), answerable=False))
    assert len(people(scene)) == 2
    await scene.journal.undo_merge(1, scene.now)
    await scene.batch(ASKED)
    await scene.settle(await scene.claim_one(), sent("wamid.out", wa_id=METAS))
    await scene.hear(said("w4", Person(wa_id=METAS, bsuid=BSUID), answerable=False))
    assert len(people(scene)) == 2


async def test_what_a_person_says_in_the_second_of_a_wish_by_hand_is_no_older(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, answerable=False))
    await scene.journal.set_stop(ANA, scene.now + 0.5, stop=False)
    await scene.hear(said("wamid.2", ANA, body="stop", at=scene.now))
    assert stops(scene) == ["all"]


async def test_a_merge_cannot_be_undone_while_an_answer_is_thought_of(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="one", answerable=False))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID), body="two"))
    await scene.hear(said("wamid.3", BOTH, body="three"))
    scene.now += 20
    job = await scene.claim_one(Kind.REPLY)
    with pytest.raises(CannotUndo, match="an answer"):
        await scene.journal.undo_merge(1, scene.now)
    await scene.settle(job, Outcome(Event.SUCCEED))
    await scene.journal.undo_merge(1, scene.now)


async def test_a_stop_goes_with_a_bsuid_that_meta_gives_to_somebody_who_was_parted_from_it(scene: Scene) -> None:
    await two_halves(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.journal.undo_merge(1, scene.now)
    await scene.hear(said("wamid.4", Person(bsuid=BSUID), body="stop"))
    await scene.hear(said("wamid.5", ANA, type="system", moved_to=Person(bsuid=BSUID), answerable=False))
    assert people(scene) == [(1, ANA, BSUID), (2, None, None)]
    assert stops(scene) == ["all", "all"]


async def test_a_stop_binds_whoever_waits_to_become_part_of_somebody_who_becomes_part_of_another(scene: Scene) -> None:
    await scene.hear(said("wamid.0", METAS, answerable=False))
    await both_busy(scene)
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    await scene.owe(METAS)
    await scene.claim()
    await scene.journal.set_stop(METAS, scene.now, stop=True)
    assert stops(scene) == ["all", None, None]
    await scene.journal.writer(merging.unite, 1, 2, scene.now, "two spellings of a number")
    assert stops(scene) == ["all", "all", "all"]
    assert people(scene) == [(contact_id, METAS, BSUID) for contact_id in (1, 2, 3)]


async def test_a_send_that_a_merge_put_behind_another_keeps_its_back_off(scene: Scene) -> None:
    await two_halves(scene)
    await scene.owe(ANA)
    await scene.owe(BSUID)
    first, second = await scene.claim()
    await scene.settle(second, Outcome(Event.RETRY, due_at=scene.now + 60))
    await scene.hear(said("wamid.3", BOTH, answerable=False))
    assert scene.state(second.id) is State.WAITING
    await scene.settle(first, sent("wamid.out"))
    assert (scene.state(second.id), scene.job(second.id)["due_at"]) == (State.QUEUED, scene.now + 60)
