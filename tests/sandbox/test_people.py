"""Who people are to Meta, and when the business may write to them freely."""

from __future__ import annotations

import time

import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook, value
from wabot.core.phone_numbers import is_bsuid
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import undelivered
from wabot.sandbox.meta import Meta
from wabot.sandbox.people import People, user_id_of

STRANGER = "919000000000"


def test_everybody_has_one_bsuid_and_no_two_have_the_same() -> None:
    numbers = [f"9190000{nth:05d}" for nth in range(1000)] + ["4915112345678", "15550009999", "999123456789"]
    ids = [People().of(number).user_id for number in numbers]
    assert ids == [user_id_of(number) for number in numbers]
    assert len(set(ids)) == len(numbers)
    assert all(is_bsuid(id_) for id_ in ids)
    assert {id_[:3] for id_ in ids} == {"IN.", "DE.", "US.", "ZZ."}


def test_one_person_may_be_written_in_two_ways_and_found_by_bsuid() -> None:
    people = People()
    ana = people.of("5511987654321")
    assert people.of("551187654321") is ana
    assert people.of(ana.user_id) is ana
    old, new = people.change_user_id(ana)
    assert people.of(new) is ana
    assert people.of(old) is not ana


def test_who_moves_takes_the_number_from_who_had_it() -> None:
    people = People()
    ana, ben = people.of(PHONE), people.of(STRANGER)
    people.move(ana, STRANGER)
    assert people.of(STRANGER) is ana
    assert people.of(PHONE) is not ana
    assert ben not in list(people)


async def test_the_bsuid_of_a_number_is_in_messages_and_receipts_and_stays(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    await meta.say("Hi", from_=STRANGER)
    await meta.say("Hi again", from_=STRANGER)
    await business.send(STRANGER)
    await meta.until(lambda m: len(m.told) == 3)
    ids = {message["from_user_id"] for message in webhook.told("messages")}
    ids |= {status["recipient_user_id"] for status in webhook.told("statuses")}
    ids |= {value(payload)["contacts"][0]["user_id"] for payload in webhook.taken}
    assert ids == {user_id_of(STRANGER)}


async def test_before_april_2026_there_were_none(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.user_ids = False
    await meta.say("Hi", from_=STRANGER)
    await business.send(STRANGER)
    await meta.until(lambda m: len(m.told) == 3)
    assert not [body for body in webhook.bodies if b"user_id" in body]


async def test_somebody_may_have_a_username_and_hide_the_number(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    ana = meta.people.of(STRANGER)
    ana.username, ana.hides_number = "ana.k", True
    await meta.say("Hi", from_=STRANGER, name="Ana")
    [message] = webhook.told("messages")
    assert (message["from_user_id"], "from" in message) == (ana.user_id, False)
    assert value(webhook.taken[0])["contacts"] == [
        {"profile": {"name": "Ana", "username": "ana.k"}, "user_id": ana.user_id}
    ]
    await business.send(None, recipient=ana.user_id)
    await meta.until(lambda m: len(m.told) == 3)
    assert not [status for status in webhook.told("statuses") if "recipient_id" in status]


async def test_a_new_bsuid_is_told_by_nobody_in_a_system_message(meta: Meta, webhook: Webhook) -> None:
    ana = meta.people.of(STRANGER)
    old = ana.user_id
    assert await meta.change_user_id(ana) == 200
    [note] = webhook.told("messages")
    assert (note["type"], note["system"]["type"]) == ("system", "user_changed_user_id")
    assert (note["system"]["previous_user_id"], note["system"]["user_id"]) == (old, ana.user_id)
    assert (note["system"]["wa_id"], "from" in note) == (STRANGER, False)
    await meta.say("Hi", from_=STRANGER)
    assert webhook.told("messages")[1]["from_user_id"] == ana.user_id != old
    await meta.close()


async def test_a_new_number_comes_with_a_new_bsuid(meta: Meta, webhook: Webhook) -> None:
    ana = meta.people.of(STRANGER)
    old = ana.user_id
    await meta.change_number(ana, "919000000001")
    [note] = webhook.told("messages")
    assert (note["from"], note["system"]["type"], note["system"]["wa_id"]) == (
        STRANGER, "user_changed_number", "919000000001",
    )  # fmt: skip
    assert note["system"]["user_id"] == ana.user_id != old
    await meta.close()


async def test_a_free_text_to_who_has_not_written_fails_by_receipt(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    assert (await business.send(STRANGER))[0] == 200
    await meta.until(lambda m: len(m.told) == 1)
    [status] = webhook.told("statuses")
    assert (status["status"], status["errors"][0]["code"]) == ("failed", 131047)


async def test_who_cannot_be_reached_cannot_whatever_the_window(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.behaviour.script(STRANGER, [undelivered(131026)])
    await business.send(STRANGER)
    await meta.until(lambda m: len(m.told) == 1)
    assert webhook.told("statuses")[0]["errors"][0]["code"] == 131026


async def test_it_may_also_be_refused_at_once_or_be_let_through(business: Business, meta: Meta) -> None:
    meta.window = "answer"
    assert (await business.send(STRANGER))[1]["error"]["code"] == 131047
    assert (await business.template("hello_world", to=STRANGER))[0] == 200
    meta.window = None
    assert (await business.send(STRANGER))[0] == 200
    await meta.until(lambda m: len(m.told) == 6)


def test_a_late_delivery_of_an_older_message_closes_no_window() -> None:
    people = People()
    for stamp in ("2000", "1000"):
        people.hear({"from": PHONE, "timestamp": stamp, "type": "text"})
    assert people.of(PHONE).wrote_at == 2000


@pytest.mark.parametrize(("hours", "code"), [(23.9, None), (24.1, 131047)])
async def test_the_window_is_24_hours_from_the_message(
    business: Business, meta: Meta, hours: float, code: int | None
) -> None:
    meta.window = "answer"
    await meta.say("Hi", from_=STRANGER, timestamp=time.time() - hours * 3600)
    _, body, _ = await business.send(STRANGER)
    assert body.get("error", {}).get("code") == code


async def test_a_message_that_a_test_delivers_by_hand_opens_the_window_and_a_system_note_does_not(
    business: Business, meta: Meta
) -> None:
    meta.window = "answer"
    note = payloads.inbound(payloads.changed_number(STRANGER, PHONE), "wamid.1", time.time(), from_=None, user_id=None)
    await meta.deliver(meta.envelope(messages=[note]))
    assert (await business.send(STRANGER))[0] == 400
    message = payloads.inbound(payloads.text("Hi"), "wamid.2", time.time(), from_=STRANGER, user_id=None)
    await meta.deliver(meta.envelope(messages=[message]))
    assert (await business.send(STRANGER))[0] == 200


async def test_a_bsuid_in_to_is_accepted_and_never_seen_again(business: Business, meta: Meta, webhook: Webhook) -> None:
    status, body, _ = await business.send(user_id_of(PHONE))
    assert status == 200
    astray = body["messages"][0]["id"]
    await business.send()
    await meta.until(lambda m: len(m.told) >= 3)
    assert astray not in {status["id"] for status in webhook.told("statuses")}
