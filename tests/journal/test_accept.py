from __future__ import annotations

import asyncio
import json

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, RULES, Scene, receipt, said, sent, text
from wabot.core.exceptions import Effect
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Direction, Notice, Person, Preference, Status, Stop, Webhook
from wabot.core.optout import Consent
from wabot.journal import accept, notices
from wabot.journal.accept import Rules


def stopped(scene: Scene, number: str = ANA) -> str | None:
    row = scene.row("SELECT stopped FROM contacts c JOIN identities i ON i.contact_id = c.id WHERE value = ?", number)
    return row["stopped"]  # type: ignore[no-any-return]


async def test_a_message_makes_a_contact_a_row_and_a_reply_after_the_quiet_window(scene: Scene) -> None:
    taken = await scene.hear(said("wamid.1", at=NOW - 5, body="Hi there", business_number="15550783881"))
    assert (taken.stored, taken.replies) == (1, 1)
    assert scene.row("SELECT wa_id, last_inbound_at FROM contacts") == {"wa_id": ANA, "last_inbound_at": NOW - 5}
    message = scene.row("SELECT * FROM messages")
    assert (message["wamid"], message["timestamp"], message["body"]) == ("wamid.1", NOW - 5, "Hi there")
    assert (message["origin"], message["status"], message["business"]) == ("person", "received", "15550783881")
    assert scene.jobs(Kind.REPLY, "state, due_at, since") == [("queued", NOW + 2, message["id"])]
    assert scene.notified == [Kind.REPLY]


async def test_a_message_without_a_time_has_ours(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=0.0))
    assert scene.row("SELECT timestamp FROM messages") == {"timestamp": NOW}
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": NOW}


async def test_what_meta_delivers_again_is_stored_and_answered_once(scene: Scene) -> None:
    assert (await scene.hear(said("wamid.1"), said("wamid.1"))).stored == 1
    job_due = scene.jobs(Kind.REPLY, "due_at")
    scene.now += 1
    again = await scene.hear(said("wamid.1"))
    assert (again.stored, again.replies) == (0, 0)
    assert scene.jobs(Kind.REPLY, "due_at") == job_due, "a repetition is not another bubble"
    scene.now += 2
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED, says=(text(),)))
    await scene.hear(said("wamid.1"))
    await scene.restart()
    await scene.hear(said("wamid.1"))
    assert scene.jobs(Kind.REPLY, "state") == [("done",)]
    assert len(scene.jobs(Kind.SEND)) == 1


async def test_a_thousand_deliveries_of_one_message_at_once_are_one_row(scene: Scene) -> None:
    taken = await asyncio.gather(*(scene.hear(said("wamid.1")) for _ in range(1000)))
    assert sum(each.stored for each in taken) == 1
    assert scene.journal.writer.commits <= 3
    assert scene.row("SELECT count(*) AS n FROM messages") == {"n": 1}


async def test_a_repetition_of_an_old_message_does_not_make_somebody_reachable(scene: Scene) -> None:
    await scene.hear(said("wamid.0"), said("wamid.1", at=NOW + 30))
    scene.now += 60
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), Outcome(Event.GIVE_UP, code=131026, effect=Effect.SUPPRESS))
    await scene.hear(said("wamid.1", at=NOW + 30))
    assert stopped(scene) == "unreachable"
    await scene.hear(said("wamid.2", at=scene.now))
    assert stopped(scene) is None


async def test_the_24_hours_count_from_the_latest_message_in_whatever_order_they_come(scene: Scene) -> None:
    await scene.hear(said("wamid.2", at=NOW - 10))
    await scene.hear(said("wamid.1", at=NOW - DAY))
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": NOW - 10}


async def test_bubbles_share_one_reply_and_move_it(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="Hi"))
    scene.now += 1.5
    await scene.hear(said("wamid.2", body="one question"))
    assert scene.jobs(Kind.REPLY, "due_at - created_at") == [(3.5,)]
    scene.now += 1.5
    assert await scene.claim(Kind.REPLY) == [], "still typing"
    scene.now += 0.5
    job = await scene.claim_one(Kind.REPLY)
    talk = await scene.journal.talk(job, 20)
    assert [line.body for line in talk.said if line.asked] == ["Hi", "one question"]


