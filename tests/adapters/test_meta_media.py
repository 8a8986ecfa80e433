"""Media at the stand-in for Meta, and the addresses to which no token goes."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from wabot.adapters.media_files import MediaFiles
from wabot.adapters.meta_media import MetaMedia
from wabot.core.exceptions import MediumMissing
from wabot.core.media import Medium
from wabot.sandbox.meta import Meta, serve
from wabot.work.attachments import Located


@pytest.fixture
async def meta() -> Any:
    stand_in = Meta(receipt_delay=0.0)
    runner, stand_in.served_at = await serve(stand_in)  # type: ignore[attr-defined]
    yield stand_in
    await runner.cleanup()


@pytest.fixture
async def library(meta: Any) -> Any:
    async with aiohttp.ClientSession() as session:
        yield MetaMedia(
            session,
            graph_api_base=f"{meta.served_at}/v26.0",
            phone_number_id=meta.phone_number_id,
            access_token=meta.access_token,
        )


async def test_a_medium_is_looked_up_and_downloaded_with_the_token(library: MetaMedia, meta: Any) -> None:
    kept = meta.media.keep(b"jpeg", "image/jpeg")
    located = await library.look_up(Medium(kept.id, "image", "image/jpeg"))
    assert (located.size, located.sha256) == (4, kept.sha256)
    assert await library.download(located, 4) == b"jpeg"
    with pytest.raises(MediumMissing, match="more than 3 bytes"):
        await library.download(located, 3)


async def test_what_meta_does_not_have_is_missing(library: MetaMedia) -> None:
    with pytest.raises(MediumMissing, match="HTTP 400"):
        await library.look_up(Medium("12345", "image", "image/jpeg"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x",
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://user@lookaside.fbsbx.com/x",
        "https://fbsbx.com@example.com/x",
        "https://evilfbsbx.com/x",
        "https://fbsbx.com.example.com/x",
        "https://example.com\\@lookaside.fbsbx.com/x",
        "file:///etc/passwd",
        "//lookaside.fbsbx.com/x",
        "",
        "http://127.0.0.1:9/x",
        "http://[",
    ],
)
async def test_the_token_goes_to_no_other_host(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aiohttp.ClientSession() as session:
        monkeypatch.setattr(session, "get", lambda *_, **__: pytest.fail("asked"))
        library = MetaMedia(
            session, graph_api_base="https://graph.example/v26.0", phone_number_id="1", access_token="t"
        )
        with pytest.raises(MediumMissing, match="address"):
            await library.download(Located(url, 1, ""), 1)


@pytest.mark.parametrize("host", ["lookaside.fbsbx.com", "scontent.xx.fbcdn.net", "mmg.whatsapp.net", "graph.example"])
async def test_metas_hosts_and_that_of_graph_are_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(url: Any, **_: Any) -> Any:
        asked.append(url.host)
        raise TimeoutError

    async with aiohttp.ClientSession() as session:
        monkeypatch.setattr(session, "get", get)
        library = MetaMedia(
            session, graph_api_base="https://graph.example/v26.0", phone_number_id="1", access_token="t"
        )
        with pytest.raises(MediumMissing, match="no answer"):
            await library.download(Located(f"https://{host}/x?hash=1", 1, ""), 1)
    assert asked == [host]


def test_a_kept_file_is_ours_alone(tmp_path: Path) -> None:
    MediaFiles(tmp_path / "media").keep(3, Medium("75", "image", "image/png"), b"png")
    (file,) = (tmp_path / "media").iterdir()
    assert (file.name, file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == ("3-75.png", b"png", 0o600)
