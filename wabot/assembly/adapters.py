"""The clients of other systems: Meta, the model, MongoDB. Production has these; a simulation provides its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol

import aiohttp

from wabot.adapters.graph_api import GraphApi
from wabot.adapters.media_files import MediaFiles
from wabot.adapters.meta_media import MetaMedia
from wabot.adapters.signed_post import SignedPost
from wabot.adapters.template_reading import read_templates
from wabot.adapters.whatsapp import WhatsApp
from wabot.core.media import FOLDER
from wabot.core.model_answers import ModelName
from wabot.core.tools import Tool
from wabot.doctor.doctor import Doctor, Surroundings
from wabot.journal.inspection import inspect
from wabot.monitor.problem_sources import Watch
from wabot.settings.loading import Settings
from wabot.settings.sections import ModelSettings
from wabot.template_list import TemplateList
from wabot.work.attachments import Attachments, Room
from wabot.work.media_keeper import Journal, MediaKeeper
from wabot.work.models import Model, RankedModel
from wabot.work.tool_calls import Tools


class Adapters(Protocol):
    """The clients that a service needs, made from its settings."""

    def archive(self, name: str, numbers: Callable[[], Set[str]]) -> Any:
        """The archive of the account of this name, which has these numbers; None if the journal is the archive."""

    def whatsapp(self, settings: Settings) -> WhatsApp: ...
    def templates(self, settings: Settings) -> TemplateList: ...
    async def models(self, settings: Settings) -> Sequence[RankedModel]: ...
    def tools(self, settings: Settings) -> Tools | None: ...
    def attachments(self, settings: Settings) -> Attachments | None: ...
    def media_keeper(self, settings: Settings, journal: Journal, clock: Callable[[], float]) -> MediaKeeper | None: ...
    def signed_post(self) -> SignedPost: ...
    def doctor(self, settings: Settings, watch: Watch, on_limit: Callable[[float, str], None]) -> Doctor: ...


class Clients:
    """The real clients. All accounts share one HTTP session, one archive, and one model if they have the same settings.

    `stack` closes them.
    """

    def __init__(
        self, accounts: Mapping[str, Settings], session: aiohttp.ClientSession, archive: Any, stack: AsyncExitStack
    ) -> None:
        self._accounts, self._session, self._archive, self._stack = accounts, session, archive, stack
        self._room = Room()
        self._models: list[tuple[ModelSettings, Model]] = []
        self._numbers: dict[str, Callable[[], Set[str]]] = {}
        self._templates: dict[tuple[str, str, str], TemplateList] = {}

    @classmethod
    async def open(cls, accounts: Mapping[str, Settings], stack: AsyncExitStack, *, archive: bool = True) -> Clients:
        """The clients for the accounts with these settings; `archive`: that of MongoDB, too."""
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        opened = await mongo(next(iter(accounts.values())), stack) if archive else None
        return cls(accounts, session, opened, stack)

    def archive(self, name: str, numbers: Callable[[], Set[str]]) -> Any:
        """The part of the archive that belongs to an account; all of it, if there is only one."""
        self._numbers[name] = numbers
        if self._archive is None or len(self._accounts) == 1:
            return self._archive
        from wabot.adapters.mongo_account import MongoAccount  # noqa: PLC0415

        first = name == next(iter(self._accounts))
        return MongoAccount(self._archive, name, ours=numbers, others=partial(self._others, name) if first else None)

    def _others(self, name: str) -> Set[str]:
        return {number for other, numbers in self._numbers.items() if other != name for number in numbers()}

    def whatsapp(self, settings: Settings) -> WhatsApp:
        """The client of the messages endpoint."""
        meta = settings.whatsapp
        return WhatsApp(
            self._session,
            graph_api_base=meta.graph_api_base,
            phone_number_id=meta.phone_number_id,
            access_token=meta.access_token.get_secret_value(),
        )

    def templates(self, settings: Settings) -> TemplateList:
        """The templates of an account's WABA, shared by all accounts that ask for it with the same token."""
        meta = settings.whatsapp
        waba, token = meta.business_account_id, meta.access_token.get_secret_value()
        place = (meta.graph_api_base, waba, token)
        if place not in self._templates:
            graph = GraphApi(self._session, base=meta.graph_api_base, access_token=token)
            ask = partial(read_templates, graph, waba) if waba else None
            self._templates[place] = TemplateList(ask, clock=time.time)
        return self._templates[place]

    async def models(self, settings: Settings) -> Sequence[RankedModel]:
        """The configured models, in the order in which they are asked."""
        return [RankedModel(name, one.timeout_seconds, self._model(one)) for name, one in ranked(settings).items()]

    def _model(self, chosen: ModelSettings) -> Model:
        """A model, which all accounts share that have it in their settings."""
        for same, known in self._models:
            if same == chosen:
                return known
        accounts = self._accounts.values()
        sharers = [one.delivery.concurrency for one in accounts if chosen in ranked(one).values()]
        made = model(chosen, self._session, self._stack, threads=sum(sharers))
        self._models.append((chosen, made))
        return made

    def tools(self, settings: Settings) -> Tools | None:
        """The owner's tools; None if there are none."""
        if not settings.assistant.tools:
            return None
        from wabot.adapters.owner_tools import Endpoint, OwnerTools  # noqa: PLC0415  its library costs memory

        endpoints = [
            Endpoint(
                Tool(tool.name, tool.description, tool.parameters),
                tool.url,
                tool.secret.get_secret_value(),
                tool.timeout_seconds,
            )
            for tool in settings.assistant.tools
        ]
        return OwnerTools(endpoints, self.signed_post(), clock=time.time)

    def signed_post(self) -> SignedPost:
        """What posts to the owner's programs."""
        return SignedPost(self._session)

    def attachments(self, settings: Settings) -> Attachments | None:
        """The media of prompts; None if no model gets them."""
        for_model = settings.assistant.media and any(one.provider != "canned" for one in ranked(settings).values())
        return Attachments(self._media(settings), self._room, largest=_largest(settings)) if for_model else None

    def media_keeper(self, settings: Settings, journal: Journal, clock: Callable[[], float]) -> MediaKeeper | None:
        """What keeps the media that come in; None if the owner does not want that."""
        if not settings.media.keep:
            return None
        files = MediaFiles(settings.server.data_dir / FOLDER)
        library, largest = self._media(settings), _largest(settings)
        return MediaKeeper(journal, library, self._room, files, largest=largest, clock=clock)

    def _media(self, settings: Settings) -> MetaMedia:
        meta = settings.whatsapp
        return MetaMedia(
            self._session,
            graph_api_base=meta.graph_api_base,
            phone_number_id=meta.phone_number_id,
            access_token=meta.access_token.get_secret_value(),
        )

    def doctor(self, settings: Settings, watch: Watch, on_limit: Callable[[float, str], None]) -> Doctor:
        """The doctor within the service: it does not read the whole journal and does not call the model.

        `on_limit`: called with the messaging limit and the id of the portfolio when Meta names them.
        """
        data_dir = settings.server.data_dir
        around = Surroundings(
            self._session,
            journal=lambda: asyncio.to_thread(inspect, data_dir, whole=False),
            archive=self._archive,
            models=None,
            model=watch.last_answer,
            on_limit=on_limit,
        )
        return Doctor(settings, around, clock=time.time)