async def test_somebody_who_never_stops_typing_is_answered_after_quiet_max(scene: Scene) -> None:
    for n in range(20):
        await scene.hear(said(f"wamid.{n}"))
        scene.now += 1
    ((due, created),) = scene.jobs(Kind.REPLY, "due_at, created_at")
    assert due - created == RULES.quiet_max_seconds


async def test_a_bubble_does_not_hurry_a_reply_that_backs_off(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.RETRY, due_at=scene.now + 60, code="assistant"))
    await scene.hear(said("wamid.2"))
    assert scene.jobs(Kind.REPLY, "due_at") == [(scene.now + 60,)]


async def test_a_reply_that_a_later_bubble_joined_lives_as_long_as_that_one_needs(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += RULES.reply_expires_seconds - 1
    await scene.hear(said("wamid.2"))
    scene.now += 2
    await scene.journal.tend(scene.now)
    assert scene.jobs(Kind.REPLY, "state") == [("queued",)]


async def test_bubbles_during_a_running_reply_make_the_next_one(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"), said("wamid.3"))
    assert scene.jobs(Kind.REPLY, "state") == [("running",), ("waiting",)]
    scene.now += 5
    assert await scene.claim(Kind.REPLY) == [], "one reply at a time"
    await scene.settle(running, Outcome(Event.SUCCEED))
    following = await scene.claim_one(Kind.REPLY)
    assert (following.since, following.upto) == (2, 3)


async def test_people_do_not_share_replies(scene: Scene) -> None:
    people = ANA, BEN, Person(bsuid="IN.1")
    await scene.hear(*(said(f"wamid.{n}", person, body=f"I am {n}") for n, person in enumerate(people)))
    scene.now += 2
    jobs = await scene.claim(Kind.REPLY)
    await scene.hear(*(said(f"wamid.{n}.more", person, body="And more") for n, person in enumerate(people)))
    talks = [await scene.journal.talk(job, 20) for job in jobs]
    assert [[one.body for one in talk.said] for talk in talks] == [["I am 0"], ["I am 1"], ["I am 2"]]


@pytest.mark.parametrize(
    "message",
    [
        said("wamid.r", type="reaction", body="👍", answerable=False),
        said("wamid.s", type="system", body="changed number", answerable=False),
        said("wamid.e", direction=Direction.OUT, answerable=False, body="from the shop's phone"),
    ],
    ids=["reaction", "system", "echo"],
)
async def test_what_deserves_no_answer_is_recorded_but_not_answered(scene: Scene, message: object) -> None:
    taken = await scene.hear(message)  # type: ignore[arg-type]
    assert (taken.stored, taken.replies) == (1, 0)
    assert scene.jobs(Kind.REPLY) == []


async def test_an_echo_is_our_own_turn_and_opens_no_window(scene: Scene) -> None:
    await scene.hear(said("wamid.e", direction=Direction.OUT, answerable=False))
    assert scene.row("SELECT direction, origin, status FROM messages") == {
        "direction": "out",
        "origin": "staff",
        "status": "sent",
    }
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": None}


async def test_what_a_person_takes_back_is_forgotten_but_only_their_own(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA, body="secret"), said("wamid.2", BEN, body="mine"))
    gone = {"type": "revoke", "body": "", "answerable": False}
    await scene.hear(said("wamid.3", ANA, revokes="wamid.1", **gone), said("wamid.4", ANA, revokes="wamid.2", **gone))
    bodies = scene.rows("SELECT wamid, body, raw, version FROM messages WHERE id < 3 ORDER BY id")
    assert bodies[0] == {"wamid": "wamid.1", "body": "", "raw": "{}", "version": 2}
    assert bodies[1]["body"] == "mine"


@pytest.mark.parametrize("word", ["STOP", " stop!", "Unsubscribe."])
async def test_stop_cancels_what_is_queued_confirms_once_and_is_not_answered(scene: Scene, word: str) -> None:
    await scene.hear(said("wamid.1"))
    await scene.batch(ANA, batch_id="b1")
    await scene.batch(ANA, batch_id="b2")
    taken = await scene.hear(said("wamid.2", body=word))
    assert (taken.sends, taken.replies) == (1, 0)
    assert stopped(scene) == Stop.ALL
    assert scene.jobs(Kind.REPLY, "state") == [("cancelled",)]
    assert scene.jobs(Kind.SEND, "state") == [("cancelled",), ("cancelled",), ("queued",)]
    assert (
        scene.rows("SELECT status, error_code FROM messages WHERE job_id IS NOT NULL AND status = 'failed'")
        == [{"status": "failed", "error_code": "opted_out"}] * 2
    )
    confirmation = await scene.claim_one()
    assert confirmation.outgoing is not None
    assert confirmation.outgoing.body == RULES.consent.confirmation
    again = await scene.hear(said("wamid.3", body=word), said("wamid.4", body="hello?"))
    assert (again.stored, again.sends, again.replies) == (2, 0, 0)
    assert len(scene.jobs(Kind.SEND)) == 3


async def test_stop_leaves_alone_what_is_on_its_way_and_what_others_are_owed(scene: Scene) -> None:
    await scene.batch(ANA, BEN)
    jobs = await scene.claim()
    await scene.batch(BEN, batch_id="b2")
    await scene.hear(said("wamid.1", body="stop"))
    assert await scene.settle(jobs[0], sent("wamid.out1")) is State.DONE
    assert await scene.settle(jobs[1], sent("wamid.out2")) is State.DONE
    assert scene.jobs(Kind.SEND, "state") == [("done",), ("done",), ("queued",), ("queued",)]


async def test_stop_cancels_what_is_held_too(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.HOLD, due_at=NOW + DAY, spent=False))
    await scene.hear(said("wamid.1", body="stop"))
    assert scene.state(job.id) is State.CANCELLED


