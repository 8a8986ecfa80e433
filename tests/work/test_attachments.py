"""Media in memory: never more than there is room for, whoever asks for how much."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.exceptions import MediumMissing
from wabot.core.media import Medium
from wabot.work.attachments import MOST_MEDIA, Attachments, Located, Room


class Library:
    """Meta with files of `sizes` bytes by id; counts the bytes that are in memory."""

    def __init__(self, **sizes: int | None) -> None:
        self.sizes = sizes
        self.downloaded: list[str] = []

    async def look_up(self, medium: Medium) -> Located:
        if medium.id not in self.sizes:
            raise MediumMissing("Meta answered HTTP 404")
        return Located(medium.id, self.sizes[medium.id], "")

    async def download(self, located: Located, largest: int) -> bytes:
        self.downloaded.append(located.url)
        return b"x" * largest


def asked(*ids: str) -> Prompt:
    return Prompt("", (Turn(Role.USER, "Look", tuple(Medium(id_, "image", "image/png") for id_ in ids)),))


async def had(attachments: Attachments, prompt: Prompt) -> list[str]:
    async with attachments.of(prompt) as shown:
        return [medium.id for turn in shown.turns for medium in turn.media]


async def test_others_wait_until_there_is_room_again_in_their_order() -> None:
    library, room = Library(a=20, b=20, c=5), Room(32)
    attachments = Attachments(library, room, largest=30)
    async with attachments.of(asked("a")):
        waiting = [asyncio.create_task(had(attachments, asked(id_))) for id_ in "bc"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert library.downloaded == ["a"], "c would fit, but b came first"
    assert await asyncio.gather(*waiting) == [["b"], ["c"]]
    async with room.of(32):
        pass


@pytest.mark.parametrize("granted", [False, True])
async def test_whoever_gives_up_while_waiting_leaves_no_hole(granted: bool) -> None:
    room = Room(10)

    async def need(size: int) -> None:
        async with room.of(size):
            await asyncio.sleep(0)

    async with room.of(8):
        waiting, after = asyncio.create_task(need(9)), asyncio.create_task(need(2))
        await asyncio.sleep(0.01)
        if not granted:
            waiting.cancel()
            await asyncio.wait_for(after, 1)
    if granted:
        waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await after
    async with asyncio.timeout(1), room.of(10):
        pass


async def test_a_file_that_is_too_large_or_gone_is_a_note_and_the_newest_come_first() -> None:
    library = Library(a=8, b=31, c=20, d=None)
    attachments = Attachments(library, Room(32), largest=24)
    assert await had(attachments, asked("a", "b", "c", "gone")) == ["a", "c"]
    assert await had(attachments, asked("a", "c", "d")) == ["a", "d"], "of unknown size: as large as may be"
    async with attachments.of(asked("gone")) as shown:
        assert shown.turns[0].text == "Look\n[image: not available to you]"


async def test_only_the_newest_are_asked_for() -> None:
    names = [f"m{number}" for number in range(MOST_MEDIA + 5)]
    library = Library(**dict.fromkeys(names, 1))
    assert await had(Attachments(library, Room(32), largest=24), asked(*names)) == names[5:]
    assert len(library.downloaded) == MOST_MEDIA
