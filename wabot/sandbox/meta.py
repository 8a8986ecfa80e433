"""A stand-in for Meta's WhatsApp Cloud API over real sockets: accepts sends, delivers receipts and inbound messages.

It answers as Meta does in November 2026. `graph` parses requests; `sends`, `media`, `library`, `number`, `account` and
`app` answer them; a `Behaviour` decides the result of a valid send; `webhooks` delivers webhooks. Everything is
recorded, and `until` waits for a condition.
https://developers.facebook.com/documentation/business-messaging/whatsapp/overview
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from aiohttp import web

from wabot.core.message_check import Known
from wabot.sandbox import account, app, control, graph, media, number, sends, templates
from wabot.sandbox.account import Account
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.templates import Library
from wabot.sandbox.webhook_caller import Caller
from wabot.sandbox.webhooks import Webhooks

ROUTES: graph.Routes = {
    **sends.ROUTES, **media.ROUTES, **templates.ROUTES, **number.ROUTES, **account.ROUTES, **app.ROUTES,
}  # fmt: skip


class Meta(Webhooks):
    """The stand-in. Settings may be changed at any time; `webhook_url` None: no webhooks are delivered.

    `receipts`: whether receipts are delivered; `receipt_delay`: seconds before each. `window`: where a free text after
    the 24 hours is refused: in a `failed` receipt, in the answer, or (None) nowhere. `user_ids` False: without BSUIDs,
    as before April 2026. `fetch_links`: whether the stand-in requests media that are sent by link. `review_delay`:
    seconds until a new template is approved. `templates` and `account` hold the other settings. `caller`, `clock` and
    `draw` stand for the network, the time and chance: see Webhooks.
    """

    def __init__(
        self,
        *,
        access_token: str = "sandbox-token",  # noqa: S107
        phone_number_id: str = "100000000000001",
        business_account_id: str = "200000000000002",
        business_number: str = "15550001111",
        app_id: str = "400000000000004",
        app_secret: str = "sandbox-secret",  # noqa: S107
        verify_token: str = "sandbox-verify",  # noqa: S107
        webhook_url: str | None = None,
        behaviour: Behaviour | None = None,
        templates: Library | None = None,
        window: Literal["receipt", "answer"] | None = "receipt",
        user_ids: bool = True,
        fetch_links: bool = True,
        receipts: bool = True,
        receipt_delay: float = 0.05,
        review_delay: float = 0.5,
        caller: Caller | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__(
            phone_number_id=phone_number_id,
            account=Account(business_account_id, app_id, business_number),
            app_secret=app_secret,
            verify_token=verify_token,
            webhook_url=webhook_url,
            templates=templates,
            user_ids=user_ids,
            review_delay=review_delay,
            caller=caller,
            clock=clock,
            draw=draw,
        )
        self.access_token = access_token
        self.behaviour = behaviour or Behaviour()
        self.window = window
        self.fetch_links = fetch_links
        self.receipts = receipts
        self.receipt_delay = receipt_delay
        self.on_mended: Callable[[], None] = lambda: None
        self._held: set[asyncio.Task[Any]] = set()

    @property
    def app_token(self) -> str:
        """The app's own access token."""
        return f"{self.account.app_id}|{self.app_secret}"

    @property
    def known(self) -> Known:
        """What sends may refer to."""
        return Known(self.templates.complaint, lambda id_: self.media.get(id_) is not None)

    def served(self, more: Callable[[web.Application], None] = lambda _app: None) -> web.Application:
        """Graph's routes and the control routes, to be served anywhere. `more` adds further ones."""
        served = web.Application(client_max_size=graph.LARGEST)
        control.add_routes(served, self)
        more(served)
        served.router.add_route("*", "/{path:.*}", self.respond)
        served.on_shutdown.append(self._let_go)
        served.on_cleanup.append(lambda _: self.close())
        return served

    async def _let_go(self, _: web.Application) -> None:
        """Cancel slow answers when the stand-in stops."""
        for task in self._held:
            task.cancel()

    # --- requests of the business ---

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """The answer to any request to the Graph API."""
        try:
            call = graph.parse(request)
            try:
                if call.object != "oauth":
                    graph.check_token(call, (self.access_token, self.app_token))
                found = await graph.answer(self, call, ROUTES)
            except graph.Refusal as refusal:
                if (call.method, call.edge) == ("POST", "messages"):
                    await sends.refused_at_the_door(self, call, refusal)
                raise
        except graph.Refusal as refusal:
            return graph.answered(refusal.http, refusal.body)
        return found if isinstance(found, web.StreamResponse) else graph.answered(200, found)

    def kind_of(self, id_: str) -> str:
        """The kind of object that an id in a path names; "" if there is none."""
        fixed = {self.phone_number_id: "number", self.account.id: "account", self.account.app_id: "app", "app": "app"}
        if id_ in fixed:
            return fixed[id_]
        if id_ in ("debug_token", "oauth", "whatsapp_business"):
            return id_
        if id_ in self.media.uploads:
            return "upload"
        return "template" if self.templates.get(id_) else "media" if self.media.get(id_) else ""

    def hear(self, message: Mapping[str, Any]) -> None:
        """Note an entry of `messages[]`; it counts against the number's throughput."""
        super().hear(message)
        self.behaviour.hear()

    def mend(self) -> None:
        """Accept from now on what was refused (`Behaviour.mend`), and call `on_mended`."""
        self.behaviour.mend()
        self.on_mended()

    async def pause(self, seconds: float) -> None:
        """Sleep within a request, or until the stand-in stops."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._held.add(task)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._held.discard(task)

    async def cannot_deliver(self, kind: str, file: Mapping[str, Any]) -> str | None:
        """Why a picture, recording, film or document of a send, by link or id, cannot be delivered; None if it can."""
        link = file.get("link")
        if not link:
            kept = self.media.get(str(file.get("id")))
            return media.unsuitable(kind, kept.mime_type) if kept else None
        if not self.fetch_links:
            return None
        mime_type = await self._caller.type_behind(str(link))
        return "Media file could not be downloaded." if mime_type is None else media.unsuitable(kind, mime_type)


async def serve(
    meta: Meta,
    host: str = "127.0.0.1",
    port: int = 0,
    more: Callable[[web.Application], None] = lambda _app: None,
) -> tuple[web.AppRunner, str]:
    """Serve the stand-in (port 0: any free one): the runner, whose `cleanup` ends it, and the URL.

    `more` adds further routes.
    """
    runner = web.AppRunner(meta.served(more), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    url = f"http://{host}:{runner.addresses[0][1]}"
    meta.media.base = url
    return runner, url
