"""Meta's side of the webhook: builds, signs and delivers what people say and what happens to them and the account.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from wabot.core.complaint import part, parts
from wabot.sandbox import graph, payloads
from wabot.sandbox.account import Account
from wabot.sandbox.ledger import Ledger, Said
from wabot.sandbox.media import Store
from wabot.sandbox.people import Customer, People
from wabot.sandbox.template import Template
from wabot.sandbox.templates import Library
from wabot.sandbox.webhook_caller import NO_ANSWER, OWN, Caller

SOMEBODY = "919876500100"
"""The sender, where none is given."""

PERSISTENCE = 5
"""How many attempts a webhook gets until it answers 200; Meta retries for 7 days."""


class Webhooks(Ledger):
    """Meta's state and its webhooks. `webhook_url` None: no webhooks are delivered.

    `user_ids` False: without BSUIDs, as before April 2026. `review_delay`: seconds until a new template is approved.
    `caller`: who calls the webhook, instead of an HTTP client. `draw`: as many random bytes as asked.
    """

    def __init__(
        self,
        *,
        phone_number_id: str,
        account: Account,
        app_secret: str,
        verify_token: str,
        webhook_url: str | None = None,
        templates: Library | None = None,
        user_ids: bool = True,
        review_delay: float = 0.5,
        caller: Caller | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__()
        self.phone_number_id = phone_number_id
        self.account = account
        self.verify_token = verify_token
        self.templates = templates or Library()
        self.people = People()
        self.media = Store(clock)
        self.user_ids = user_ids
        self.review_delay = review_delay
        self.draw = draw
        self._clock = clock
        self._caller = caller or Caller(webhook_url, app_secret)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def webhook_url(self) -> str | None:
        """The address of the app's webhook; account and number may have another one for messages."""
        return self._caller.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self._caller.url = url

    @property
    def messages_url(self) -> str | None:
        """The address for receipts and inbound messages: the number's own, else the account's, else the app's.

        https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/override
        """
        overrides = self.account.overrides
        return overrides.get("number") or overrides.get("account") or self.webhook_url

    @property
    def app_secret(self) -> str:
        """The key that signs webhooks."""
        return self._caller.app_secret

    @property
    def business_number(self) -> str:
        """The digits of the business number."""
        return self.account.display_number

    def observe_webhooks(self, called: Callable[[str, bytes, int, Any, float], None]) -> None:
        """Call `called` after each webhook with its URL, body, status and answer, and the seconds that it took."""
        self._caller.on_call = called

    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    async def close(self) -> None:
        """Cancel open deliveries, and close the connections to the webhook."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._caller.close()

    async def tell(self, body: bytes, field: str = "messages") -> int:
        """Deliver a webhook, with retries: the last HTTP status, NO_ANSWER (0) if the app does not get it."""
        url = self.messages_url if field == "messages" else self.webhook_url
        if url is None or not self.account.receives(field):
            return NO_ANSWER
        return (await self._caller.deliver(body, attempts=PERSISTENCE, url=url))[0]

    async def news(self, field: str, value: Mapping[str, Any]) -> int:
        """Deliver a webhook of any field, such as `account_update`: the HTTP status."""
        body = payloads.envelope(value, account=self.account.id, field=field, time=self.now())
        return await self.tell(payloads.encode(body), field)

    async def set_limit(self, people: int | None) -> int:
        """Meta changes the messaging limit (None: no limit), and delivers that: the HTTP status."""
        self.account.limit = people
        return await self.news("business_capability_update", {
            "max_daily_conversations_per_business": self.account.tier, "max_phone_numbers_per_waba": 25,
        })  # fmt: skip

    async def set_template(
        self, name: str, language: str, *, status: str | None = None, category: str | None = None, reason: str = ""
    ) -> int:
        """Meta changes a template, and delivers that: the HTTP status of the last webhook. Raises KeyError."""
        template = self.templates.find(name, language)
        if template is None:
            raise KeyError(f"no template {name} in {language}")
        about, http = (template.id, name, language), 0
        if status is not None:
            template.status = status
            http = await self.news("message_template_status_update", payloads.template_status(*about, status, reason))
        if category is not None:
            old, template.category = template.category, category
            http = await self.news("template_category_update", payloads.template_category(*about, old, category))
        return http

    def review(self, template: Template) -> None:
        """Approve a template after `review_delay`."""
        self.spawn(self.decide(template, "APPROVED", self.review_delay))

    async def decide(self, template: Template, status: str, delay: float = 0.0) -> None:
        """Change a template's status in `delay` seconds, if it still exists and its status has not changed by then."""
        before = template.status
        await asyncio.sleep(delay)
        if self.templates.get(template.id) is template and template.status == before:
            await self.set_template(template.name, template.language, status=status)

    async def say(
        self,
        text: str | Mapping[str, Any] | None = None,
        *,
        from_: str | None = None,
        user_id: str | None = None,
        name: str | None = "Sandy",
        type: str = "text",
        content: bytes | None = None,
        wamid: str | None = None,
        timestamp: float | None = None,
        times: int = 1,
        attempts: int = 1,
        **fields: Any,
    ) -> tuple[str, int]:
        """Somebody says something: `text`, or what `payloads` builds, or `type` and the message's own fields.

        From the number `from_`, the BSUID `user_id`, or both; `content` is the file of a picture or voice note;
        `times` requests with the same message at once. Gives the message's id and the highest HTTP status that came
        back (0: no answer).
        """
        customer = self._speaker(from_, user_id)
        said = {**(payloads.text(text) if isinstance(text, str) else text or {"type": type}), **fields}
        shown, id_ = customer.shown_number, customer.user_id if self.user_ids or not customer.number else None
        wamid = wamid or payloads.new_wamid(customer.number or customer.user_id, inbound=True, draw=self.draw)
        message = payloads.inbound(
            self.media.received(said, content), wamid, self.now() if timestamp is None else timestamp,
            from_=shown, user_id=id_,
        )  # fmt: skip
        system = said["type"] == "system"
        contacts = [] if system else [payloads.contact(shown, id_, name and (customer.name or name), customer.username)]
        body = payloads.encode(self.envelope(contacts=contacts, messages=[message]))
        if not self.account.receives("messages"):
            return wamid, NO_ANSWER
        answers = await asyncio.gather(*(self.deliver(body, attempts=attempts) for _ in range(times)))
        status = max(status for status, _ in answers)
        if not system:
            self.record(Said(wamid, customer, said, took=status == 200))
        return wamid, status

    async def echo(self, text: str, *, to: str) -> tuple[str, int]:
        """Staff writes to a number in the phone app: the message's id, and the HTTP status.

        https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/smb_message_echoes
        """
        customer, wamid = self.people.of(to), payloads.new_wamid(to, draw=self.draw)
        sender = {"from": self.business_number, "to": to, "to_user_id": customer.user_id}
        message = {**sender, "id": wamid, "timestamp": str(int(self.now())), **payloads.text(text)}
        people = [payloads.contact(customer.shown_number, customer.user_id, customer.name)]
        value = payloads.value(self.business_number, self.phone_number_id, contacts=people, message_echoes=[message])
        field = "smb_message_echoes"
        return wamid, await self.tell(
            payloads.encode(payloads.envelope(value, account=self.account.id, field=field)), field
        )

    def _speaker(self, from_: str | None, user_id: str | None) -> Customer:
        if from_ is not None and user_id is not None:
            return self.people.link(from_, user_id)
        return self.people.of(from_ or user_id or SOMEBODY)

    async def change_user_id(self, customer: Customer) -> int:
        """Meta gives a customer a new BSUID, and delivers that: the HTTP status."""
        old, new = self.people.change_user_id(customer)
        note = payloads.changed_user_id(old, new, customer.shown_number)
        return (await self.say(note, user_id=new, attempts=PERSISTENCE))[1]

    async def change_number(self, customer: Customer, number: str) -> int:
        """A customer changes number, and with it BSUID; Meta delivers that: the HTTP status."""
        old = customer.number or ""
        self.people.move(customer, number)
        _, new = self.people.change_user_id(customer)
        note = payloads.changed_number(old, number, new if self.user_ids else None)
        return (await self.say(note, user_id=new, attempts=PERSISTENCE))[1]

    async def deliver(
        self, payload: Mapping[str, Any] | bytes, signature: str | None = OWN, attempts: int = 1
    ) -> tuple[int, Any]:
        """POST any webhook, signed (`signature` replaces the valid one, None leaves it out): (HTTP status, JSON)."""
        body = payload if isinstance(payload, bytes) else payloads.encode(payload)
        for message in _messages(graph.decoded(body)):
            self.hear(message)
        return await self._caller.deliver(body, signature, attempts, url=self.messages_url)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Note an entry of `messages[]`."""
        self.people.hear(message)

    def envelope(self, **lists: Any) -> payloads.Json:
        """A webhook of this number: `messages`, `statuses`, `contacts`, `errors`."""
        value = payloads.value(self.business_number, self.phone_number_id, **lists)
        return payloads.envelope(value, account=self.account.id)

    async def verify_webhook(self) -> bool:
        """Meta's handshake: whether the webhook returns the challenge for the verify token."""
        return await self._caller.handshake(self.verify_token, _challenge())

    async def prove(self, url: str, verify_token: str) -> None:
        """Raises graph.Refusal unless the webhook at `url` knows the token and answers with the challenge."""
        caller = Caller(url, self.app_secret)
        try:
            if not url.startswith(("http://", "https://")) or not await caller.handshake(verify_token, _challenge()):
                raise graph.Refusal(
                    2200, message="(#2200) Callback verification failed with the following errors: HTTP Status Code = "
                    "403; HTTP Message = Forbidden", http=400,
                )  # fmt: skip
        finally:
            await caller.close()

    async def override(self, whose: str, asked: Mapping[str, Any]) -> None:
        """Set another address for the messages of account or number; ("" or none) the app's. Raises Refusal."""
        url = str(asked.get("override_callback_uri") or "")
        if url:
            await self.prove(url, str(asked.get("verify_token", "")))
        self.account.overrides[whose] = url

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background, until the stand-in stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _challenge() -> str:
    return str(secrets.randbits(31))


def _messages(payload: Any) -> Iterator[Mapping[str, Any]]:
    """Every entry of `messages[]` in a webhook."""
    for entry in parts(payload if isinstance(payload, dict) else {}, "entry"):
        for change in parts(entry, "changes"):
            yield from parts(part(change, "value"), "messages")
