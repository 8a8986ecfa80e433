"""One account's documents in a collection that several accounts share: each document names its account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, Protocol

from wabot.core.history_span import ALWAYS, Span

Documents = list[dict[str, Any]]


class Whole(Protocol):
    """The collection, as MongoArchive offers it. `only`: a condition that documents must meet."""

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]: ...
    async def ping(self) -> None: ...
    async def lacks(self, versions: Mapping[str, int]) -> set[str]: ...
    async def forget(self, names: Sequence[str], keys: Sequence[str], only: Mapping[str, Any] | None) -> int: ...
    async def blank(self, told: Sequence[tuple[str, str]]) -> None: ...
    async def recent(self, names: Sequence[str], key: str, limit: int, only: Mapping[str, Any] | None) -> Documents: ...
    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span,
        only: Mapping[str, Any] | None,
    ) -> Documents: ...
    async def find(
        self, identities: Iterable[str | None], contact: str | None, id_: str, only: Mapping[str, Any] | None
    ) -> dict[str, Any] | None: ...


class MongoAccount:
    """The archive of one account.

    Documents without an account are older. They belong to the account whose number is their `from` or `to`, else to the
    first one: `ours` are its numbers; `others`: those of all other accounts, for the first one only.
    """

    def __init__(
        self,
        whole: Whole,
        account: str,
        *,
        ours: Callable[[], Set[str]],
        others: Callable[[], Set[str]] | None = None,
    ) -> None:
        self._whole, self._account, self._ours, self._others = whole, account, ours, others

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents. Returns position → reason of those that MongoDB refuses."""
        return await self._whole.record([{**document, "account": self._account} for document in documents])

    async def ping(self) -> None:
        """Check whether it answers."""
        await self._whole.ping()

    async def lacks(self, versions: Mapping[str, int]) -> set[str]:
        """Those of the documents (key → version) that are not stored, or only in an earlier version."""
        return await self._whole.lacks(versions)

    async def forget(self, names: Sequence[str], keys: Sequence[str]) -> int:
        """Delete all messages with a person; how many."""
        return await self._whole.forget(names, keys, self._only())

    async def blank(self, told: Sequence[tuple[str, str]]) -> None:
        """Blank words in documents: (key, words)."""
        await self._whole.blank(told)

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]:
        """The latest messages with a contact, newest first."""
        return await self._whole.recent(names, key, limit, self._only())

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
    ) -> list[dict[str, Any]]:
        """The messages with somebody, newest first."""
        return await self._whole.history(identities, contact, limit, include, span=span, only=self._only())

    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None:
        """The message with somebody that has this id."""
        return await self._whole.find(identities, contact, id_, self._only())

    def _only(self) -> Mapping[str, Any]:
        """The condition for documents of this account."""
        if self._others is not None:
            others = sorted(self._others())
            older: dict[str, Any] = {"account": None, "from": {"$nin": others}, "to": {"$nin": others}}
        else:
            ours = sorted(self._ours())
            older = {"account": None, "$or": [{"from": {"$in": ours}}, {"to": {"$in": ours}}]}
        return {"$or": [{"account": self._account}, older]}
