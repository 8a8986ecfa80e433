"""The routes of the phone's page. They take only requests of this page, from this machine.

GET /                                   the page
GET /phone/state                        everything that it shows
GET /phone/live                         what changes, as server-sent events
POST /phone/person {"name", "hidden"}   a new customer, with or without a visible number
POST /phone/say {"who", "text" | "tap": {"of", "title"} | "reaction": {"of", "emoji"}, "reply_to"?}
    or a form with "who", "file" and "text"
POST /phone/trouble {"meta" | "code" | "receipts" | "delivery" | "model"}   and /phone/mend
POST /phone/kill, /phone/day            kill -9 and restart; 24 hours pass
POST /phone/replay {"number"}           the same webhook or call once more
"""

from __future__ import annotations

import asyncio
import email.utils
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from wabot.core.direct_request import is_direct, is_from_elsewhere
from wabot.sandbox import errors, payloads
from wabot.sandbox.graph import answered
from wabot.sandbox.meta import Meta
from wabot.sandbox.people import Customer
from wabot.sandbox.phone import model
from wabot.sandbox.phone.talks import Talk, Talks
from wabot.sandbox.phone.trouble import LATE_SECONDS, Trouble
from wabot.sandbox.phone.wabot_process import WabotProcess
from wabot.sandbox.phone.wire import Exchange, Wire

