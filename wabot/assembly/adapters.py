"""The clients of other systems: Meta, the model, MongoDB. Production has these; a simulation provides its own."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Protocol

import aiohttp

from wabot.adapters.whatsapp import WhatsApp
from wabot.doctor.doctor import Doctor, Surroundings
from wabot.journal.inspection import inspect
from wabot.monitor.problem_sources import Watch
from wabot.settings.loading import Settings
from wabot.work.reply import Assistant
from wabot.work.send import Graph


class Adapters(Protocol):
    """The clients that a service needs, made from its settings. `archive`: None if the journal is the archive."""

    @property
    def archive(self) -> Any: ...
    def whatsapp(self, settings: Settings) -> Graph: ...
    async def assistant(self, settings: Settings) -> Assistant: ...
    def doctor(self, settings: Settings, watch: Watch) -> Doctor: ...


class Clients:
    """The real clients. All share one HTTP session; `stack` closes them."""

    def __init__(self, session: aiohttp.ClientSession, archive: Any, stack: AsyncExitStack) -> None:
        self.archive = archive
        self._session, self._stack = session, stack

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack) -> Clients:
        """The clients for these settings."""
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        return cls(session, await mongo(settings, stack), stack)

    def whatsapp(self, settings: Settings) -> Graph:
        """The client of the messages endpoint."""
        meta = settings.whatsapp
        return WhatsApp(
            self._session,
            graph_api_base=meta.graph_api_base,
            phone_number_id=meta.phone_number_id,
            access_token=meta.access_token.get_secret_value(),
        )

    async def assistant(self, settings: Settings) -> Assistant:
        """The configured model."""
        return await assistant(settings, self._session, self._stack)

    def doctor(self, settings: Settings, watch: Watch) -> Doctor:
        """The doctor within the service: it does not read the whole journal and does not call the model."""
        data_dir = settings.server.data_dir
        around = Surroundings(
            self._session,
            journal=lambda: asyncio.to_thread(inspect, data_dir, whole=False),
            archive=self.archive,
            assistant=None,
            model=watch.last_answer,
        )
        return Doctor(settings, around, clock=time.time)


async def assistant(settings: Settings, session: aiohttp.ClientSession, stack: AsyncExitStack) -> Assistant:
    """The configured model. Only its own module is imported: Google's package costs half a second and 64 MB."""
    chosen = settings.assistant
    if chosen.provider == "gemini":
        from wabot.adapters.gemini import Gemini  # noqa: PLC0415

        gemini = Gemini(
            api_key=chosen.api_key.get_secret_value(),
            model=chosen.model,
            base_url=chosen.base_url,
            timeout_seconds=chosen.timeout_seconds,
            threads=settings.delivery.concurrency,
        )
        stack.push_async_callback(gemini.close)
        return gemini
    if chosen.provider == "openai":
        from wabot.adapters.openai import OpenAI  # noqa: PLC0415

        return OpenAI(
            session,
            base_url=chosen.base_url,
            api_key=chosen.api_key.get_secret_value(),
            model=chosen.model,
            timeout_seconds=chosen.timeout_seconds,
        )
    from wabot.adapters.canned import Canned  # noqa: PLC0415

    return Canned()


async def mongo(settings: Settings, stack: AsyncExitStack) -> Any:
    """MongoDB, or None if the journal is the archive."""
    uri = settings.mongo.uri.get_secret_value()
    if not uri:
        return None
    from wabot.adapters.mongo import MongoArchive  # noqa: PLC0415

    archive = MongoArchive(uri, database=settings.mongo.database, collection=settings.mongo.collection)
    stack.push_async_callback(archive.close)
    return archive