def _largest(settings: Settings) -> int:
    """Bytes of one medium at most."""
    return int(settings.media.max_megabytes * 1024 * 1024)


def ranked(settings: Settings) -> dict[ModelName, ModelSettings]:
    """The settings of the models, in the order in which they are asked."""
    chosen = settings.assistant
    return {
        ModelName(one.provider, one.model, setting): one
        for setting, one in [
            ("assistant", chosen.first_model),
            *((f"assistant.fallbacks[{index}]", one) for index, one in enumerate(chosen.fallbacks)),
        ]
    }


def models(settings: Settings, session: aiohttp.ClientSession, stack: AsyncExitStack) -> dict[ModelName, Model]:
    """All configured models, for one request each."""
    return {name: model(one, session, stack) for name, one in ranked(settings).items()}


def model(chosen: ModelSettings, session: aiohttp.ClientSession, stack: AsyncExitStack, *, threads: int = 1) -> Model:
    """A model. `threads`: the most requests at a time, for a client that blocks.

    Only its own module is imported: Google's package costs half a second and 64 MB.
    """
    if chosen.provider == "gemini":
        from wabot.adapters.gemini import Gemini  # noqa: PLC0415

        gemini = Gemini(
            api_key=chosen.api_key.get_secret_value(),
            model=chosen.model,
            base_url=chosen.base_url,
            timeout_seconds=chosen.timeout_seconds,
            threads=threads,
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