async def test_start_undoes_stop_and_says_so(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="stop"))
    await scene.settle(await scene.claim_one(), sent("wamid.out"))
    taken = await scene.hear(said("wamid.2", body="Start"))
    assert (taken.sends, taken.replies) == (1, 0)
    assert stopped(scene) is None
    job = await scene.claim_one()
    assert job.outgoing is not None
    assert job.outgoing.body == "Welcome back."
    assert (await scene.hear(said("wamid.3", body="hello"))).replies == 1


async def test_start_is_a_word_like_any_other_from_somebody_who_never_left(scene: Scene) -> None:
    taken = await scene.hear(said("wamid.1", body="start"))
    assert (taken.sends, taken.replies) == (0, 1)


async def test_a_word_in_a_longer_message_is_no_wish(scene: Scene) -> None:
    taken = await scene.hear(said("wamid.1", body="please stop by tomorrow"))
    assert (taken.replies, stopped(scene)) == (1, None)


async def test_without_a_confirmation_text_stop_is_silent(scene: Scene) -> None:
    await scene.restart(rules=Rules(consent=Consent.of(["stop"], ["start"], "", "")))
    taken = await scene.hear(said("wamid.1", body="stop"))
    assert (stopped(scene), taken.sends, taken.replies) == (Stop.ALL, 0, 0)


async def test_whatsapps_own_button_stops_marketing_only(scene: Scene) -> None:
    person = Person(wa_id=ANA)
    await scene.journal.accept(Webhook(preferences=(Preference(person, stopped=True, timestamp=NOW),)), NOW)
    assert stopped(scene) == Stop.MARKETING
    assert (await scene.hear(said("wamid.1"))).replies == 1, "who asks is answered"
    await scene.journal.accept(Webhook(preferences=(Preference(person, stopped=False, timestamp=NOW),)), NOW)
    assert stopped(scene) is None


async def test_whatsapps_own_button_does_not_undo_a_stop(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body="stop"))
    for pressed in (True, False):
        preference = Preference(Person(wa_id=ANA), stopped=pressed, timestamp=NOW)
        await scene.journal.accept(Webhook(preferences=(preference,)), NOW)
        assert stopped(scene) == Stop.ALL


async def test_opting_out_over_the_api_cancels_and_opting_in_lifts_every_stop(scene: Scene) -> None:
    await scene.batch(ANA, BEN)
    await scene.journal.set_stop(ANA, NOW, stop=True)
    assert scene.jobs(Kind.SEND, "state") == [("cancelled",), ("queued",)]
    assert stopped(scene) == Stop.ALL
    await scene.journal.set_stop(ANA, NOW, stop=False)
    assert stopped(scene) is None


async def test_somebody_may_opt_out_before_we_ever_met(scene: Scene) -> None:
    await scene.journal.set_stop("IN.2", NOW, stop=True)
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid="IN.2")))
    assert stopped(scene) == Stop.ALL
    assert scene.jobs(Kind.REPLY) == []


