"""A stand-in for Meta's WhatsApp Cloud API over real sockets: takes sends, tells receipts, delivers inbound messages.

It answers as Meta does, by the rules of `checks` and the words of `errors`; what it does with a good send is decided by
its `Behaviour`. Everything is recorded, and `until` waits for what shall happen.
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

from wabot.core.messages import Person, Receipt, Status, is_bsuid
from wabot.sandbox import checks, control, errors, payloads
from wabot.sandbox.behaviour import Answer, Behaviour, Receipts, error
from wabot.sandbox.caller import OWN, Caller
from wabot.sandbox.ledger import Ledger, Seen, Sent

SOMEBODY = "919876500100"
"""Who says something if nobody is named."""

PERSISTENCE = 5
"""How often a webhook is called at the most until it answers 200; Meta goes on for 7 days."""


class Meta(Ledger):
    """The stand-in. Settings may be changed at any time; `webhook_url` None: nobody is told anything.

    `receipts`: whether any are told; `receipt_delay`: seconds before each. `templates`: those that are approved
    (name, language → how many parameters); None: all that one could name.
    """

    def __init__(
        self,
        *,
        access_token: str = "sandbox-token",  # noqa: S107
        phone_number_id: str = "100000000000001",
        business_number: str = "15550001111",
        app_secret: str = "sandbox-secret",  # noqa: S107
        verify_token: str = "sandbox-verify",  # noqa: S107
        webhook_url: str | None = None,
        behaviour: Behaviour | None = None,
        templates: checks.Templates | None = None,
        receipts: bool = True,
        receipt_delay: float = 0.05,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.access_token = access_token
        self.phone_number_id = phone_number_id
        self.business_number = business_number
        self.verify_token = verify_token
        self.behaviour = behaviour or Behaviour()
        self.templates = templates
        self.receipts = receipts
        self.receipt_delay = receipt_delay
        self._clock = clock
        self._caller = Caller(webhook_url, app_secret)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[asyncio.Task[Any]] = set()

    @property
    def webhook_url(self) -> str | None:
        """Where receipts and inbound messages go."""
        return self._caller.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self._caller.url = url

    def app(self) -> web.Application:
        """Graph's routes and the control routes, to be served anywhere."""
        app = web.Application()
        app.router.add_post("/{version}/{phone_number_id}/messages", self._messages)
        control.add_routes(app, self)
        app.router.add_get("/{version}/{phone_number_id}", self._number)
        app.on_shutdown.append(self._let_go)
        app.on_cleanup.append(lambda _: self.close())
        return app

    async def close(self) -> None:
        """Stop telling receipts and close the connections to the webhook; the served app does so by itself."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._caller.close()

    async def _let_go(self, _: web.Application) -> None:
        """Nobody waits for a slow answer when the stand-in goes."""
        for task in self._held:
            task.cancel()

    # --- what the business asks ---

    async def _number(self, request: web.Request) -> web.Response:
        refusal = self._gate(request)
        if refusal is not None:
            return _answered(*refusal)
        facts = {"display_phone_number": self.business_number, "verified_name": "wabot sandbox"}
        return _answered(200, {"id": self.phone_number_id} | facts)

    async def _messages(self, request: web.Request) -> web.Response:
        payload = _json(await request.read())
        refusal = self._gate(request)
        if refusal is not None:
            status, body = refusal
            self._recorded(payload, error(body["error"]["code"], http=status))
            return _answered(status, body)
        complaint = checks.complaint(payload, self.templates)
        if complaint is not None:
            answer = error(complaint.code, details=complaint.details)
            self._recorded(payload, answer)
            return _refusal(answer)
        if "status" in payload:
            return self._mark(payload)
        answer = self.behaviour.answer(checks.address(payload) or "")
        return await self._carry_out(request, self._recorded(payload, answer), answer)

    def _gate(self, request: web.Request) -> tuple[int, payloads.Json] | None:
        """Graph's own refusals, the access token before the object in the path: (HTTP status, body)."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != self.access_token:
            return 401, errors.answer(190 if token else 104, "")
        named = request.match_info["phone_number_id"]
        if named == self.phone_number_id:
            return None
        message = (
            f"Unsupported {request.method.lower()} request. Object with ID '{named}' does not exist, cannot be loaded "
            "due to missing permissions, or does not support this operation."
        )
        return 400, errors.answer(100, "", message=message, subcode=33)

    def _recorded(self, payload: Any, answer: Answer) -> Sent:
        fields: dict[str, Any] = payload if isinstance(payload, dict) else {}
        to, tag = checks.address(fields) or "", fields.get("biz_opaque_callback_data")
        sent = Sent(
            wamid=payloads.new_wamid(to) if answer.accepts else "",
            to=to,
            type=str(fields.get("type", "text")),
            payload=fields,
            tag=tag if isinstance(tag, str) else None,
            at=self._clock(),
            status=answer.status,
            code=answer.code,
        )
        self.record(sent)
        return sent

    def _mark(self, payload: Mapping[str, Any]) -> web.Response:
        self.record(Seen(payload["message_id"], typing="typing_indicator" in payload))
        return _answered(200, {"success": True})

    async def _carry_out(self, request: web.Request, sent: Sent, answer: Answer) -> web.Response:
        """Answer a good send, or not, as the behaviour wants it."""
        plan = answer.receipts or self.behaviour.receipts
        follows = answer.accepts and self.receipts and self.webhook_url is not None
        if follows and plan.early:
            await self._tell_receipts(sent, answer, plan)
        elif follows and answer.cut:
            self._spawn(self._tell_receipts(sent, answer, plan))
        if answer.delay:
            await self._pause(answer.delay)
        if follows and not plan.early and not answer.cut:
            self._spawn(self._tell_receipts(sent, answer, plan))
        if answer.cut:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        if answer.code is not None:
            return _refusal(answer)
        if answer.body is not None:
            return web.Response(body=answer.body, status=answer.http, content_type=answer.content_type)
        return self._acceptance(sent, answer)

    def _acceptance(self, sent: Sent, answer: Answer) -> web.Response:
        """Meta's yes: a number comes back as `wa_id`, a BSUID as `user_id`."""
        if is_bsuid(sent.to):
            contact = {"input": sent.to, "user_id": sent.to}
        else:
            contact = {"input": sent.payload["to"], "wa_id": self.behaviour.wa_id(sent.to, answer)}
        body = {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": sent.wamid}]}
        return _answered(answer.http, body)

    async def _pause(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._held.add(task)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._held.discard(task)

    # --- what the webhook is told ---

    async def _tell_receipts(self, sent: Sent, answer: Answer, plan: Receipts) -> None:
        person = Person(bsuid=sent.to) if is_bsuid(sent.to) else Person(wa_id=self.behaviour.wa_id(sent.to, answer))
        for status in reversed(plan.statuses) if plan.reverse else plan.statuses:
            if not plan.early:
                await asyncio.sleep(self.receipt_delay)
            body = payloads.encode(self._receipt(sent, status, person, plan.code))
            for _ in range(plan.times):
                http, _answer = await self._caller.deliver(body, attempts=PERSISTENCE)
                if http == 200:
                    self._told(sent, Status(status), person, plan.code)

    def _receipt(self, sent: Sent, status: str, person: Person, code: int | None) -> payloads.Json:
        """The webhook of one receipt; `contacts` accompanies all but `failed`."""
        entry = payloads.receipt(
            sent.wamid, status, self._clock(), wa_id=person.wa_id, user_id=person.bsuid, tag=sent.tag,
            template=sent.type == "template", code=code,
        )  # fmt: skip
        contacts = [] if status == "failed" else [payloads.contact(person.wa_id, person.bsuid)]
        return self.envelope(statuses=[entry], contacts=contacts)

    def _told(self, sent: Sent, status: Status, person: Person, code: int | None) -> None:
        trouble = errors.in_receipt(code or 131000) if status is Status.FAILED else None
        self.record(Receipt(sent.wamid, status, self._clock(), sent.tag, person, trouble))

    async def say(
        self,
        text: str | Mapping[str, Any] | None = None,
        *,
        from_: str | None = None,
        user_id: str | None = None,
        name: str | None = "Sandy",
        type: str = "text",
        wamid: str | None = None,
        timestamp: float | None = None,
        times: int = 1,
        attempts: int = 1,
        **fields: Any,
    ) -> tuple[str, int]:
        """Somebody says something: `text`, or what `payloads` builds, or `type` and the message's own fields.

        From the number `from_`, the BSUID `user_id`, or both; `times` requests with the same message at once. Gives
        the message's id and the highest HTTP status that came back (0: no answer).
        """
        if from_ is None and user_id is None:
            from_ = SOMEBODY
        said = {**(payloads.text(text) if isinstance(text, str) else text or {"type": type}), **fields}
        wamid = wamid or payloads.new_wamid(from_ or user_id or "", inbound=True)
        message = payloads.inbound(
            said, wamid, self._clock() if timestamp is None else timestamp, from_=from_, user_id=user_id
        )
        contacts = [] if said["type"] == "system" else [payloads.contact(from_, user_id, name)]
        body = payloads.encode(self.envelope(messages=[message], contacts=contacts))
        answers = await asyncio.gather(*(self.deliver(body, attempts=attempts) for _ in range(times)))
        return wamid, max(status for status, _ in answers)

    async def deliver(
        self, payload: Mapping[str, Any] | bytes, signature: str | None = OWN, attempts: int = 1
    ) -> tuple[int, Any]:
        """POST any webhook, signed (`signature` replaces the true one, None leaves it out): (HTTP status, JSON)."""
        body = payload if isinstance(payload, bytes) else payloads.encode(payload)
        return await self._caller.deliver(body, signature, attempts)

    def envelope(self, **lists: Any) -> payloads.Json:
        """A webhook of this number: `messages`, `statuses`, `contacts`, `errors`."""
        return payloads.envelope(payloads.value(self.business_number, self.phone_number_id, **lists))

    async def verify_webhook(self) -> bool:
        """Meta's handshake: whether the webhook returns the challenge to whoever knows the verify token."""
        return await self._caller.handshake(self.verify_token, str(secrets.randbits(31)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(meta: Meta, host: str = "127.0.0.1", port: int = 0) -> tuple[web.AppRunner, str]:
    """Serve the stand-in (port 0: any free one): the runner, whose `cleanup` ends it, and the URL."""
    runner = web.AppRunner(meta.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, f"http://{host}:{runner.addresses[0][1]}"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _answered(status: int, body: payloads.Json, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def _refusal(answer: Answer) -> web.Response:
    headers = {"Retry-After": f"{answer.retry_after:g}"} if answer.retry_after is not None else None
    return _answered(answer.http, errors.answer(answer.code or 1, answer.details), headers)
