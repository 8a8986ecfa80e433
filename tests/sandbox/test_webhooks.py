"""What the stand-in tells the webhook: receipts, and what people say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook, value
from wabot.core.messages import Status
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import ANY, LOST, Receipts, accept, undelivered
from wabot.sandbox.meta import Meta

USER_ID = "IN.161306206369511"
"""PHONE's, today and ever."""


@pytest.fixture
async def said(meta: Meta):  # the stand-in without a served app
    yield meta
    await meta.close()


async def test_an_accepted_message_is_sent_delivered_and_read(business: Business, meta: Meta, webhook: Webhook) -> None:
    _, body, _ = await business.send(biz_opaque_callback_data="job:1")
    await meta.until(lambda m: len(m.told) == 3)
    statuses = webhook.told("statuses")
    assert [status["status"] for status in statuses] == ["sent", "delivered", "read"]
    assert {status["id"] for status in statuses} == {body["messages"][0]["id"]}
    assert {status["recipient_id"] for status in statuses} == {PHONE}
    assert {status["biz_opaque_callback_data"] for status in statuses} == {"job:1"}
    assert all(status["timestamp"].isdecimal() for status in statuses)
    since_october = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "service"}
    assert [status.get("pricing") for status in statuses] == [since_october, since_october, None]
    assert all("conversation" not in status for status in statuses)
    assert {status["recipient_user_id"] for status in statuses} == {USER_ID}
    assert [value(payload)["contacts"] for payload in webhook.taken] == [[{"wa_id": PHONE, "user_id": USER_ID}]] * 3
    assert [receipt.status for receipt in meta.told] == [Status.SENT, Status.DELIVERED, Status.READ]