async def test_what_else_meta_says_is_kept_cut_to_size(scene: Scene) -> None:
    notice = Notice("account_update", "not ours to act on", "x" * (notices.LONGEST + 10))
    await scene.journal.accept(Webhook(notices=(notice,)), NOW)
    row = scene.row("SELECT field, reason, length(raw) AS n, received_at FROM notices")
    assert row == {
        "field": "account_update",
        "reason": "not ours to act on",
        "n": notices.LONGEST,
        "received_at": NOW,
    }


async def test_a_delivery_that_cannot_be_stored_is_stored_in_no_part_and_harms_no_other(scene: Scene) -> None:
    poisoned = scene.hear(said("wamid.1"), said("wamid.2", body="\ud800"))
    failed, taken = await asyncio.gather(poisoned, scene.hear(said("wamid.3", BEN)), return_exceptions=True)
    assert isinstance(failed, UnicodeEncodeError)
    assert not isinstance(taken, BaseException)
    assert taken.stored == 1
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM messages")] == ["wamid.3"]


async def test_what_meta_repeats_is_counted_and_not_kept_again(scene: Scene) -> None:
    unreadable, other = Notice("unreadable", "not JSON", "{" * 100_000), Notice("unreadable", "not JSON", "{" * 99_999)
    for at in range(3):
        await scene.journal.accept(Webhook(notices=(unreadable,)), NOW + at)
    await scene.journal.accept(Webhook(notices=(other, unreadable)), NOW + 3)
    rows = scene.rows("SELECT times, received_at FROM notices ORDER BY id")
    assert rows == [{"times": 4, "received_at": NOW + 3}, {"times": 1, "received_at": NOW + 3}]


async def test_others_come_between_the_parts_of_a_large_delivery(scene: Scene) -> None:
    many = [said(f"wamid.{n}", f"4917112{n:05}") for n in range(accept.SLICE * 3)]
    large = asyncio.create_task(scene.hear(*many))
    await asyncio.sleep(0)
    await scene.hear(said("wamid.small"))
    assert not large.done()
    taken = await large
    assert (taken.stored, taken.replies) == (len(many), len(many))
    assert (await scene.hear(*many)).stored == 0
    assert scene.row("SELECT count(*) AS n FROM messages")["n"] == len(many) + 1


async def test_a_large_delivery_may_have_a_bit_of_everything(scene: Scene) -> None:
    count = accept.SLICE + 1
    job = await scene.doubtful(BEN)
    whole = Webhook(
        count=count,
        messages=tuple(said(f"wamid.{n}") for n in range(count)),
        receipts=(*(receipt(f"wamid.{n}", Status.SENT) for n in range(count)), receipt("w", Status.SENT, tag=job.tag)),
        preferences=(Preference(Person(wa_id=EVA), stopped=True, timestamp=NOW),),
        notices=(Notice("a", "b", "c"),),
    )
    taken = await scene.journal.accept(whole, NOW)
    assert (taken.stored, taken.sends) == (count, 1)
    assert scene.state(job.id) is State.DONE
    assert scene.row("SELECT count(*) AS n FROM contacts WHERE stopped = 'marketing'")["n"] == 1
    assert scene.row("SELECT count(*) AS n FROM notices")["n"] == 1


@pytest.mark.parametrize("late", ["start", "resume"])
async def test_an_older_wish_that_comes_late_does_not_undo_a_newer_one(scene: Scene, late: str) -> None:
    await scene.hear(said("wamid.1", at=NOW - 50, answerable=False))
    if late == "start":
        await scene.hear(said("wamid.2", at=NOW, body="stop"), said("wamid.3", at=NOW - 10, body="start"))
        assert stopped(scene) == "all"
    else:
        told = [Preference(Person(wa_id=ANA), True, NOW), Preference(Person(wa_id=ANA), False, NOW - 10)]
        await scene.journal.accept(Webhook(preferences=tuple(told)), scene.now)
        assert stopped(scene) == "marketing"


async def test_an_older_stop_that_comes_late_does_not_undo_a_newer_start(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW, body="start"))
    await scene.batch(ANA)
    await scene.hear(said("wamid.2", at=NOW - 10, body="stop"))
    assert stopped(scene) is None
    assert scene.jobs(Kind.SEND, "state") == [("queued",)], "nothing is cancelled, and nothing to be confirmed"