ASSETS = Path(__file__).parent / "assets"
DAY, START_SECONDS = 86400.0, 5.0
PATIENT = 400
"""How often a customer's message is delivered until wabot takes it: some minutes, in which it may be dead."""
FIRST = ("919876500100", "Ana")
"""The customer who is there at the start."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
        " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PhonePage:
    """The page, with all that it shows and changes."""

    def __init__(self, meta: Meta, process: WabotProcess) -> None:
        self.meta, self.process = meta, process
        self.talks, self.wire, self.trouble = Talks(meta), Wire(), Trouble()
        self._listening: set[asyncio.Queue[dict[str, Any]]] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._delivered = 0
        self.talks.on_news = lambda talk: self._tell({"talk": self.talks.shown(talk)})
        self.wire.on_news = self._exchanged
        process.on_change = lambda: self._tell({"process": process.shown()})
        meta.observe_webhooks(self.wire.webhook)
        number, name = FIRST
        meta.people.of(number).name = name
        self.talks.of(meta.people.of(number))

    def add_routes(self, app: web.Application) -> None:
        """Add the routes above, and watch what goes over the wire."""
        app.middlewares.extend([self.wire.graph, self._as_meta])
        app.router.add_static("/phone/assets", ASSETS)
        app.router.add_routes(
            [
                model.route(self.trouble),
                web.get("/", self._guarded(self._page)),
                web.get("/phone/state", self._guarded(self._state)),
                web.get("/phone/live", self._guarded(self._live)),
                web.get("/phone/media/{id}", self._guarded(self._media)),
                web.post("/phone/person", self._guarded(self._person)),
                web.post("/phone/say", self._guarded(self._say)),
                web.post("/phone/trouble", self._guarded(self._make_trouble)),
                web.post("/phone/mend", self._guarded(self._mend)),
                web.post("/phone/kill", self._guarded(self._kill)),
                web.post("/phone/day", self._guarded(self._day)),
                web.post("/phone/replay", self._guarded(self._replay)),
            ]
        )
        app.on_shutdown.append(self._close)

    # --- what the page shows ---

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(ASSETS / "phone.html", headers=HEADERS)

    async def _state(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "talks": self.talks.all(),
                "wire": self.wire.all(),
                "process": self.process.shown(),
                "trouble": self._shown_trouble(),
                "console": f"{self.meta.webhook_url.removesuffix('/webhook')}/console" if self.meta.webhook_url else "",
            }
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listening.add(queue)
        response = EventSourceResponse()
        try:
            await response.prepare(request)
            while response.is_connected():
                await response.send(json.dumps(await queue.get()))
        except ConnectionResetError:  # the page was closed
            pass
        finally:
            self._listening.discard(queue)
            response.stop_streaming()
        return response

    async def _media(self, request: web.Request) -> web.StreamResponse:
        kept = self.meta.media.get(request.match_info["id"])
        if kept is None or not kept.mime_type.startswith(("image/", "audio/")) or "svg" in kept.mime_type:
            raise web.HTTPNotFound
        return web.Response(body=kept.content, content_type=kept.mime_type.partition(";")[0], headers=HEADERS)

    # --- what it does ---

    async def _person(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        name = str(asked.get("name") or "").strip()[:60] or None
        customer = self.meta.people.newcomer(name, hidden=bool(asked.get("hidden")))
        talk = self.talks.of(customer)
        self._tell({"talk": self.talks.shown(talk)})
        return web.json_response({"who": customer.user_id})

    async def _say(self, request: web.Request) -> web.StreamResponse:
        content: bytes | None = None
        if request.content_type == "multipart/form-data":
            asked: Mapping[str, Any] = await request.post()
            file = asked["file"]
            assert isinstance(file, web.FileField)  # noqa: S101
            content = file.file.read()
            said: payloads.Json | None = _file(file.content_type, str(asked.get("text", "")), file.filename)
        else:
            asked = await request.json()
            said = self._words(asked)
        talk = self.talks.find(str(asked.get("who", "")))
        if talk is None or said is None:
            raise web.HTTPBadRequest
        if reply_to := asked.get("reply_to"):
            said = {**said, "context": {"from": self.meta.business_number, "id": str(reply_to)}}
        self._spawn(self._deliver(talk, said, content))
        return web.json_response({})

    def _words(self, asked: Mapping[str, Any]) -> payloads.Json | None:
        if tap := asked.get("tap"):
            talk = self.talks.find(str(asked.get("who", "")))
            payload = talk.payloads.get((str(tap["of"]), str(tap["title"]))) if talk else None
            return payload and {**payload, "context": {"from": self.meta.business_number, "id": str(tap["of"])}}
        if reaction := asked.get("reaction"):
            return payloads.reaction(str(reaction["of"]), str(reaction["emoji"]))
        text = str(asked.get("text", "")).strip()
        return payloads.text(text[:65_536]) if text else None

    async def _deliver(self, talk: Talk, said: payloads.Json, content: bytes | None) -> None:
        """Deliver what a customer says, twice or late if that is the trouble."""
        customer = talk.customer
        wamid = payloads.new_wamid(customer.number or customer.user_id, inbound=True, draw=self.meta.draw)
        if content is not None:
            file = said[str(said["type"])]
            self.meta.media.keep(content, str(file["mime_type"]), id_=str(file["id"]))
        bubble = self.talks.say(talk, wamid, said, media=f"/phone/media/{_id(said)}" if content is not None else "")
        self._delivered += 1
        timestamp = self.meta.now()
        if self.trouble.delivery == "out of order" and self._delivered % 2:
            await asyncio.sleep(LATE_SECONDS)
        _, status = await self.meta.say(
            said, **_sender(customer), name=customer.name, content=content, wamid=wamid, timestamp=timestamp,
            times=2 if self.trouble.delivery == "twice" else 1, attempts=PATIENT,
        )  # fmt: skip
        self.talks.taken(talk, bubble, took=status == 200)

    async def _make_trouble(self, request: web.Request) -> web.StreamResponse:
        try:
            self.trouble.make(await request.json(), self.meta)
        except (TypeError, ValueError, KeyError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        self._tell({"trouble": self._shown_trouble()})
        return web.json_response({})

    async def _mend(self, _: web.Request) -> web.StreamResponse:
        self.trouble.mend(self.meta)
        self._tell({"trouble": self._shown_trouble()})
        return web.json_response({})

    async def _kill(self, _: web.Request) -> web.StreamResponse:
        self._spawn(self.process.kill_and_restart())
        return web.json_response({})

    async def _day(self, _: web.Request) -> web.StreamResponse:
        self._spawn(self.process.let_time_pass(DAY))
        return web.json_response({})

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        exchange = self.wire.find(int((await request.json())["number"]))
        if exchange is None:
            raise web.HTTPNotFound
        if exchange.kind == "webhook":
            await self.meta.deliver(exchange.body)
        else:
            headers = {"Authorization": f"Bearer {self.meta.access_token}", "Content-Type": "application/json"}
            async with aiohttp.ClientSession() as client:
                url = f"{self.meta.media.base}{exchange.path}"
                await client.request(exchange.method, url, data=exchange.body or None, headers=headers)
        return web.json_response({})

    # --- around it ---

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            peer = request.transport.get_extra_info("peername") if request.transport else None
            headers = list(request.headers.items())
            changes = request.method != "GET"
            direct = is_direct(peer[0] if isinstance(peer, tuple) else None, headers)
            if not direct or (changes and is_from_elsewhere(headers)):
                return web.Response(status=403, text="only this page, opened on this machine, may do that")
            return await handler(request)

        return guarded

    @web.middleware
    async def _as_meta(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Meta's answers have Meta's time; while it is away, they say nothing else."""
        graph = request.match_info.route.resource is not None and "{path" in request.match_info.route.resource.canonical
        if graph:  # wabot asks about its webhook before we know its address
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.is_up.wait(), START_SECONDS)
        away = graph and self.trouble.meta == "away"
        response = answered(503, errors.answer(2)) if away else await handler(request)
        if graph and not response.prepared:
            response.headers["Date"] = email.utils.formatdate(self.meta.now(), usegmt=True)
        return response

    def _shown_trouble(self) -> dict[str, Any]:
        trouble = self.trouble
        return {name: getattr(trouble, name) for name in ("meta", "code", "receipts", "delivery", "model")}

    def _exchanged(self, exchange: Exchange) -> None:
        self._tell({"exchange": exchange.shown()})

    def _tell(self, news: dict[str, Any]) -> None:
        for queue in self._listening:
            queue.put_nowait(news)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _close(self, _: web.Application) -> None:
        for task in self._work:
            task.cancel()
        for queue in self._listening:
            queue.put_nowait({"closed": True})


def _sender(customer: Customer) -> dict[str, str]:
    return {"from_": customer.number} if customer.number else {"user_id": customer.user_id}


def _file(mime_type: str, caption: str, filename: str) -> payloads.Json:
    if mime_type.startswith("image/"):
        return payloads.image(caption or None, mime_type=mime_type)
    if mime_type.startswith("audio/"):
        return payloads.audio(mime_type=mime_type)
    return payloads.document(filename, caption or None, mime_type=mime_type)


def _id(said: payloads.Json) -> str:
    return str(said.get(str(said["type"]), {}).get("id", ""))