async def test_what_follows_an_advertisement_is_free_for_three_days(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    start = meta.now()
    meta._clock = lambda: now
    bills: list[Any] = []
    for came, now in (
        (start, start + 60),
        (None, start + 72 * 3600),
        (None, start + 72 * 3600 + 61),
        (start, start + 9e5),
    ):
        if came is not None:
            referral = {"source_type": "ad", "source_id": "1"}
            await meta.say("Is it still free?", from_=PHONE, timestamp=came, referral=referral)
        meta.people.of(PHONE).wrote_at = now
        told = len(webhook.told("statuses"))
        await business.send()
        await meta.until(lambda m, told=told: len(m.told) == told + 3)
        [sent, delivered, read] = webhook.told("statuses")[told:]
        assert sent["pricing"] == delivered["pricing"]
        assert "pricing" not in read
        pricing, conversation = sent["pricing"], sent.get("conversation", {})
        bills.append((pricing["billable"], pricing["type"], pricing["category"], conversation.get("origin")))
    origin = {"type": "referral_conversion"}
    free, regular = (False, "free_entry_point", "referral_conversion", origin), (True, "regular", "service", None)
    assert bills == [free, free, regular, regular], "three days from an answer within one day, and no longer"


async def test_a_bsuid_has_receipts_by_user_id(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.window = None
    await business.send(None, recipient="IN.abc123")
    await meta.until(lambda m: len(m.told) == 3)
    status = webhook.told("statuses")[0]
    assert status["recipient_user_id"] == "IN.abc123"
    assert "recipient_id" not in status
    assert value(webhook.taken[0])["contacts"] == [{"user_id": "IN.abc123"}]


async def test_a_failed_receipt_has_metas_error_and_no_bsuid_of_who_is_not_on_whatsapp(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.behaviour.script(ANY, [undelivered(131026)])
    assert (await business.send())[0] == 200
    await meta.until(lambda m: len(m.told) == 1)
    [status] = webhook.told("statuses")
    [trouble] = status["errors"]
    assert (status["status"], trouble["code"], trouble["title"]) == ("failed", 131026, "Message undeliverable")
    assert trouble["error_data"] == {"details": "Message Undeliverable."}
    assert trouble["href"]
    assert value(webhook.taken[0])["contacts"] == [{"wa_id": PHONE}]
    assert "recipient_user_id" not in status
    assert "pricing" not in status


async def test_of_others_a_failed_receipt_has_the_bsuid_in_its_contacts_alone(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.behaviour.script(ANY, [undelivered(131049)])
    await business.send()
    await meta.until(lambda m: len(m.told) == 1)
    assert value(webhook.taken[0])["contacts"] == [{"wa_id": PHONE, "user_id": USER_ID}]
    assert "recipient_user_id" not in webhook.told("statuses")[0]


async def test_receipts_may_come_backwards_and_twice(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.behaviour.receipts = Receipts(reverse=True, times=2)
    await business.send()
    await meta.until(lambda m: len(m.told) == 6)
    assert [s["status"] for s in webhook.told("statuses")] == ["read"] * 2 + ["delivered"] * 2 + ["sent"] * 2


async def test_receipts_may_come_before_the_answer(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.behaviour.script(ANY, [accept(receipts=Receipts(early=True))])
    await business.send()
    assert len(webhook.told("statuses")) == 3


async def test_receipts_may_get_lost(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.behaviour.script(ANY, [accept(receipts=LOST), accept(receipts=["delivered"])])
    await business.send()
    await business.send()
    await meta.until(lambda m: len(m.told) == 1)
    assert [s["status"] for s in webhook.told("statuses")] == ["delivered"]
    assert webhook.told("statuses")[0]["id"] == meta.sent[1].wamid


async def test_no_receipts_at_all_if_so_wanted(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.receipts = False
    await business.send()
    await asyncio.sleep(0.05)
    assert not webhook.bodies


async def test_meta_repeats_itself_until_it_is_answered_200(business: Business, meta: Meta, webhook: Webhook) -> None:
    webhook.statuses = [503, 401, 204]
    meta.behaviour.receipts = Receipts(("sent",))
    await business.send()
    await meta.until(lambda m: len(m.told) == 1)
    assert len(webhook.bodies) == 4
    assert len(set(webhook.bodies)) == 1


async def test_meta_gives_up_one_day(business: Business, meta: Meta, webhook: Webhook) -> None:
    webhook.statuses = [503] * 5
    meta.behaviour.receipts = Receipts(("sent", "read"))
    await business.send()
    await meta.until(lambda m: len(m.told) == 1)
    assert [receipt.status for receipt in meta.told] == [Status.READ]


async def test_a_text_is_said_as_meta_says_it(said: Meta, webhook: Webhook) -> None:
    wamid, status = await said.say("Grüße / 🙂", from_=PHONE, name="Ann", timestamp=1700000000.9)
    assert status == 200
    assert webhook.taken == [
        {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": "200000000000002",
                    "changes": [
                        {
                            "field": "messages",
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {"display_phone_number": "15550001111", "phone_number_id": "1234"},
                                "contacts": [{"profile": {"name": "Ann"}, "wa_id": PHONE, "user_id": USER_ID}],
                                "messages": [
                                    {
                                        "from": PHONE,
                                        "from_user_id": USER_ID,
                                        "id": wamid,
                                        "timestamp": "1700000000",
                                        "type": "text",
                                        "text": {"body": "Grüße / 🙂"},
                                    }
                                ],
                            },
                        }
                    ],
                }
            ],
        }
    ]
    assert webhook.bodies[0].isascii()
    assert b"\\/" in webhook.bodies[0]


async def test_someone_without_a_number_speaks_by_bsuid(said: Meta, webhook: Webhook) -> None:
    await said.say("Hi", user_id="IN.abc", name=None)
    [message] = webhook.told("messages")
    assert message["from_user_id"] == "IN.abc"
    assert "from" not in message
    assert value(webhook.taken[0])["contacts"] == [{"user_id": "IN.abc"}]


async def test_the_same_message_may_be_delivered_many_times(said: Meta, webhook: Webhook) -> None:
    wamid, _ = await said.say("Hi", times=3)
    assert [message["id"] for message in webhook.told("messages")] == [wamid] * 3
    again, _ = await said.say("Hi", wamid=wamid)
    assert again == wamid


async def test_fields_of_ones_own_reach_the_message(said: Meta, webhook: Webhook) -> None:
    await said.say("Hi", context={"id": "wamid.a"})
    await said.say(type="order", order={"catalog_id": "1"})
    first, second = webhook.told("messages")
    assert first["context"] == {"id": "wamid.a"}
    assert (second["type"], second["order"]) == ("order", {"catalog_id": "1"})


async def test_the_webhooks_answer_comes_back(said: Meta, webhook: Webhook) -> None:
    webhook.statuses = [503, 503]
    assert (await said.say("Hi"))[1] == 503
    assert (await said.say("Hi", attempts=2))[1] == 200
    assert await said.deliver({"object": "x"}) == (200, {"received": 1, "stored": 1})


async def test_a_signature_may_be_wrong_or_missing(said: Meta, webhook: Webhook) -> None:
    assert (await said.deliver(b"{}", signature="sha256=00"))[0] == 401
    assert (await said.deliver(b"{}", signature=None))[0] == 401
    assert webhook.signatures == ["sha256=00", None]


async def test_nobody_at_the_webhook_is_status_0_and_no_webhook_an_error(said: Meta) -> None:
    said.webhook_url = "http://127.0.0.1:9/webhook"
    assert (await said.say("Hi", attempts=2))[1] == 0
    said.webhook_url = None
    with pytest.raises(RuntimeError, match="webhook_url"):
        await said.say("Hi")


async def test_the_handshake_needs_the_right_word(said: Meta) -> None:
    assert await said.verify_webhook()
    said.verify_token = "another"
    assert not await said.verify_webhook()


SAID = {
    "text": payloads.text("Hi"),
    "image": payloads.image("A cat"),
    "video": payloads.video(),
    "document": payloads.document(),
    "sticker": payloads.sticker(),
    "audio": payloads.audio(),
    "location": payloads.location(12.9, 77.6, name="Office"),
    "contacts": payloads.contacts(("Bob", "919000000000")),
    "button": payloads.button("Yes"),
    "button reply": payloads.button_reply("a", "Yes"),
    "list reply": payloads.list_reply("r1", "One"),
    "flow reply": payloads.flow_reply({"when": "today"}),
    "reaction": payloads.reaction("wamid.a"),
    "reaction taken back": payloads.reaction("wamid.a", None),
    "new number": payloads.changed_number(PHONE, "919000000000"),
    "new user id": payloads.changed_user_id("IN.old", "IN.new"),
    "revoke": payloads.revoke("wamid.a"),
    "unsupported": payloads.unsupported(),
}


@pytest.mark.parametrize("kind", SAID)
async def test_everything_that_can_be_said_arrives(said: Meta, webhook: Webhook, kind: str) -> None:
    wamid, status = await said.say(SAID[kind], from_=PHONE)
    assert status == 200
    [message] = webhook.told("messages")
    assert message["type"] == SAID[kind]["type"]
    assert None not in message.values()
    assert ("contacts" in value(webhook.taken[0])) == (message["type"] != "system")
    assert wamid in json.dumps(message)


async def test_who_moved_says_so_from_the_old_number_or_from_nobody(said: Meta, webhook: Webhook) -> None:
    await said.say(payloads.changed_number(PHONE, "919000000000"))
    await said.say(payloads.changed_user_id("IN.old", "IN.new"))
    number, user_id = webhook.told("messages")
    assert (number["from"], number["system"]["wa_id"]) == (PHONE, "919000000000")
    assert "from" not in user_id
    assert (user_id["system"]["previous_user_id"], user_id["system"]["user_id"]) == ("IN.old", "IN.new")