async def test_a_late_resume_of_marketing_does_not_make_an_older_stop_void(scene: Scene) -> None:
    await scene.journal.accept(Webhook(preferences=(Preference(Person(wa_id=ANA), False, NOW),)), scene.now)
    await scene.hear(said("wamid.1", at=NOW - 10, body="stop"))
    assert stopped(scene) == "all"


async def test_what_is_said_by_hand_counts_though_our_clock_is_behind(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW + 60, body="start"))
    await scene.journal.set_stop(ANA, NOW, stop=True)
    assert stopped(scene) == "all"
    await scene.journal.set_stop(ANA, NOW, stop=False)
    assert stopped(scene) is None


async def test_a_message_dated_in_the_future_opens_the_window_from_now(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW + 300 * DAY))
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": NOW}
    assert scene.row("SELECT timestamp FROM messages") == {"timestamp": NOW}
    await scene.hear(said("wamid.2", at=NOW + 200))
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": NOW + 200}, "our clock may lag"


async def test_a_stop_dated_in_the_future_can_be_taken_back(scene: Scene) -> None:
    await scene.hear(said("wamid.1", at=NOW + 300 * DAY, body="stop"))
    await scene.hear(said("wamid.2", at=NOW + 1, body="start"))
    assert stopped(scene) is None


async def test_what_is_said_in_a_group_opens_no_window_but_a_stop_is_heard(scene: Scene) -> None:
    await scene.hear(said("wamid.1", group="g.1", answerable=False))
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": None}
    await scene.hear(said("wamid.2", at=NOW - 2 * DAY))
    await scene.hear(said("wamid.3", group="g.1", body="stop", answerable=False))
    assert scene.row("SELECT last_inbound_at FROM contacts") == {"last_inbound_at": NOW - 2 * DAY}
    assert stopped(scene) == "all"


async def test_a_message_that_its_own_revoke_overtook_is_never_kept(scene: Scene) -> None:
    await scene.hear(said("wamid.revoke", type="revoke", answerable=False, revokes="wamid.1"))
    taken = await scene.hear(said("wamid.1", body="my secret"), said("wamid.2", body="and this"))
    assert (taken.stored, taken.replies) == (1, 1)
    assert scene.rows("SELECT wamid, body FROM messages WHERE body <> 'Hello' ORDER BY id") == [
        {"wamid": "wamid.1", "body": ""},
        {"wamid": "wamid.2", "body": "and this"},
    ]
    assert "my secret" not in scene.path.with_name("wabot.db-wal").read_bytes().decode(errors="replace")


async def test_who_deletes_a_message_deletes_its_edits_too(scene: Scene) -> None:
    edit = {"type": "edit", "edit": {"original_message_id": "wamid.1"}}
    await scene.hear(said("wamid.1", body="My pin is 1"), said("wamid.other", body="Hello"))
    await scene.hear(said("wamid.edit", body="My pin is 2", type="edit", answerable=False, raw=json.dumps(edit)))
    await scene.hear(said("wamid.revoke", type="revoke", body="", answerable=False, revokes="wamid.1"))
    scene.now += 5
    talk = await scene.journal.talk(await scene.claim_one(Kind.REPLY), 20)
    assert [one.body for one in talk.said if one.body] == ["Hello"]
    assert scene.rows("SELECT wamid FROM messages WHERE body LIKE '%pin is%' OR raw LIKE '%pin is%'") == []


async def test_an_edit_that_arrives_after_the_deletion_brings_nothing_back(scene: Scene) -> None:
    edit = {"type": "edit", "edit": {"original_message_id": "wamid.1"}}
    await scene.hear(said("wamid.1", body="My pin is 1"), said("wamid.other", body="Hello"))
    await scene.hear(said("wamid.revoke", type="revoke", body="", answerable=False, revokes="wamid.1"))
    await scene.hear(said("wamid.edit", body="My pin is 2", type="edit", answerable=False, raw=json.dumps(edit)))
    scene.now += 5
    talk = await scene.journal.talk(await scene.claim_one(Kind.REPLY), 20)
    assert [one.body for one in talk.said if one.body] == ["Hello"]
