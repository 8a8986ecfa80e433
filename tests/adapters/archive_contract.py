"""What every archive promises; MongoDB and the one in memory are both held to it."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

ANA, BEN, OUR_NUMBER = "919216598210", "919876543210", "15550001"


class Archive(Protocol):
    async def record(self, documents: Any) -> dict[int, str]: ...
    async def ping(self) -> None: ...
    async def lacks(self, versions: Any) -> set[str]: ...
    async def forget(self, names: Any, keys: Any) -> int: ...
    async def recent(self, names: Any, key: str, limit: int) -> list[dict[str, Any]]: ...
    async def history(self, identities: Any, contact: Any, limit: int, include: Any) -> list[dict[str, Any]]: ...


def document(key: str, *, at: int = 1_700_000_000, out: bool = False, **more: Any) -> dict[str, Any]:
    """A message as the journal tells it; the wamid is its key unless `id` says otherwise."""
    return {
        "_id": key,
        "id": key,
        "from": OUR_NUMBER if out else ANA,
        "to": ANA if out else OUR_NUMBER,
        "timestamp": str(at),
        "type": "text",
        "body": f"body of {key}",
        "raw": {"type": "text", "text": {"body": f"body of {key}"}},
        "participant_numbers": sorted([ANA, OUR_NUMBER]),
        "direction": "out" if out else "in",
        "origin": "ai" if out else "person",
        "contact": "j-1",
        "status": "sent" if out else "received",
        "status_times": {"sent": at} if out else {},
        "outbox_id": None,
        "error": None,
        "error_code": None,
        "version": 1,
    } | more


def with_ben(key: str, **more: Any) -> dict[str, Any]:
    """A message of somebody else's."""
    others = {"from": BEN, "participant_numbers": sorted([BEN, OUR_NUMBER]), "contact": "j-2"}
    return document(key, **{**others, **more})


class ArchiveContract:
    """For all. A subclass gives the fixture `archive`."""

    async def test_what_was_recorded_is_told(self, archive: Archive) -> None:
        one = document("a")
        assert await archive.record([one]) == {}
        assert await archive.history([ANA], None, 0, ()) == [one]

    async def test_twice_changes_nothing(self, archive: Archive) -> None:
        documents = [document("a"), document("b", at=1_700_000_001, out=True)]
        await archive.record(documents)
        before = await archive.history([ANA], None, 0, ())
        assert await archive.record(documents) == {}
        assert await archive.history([ANA], None, 0, ()) == before

    async def test_a_newer_version_takes_the_place_of_the_older(self, archive: Archive) -> None:
        await archive.record([document("a", out=True, id=None, status="queued")])
        await archive.record([document("a", out=True, id="wamid.a", status="delivered", status_times={"sent": 1})])
        (told,) = await archive.history([ANA], None, 0, ())
        assert (told["id"], told["status"], told["status_times"]) == ("wamid.a", "delivered", {"sent": 1})

    async def test_history_is_newest_first_and_has_an_end(self, archive: Archive) -> None:
        await archive.record([document(key, at=at) for key, at in (("b", 1002), ("a", 1001), ("d", 1003), ("c", 1003))])
        assert [told["_id"] for told in await archive.history([ANA], None, 0, ())] == ["d", "c", "b", "a"]
        assert [told["_id"] for told in await archive.history([ANA], None, 3, ())] == ["d", "c", "b"]

    async def test_nobody_sees_what_others_said(self, archive: Archive) -> None:
        await archive.record([document("a"), with_ben("b")])
        assert [told["_id"] for told in await archive.history([BEN], None, 0, ())] == ["b"]
        assert [told["_id"] for told in await archive.history([BEN], "j-1", 0, ())] in (["a", "b"], ["b", "a"])
        assert await archive.history(["4911"], None, 0, ()) == []
        assert await archive.history([None], None, 0, ()) == []

    async def test_a_person_is_found_by_every_name_and_by_our_own_key(self, archive: Archive) -> None:
        await archive.record([document("a"), document("b", participant_numbers=["IN.1", OUR_NUMBER], at=1)])
        assert [told["_id"] for told in await archive.history([ANA, "IN.1"], None, 0, ())] == ["a", "b"]
        assert [told["_id"] for told in await archive.history([], "j-1", 0, ())] == ["a", "b"]

    async def test_what_meta_never_took_is_told_to_who_asks_for_it(self, archive: Archive) -> None:
        await archive.record(
            [
                document("a", at=4),
                document("b", at=3, out=True, id=None, status="queued"),
                document("c", at=2, out=True, id=None, status="failed"),
                document("d", at=1, out=True, status="failed"),
            ]
        )

        async def told(*include: str) -> list[str]:
            return [told["_id"] for told in await archive.history([ANA], None, 0, include)]

        assert await told() == ["a", "d"]
        assert await told("queued") == ["a", "b", "d"]
        assert await told("failed") == ["a", "c", "d"]
        assert await told("queued", "failed") == ["a", "b", "c", "d"]

    async def test_recent_is_what_a_reply_needs(self, archive: Archive) -> None:
        await archive.record([document("a", at=1), document("b", at=2, out=True), with_ben("c", at=3)])
        told = await archive.recent([ANA], "j-1", 10)
        assert [(m["id"], m["direction"], m["origin"], m["body"]) for m in told] == [
            ("b", "out", "ai", "body of b"),
            ("a", "in", "person", "body of a"),
        ]
        assert [m["id"] for m in await archive.recent([ANA], "j-1", 1)] == ["b"]

    @pytest.mark.parametrize(
        ("asked", "lacking"),
        [
            ({"a": 1}, set()),
            ({"a": 2, "b": 2, "c": 1}, {"b", "c"}),
            ({"a": 9, "old": 9}, {"a"}),
            ({}, set()),
        ],
    )
    async def test_it_knows_what_it_lacks(self, archive: Archive, asked: dict[str, int], lacking: set[str]) -> None:
        """A document without a version is an earlier wabot's, and whole."""
        old = document("old")
        del old["version"]
        await archive.record([document("a", version=2), document("b", version=1), old])
        assert await archive.lacks(asked) == lacking

    async def test_who_is_forgotten_is_gone_and_nobody_else(self, archive: Archive) -> None:
        theirs = [document("a"), document("moved", **{"from": BEN, "participant_numbers": [BEN, OUR_NUMBER]})]
        former = document("b", participant_numbers=[ANA, "IN.former", OUR_NUMBER], contact="j-9")
        await archive.record([*theirs, former, with_ben("c")])
        assert await archive.forget([ANA], ["j-1"]) == 2
        assert await archive.forget([ANA], ["j-1"]) == 0
        left = await archive.history([ANA, BEN], None, 0, ())
        assert {found["_id"] for found in left} == {"b", "c"}

    async def test_words_of_who_is_forgotten_are_blanked_in_documents_about_others(self, archive: Archive) -> None:
        who = {"template": {"components": [{"parameters": [{"text": "Ana (+919216598210), Ben"}]}]}}
        await archive.record([document("alert", body="Ana (+919216598210), Ben: help", raw=who), with_ben("c")])
        await archive.blank([("alert", "Ana (+919216598210)"), ("not there", "Ana")])
        found = {one["_id"]: one for one in await archive.history([ANA, BEN], None, 0, ())}
        assert found["alert"]["body"] == "…, Ben: help"
        assert "…, Ben" in str(found["alert"]["raw"])
        assert "Ana" not in str(found["alert"]["raw"])
