"""What callers see of a send that Meta may have accepted twice, named oddly, or holds back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.business import ANA, BEN, Business
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import LOST, Answer, accept

TRANSIENT = 131000


async def queued(b: Business, number: str) -> str:
    """A send to somebody; its id in the outbox."""
    answer = await b.post("/initiate-bulk", {"numbers": [number]}, headers={"Prefer": "respond-async"})
    return str(answer.json["results"][0]["outbox_id"])


async def shown_as(b: Business, outbox_id: str, **wanted: Any) -> Any:
    """The send, as soon as it has these fields."""
    shown: Any = {}
    async with asyncio.timeout(10):
        while not wanted.items() <= (shown := (await b.get(f"/outbox/{outbox_id}")).json).items():
            await asyncio.sleep(0.02)
    return shown


async def told(b: Business, copy: int, status: str) -> None:
    """Meta's receipt for the so many-th message that it took."""
    sent = b.meta.sent[copy]
    receipt = payloads.receipt(
        sent.wamid, status, 1_789_000_000, wa_id=ANA, user_id=None, tag=sent.payload["biz_opaque_callback_data"],
        code=TRANSIENT,
    )  # fmt: skip
    assert (await b.meta.deliver(b.meta.envelope(statuses=[receipt])))[0] == 200


def answering(wamid: str, **more: str) -> Answer:
    """Accepted, with an answer of our own making."""
    body = {"messaging_product": "whatsapp", "messages": [{"id": wamid, **more}]}
    return Answer(body=json.dumps(body).encode(), receipts=LOST)


async def test_a_message_that_went_twice_shows_the_copy_that_is_alive_and_does_not_go_a_third_time(
    wabot: Business,
) -> None:
    wabot.meta.behaviour.script(ANA, [Answer(cut=True, receipts=LOST), accept(receipts=())])
    outbox_id = await queued(wabot, ANA)
    await shown_as(wabot, outbox_id, state="done")
    first, second = (sent.wamid for sent in wabot.meta.sent)
    await told(wabot, 0, "delivered")
    await told(wabot, 1, "failed")
    shown = await shown_as(wabot, outbox_id, state="done")
    assert (shown["message_id"], shown["message_status"], shown["error"]) == (first, "delivered", None)
    assert shown["response"] == {"messages": [{"id": first}]}
    assert shown["copies"] == [{"message_id": second, "status": "failed"}]
    history = (await wabot.post("/get", {"number": ANA})).json["messages"]
    assert [(message["id"], message["status"]) for message in history] == [(first, "delivered")]
    assert len(wabot.meta.sent) == 2


async def test_a_message_with_the_id_of_another_is_in_the_history_and_says_so(wabot: Business) -> None:
    for number in (ANA, BEN):
        wabot.meta.behaviour.script(number, [answering("wamid.SAME")])
        outbox_id = await queued(wabot, number)
        shown = await shown_as(wabot, outbox_id, state="done")
        assert shown["message_id"] == "wamid.SAME"
        history = (await wabot.post("/get", {"number": number})).json["messages"]
        assert [(message["id"], message["status"]) for message in history] == [("wamid.SAME", "sent")]
    assert shown["note"] == "Meta gave this message an id that another message has"


async def test_what_meta_holds_back_is_shown(wabot: Business) -> None:
    wabot.meta.behaviour.script(ANA, [answering("wamid.1", message_status="held_for_quality_assessment")])
    shown = await shown_as(wabot, await queued(wabot, ANA), state="done")
    assert (shown["message_status"], shown["pacing"]) == ("sent", "held_for_quality_assessment")


async def test_what_meta_charges_for_is_in_the_history(wabot: Business) -> None:
    outbox_id = await queued(wabot, ANA)
    await shown_as(wabot, outbox_id, message_status="read")
    (message,) = (await wabot.post("/get", {"number": ANA})).json["messages"]
    assert message["pricing"].items() >= {"billable": True, "type": "regular"}.items()
    assert message["pricing"]["category"]
