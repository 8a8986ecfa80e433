"""On a bad day every page of the console is read in Spanish: nothing of wabot's own is in English."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from tests.console.signed_in import Page, visitor
from tests.console.trouble import EVA, PAGES, bad_day
from wabot.console import texts

OF_OTHERS = re.compile(
    r"<pre.*?</pre>|<option.*?</option>|<p class=\"body\".*?</p>|<span class=\"last\">.*?</span>", re.DOTALL
)
"""What customers and models say, what Meta is asked and answers, and its templates."""
SHOWN = re.compile(r'(?:aria-label|placeholder|title|alt|data-confirm|data-too-long|value)="([^"]*)"')


def read(page: Page) -> str:
    """All that a page says, also to a screen reader and in questions."""
    html = OF_OTHERS.sub(" ", page.html)
    said = [*SHOWN.findall(html), re.sub(r"<[^>]+>", " ", html)]
    return " ".join(unescape(" | ".join(said)).split())


def english() -> Iterator[str]:
    """The longest piece without a value of each English text that has three words: of the pages, and of the rest."""
    spanish = texts.read("es")
    for section, entries in texts.read("en").items():
        for key, text in entries.items():
            of_numbers = text.values() if isinstance(text, dict) else [text]
            same = spanish[section][key].values() if isinstance(text, dict) else [spanish[section][key]]
            yield from (_longest(each) for each in of_numbers if each not in same)
    yield from (_longest(pattern) for pattern in texts.known("es"))


def _longest(text: str) -> str:
    return max(re.split(r"\{\w+\}", text), key=len).strip()


async def test_no_page_says_anything_in_english(tmp_path: Path) -> None:
    known = {piece for piece in english() if len(piece.split()) >= 3}
    assert len(known) > 300
    async with bad_day(tmp_path) as b, visitor(b) as v:
        jobs = (await b.get("/outbox")).json["outbox"] + (await b.get("/outbox", params={"kind": "reply"})).json[
            "outbox"
        ]
        batches = (await b.get("/batches")).json["batches"]
        paths = [
            *PAGES,
            *(f"/outbox/{job['outbox_id']}" for job in jobs),
            *(f"/batches/{batch['batch_id']}" for batch in batches),
        ]
        v.session.headers["Accept-Language"] = "es"
        async with asyncio.timeout(30):
            while "archivo" not in (await v.get("/console")).text:  # the broken file was looked at
                await asyncio.sleep(0.1)
        pages = {path: await v.get(f"/console{path}") for path in paths}
        table = "number,1\n+491711234567,Ana\n12,Ben\n"
        template = "order_update/en_US"
        pages |= {
            f"{path} {values}": await v.post(f"/console{path}", values)
            for path, values in (
                ("/batches/new", {"table": table, "template": template}),
                ("/batches/new", {"table": table, "template": template, "send_at": "tomorrow"}),
                ("/batches/new", {"table": 'number,1\n+491711234567,"Ana', "template": template}),
                ("/batches/start", {"table": "", "template": template}),
                ("/batches/nothing/cancel", {}),
                ("/knowledge", {"question": "Do you have tulips?"}),
                (f"/conversations/{EVA}/write", {"text": "too late"}),
                (f"/conversations/{EVA}/pause", {"form_token": "not ours"}),
                (f"/outbox/{jobs[-1]['outbox_id']}/cancel", {}),
                ("/sign-in", {"key": "not-the-key-at-all"}),
            )
        }
    assert len({page.status for page in pages.values()}) > 3
    found = {path: [piece for piece in known if piece in read(page)] for path, page in pages.items()}
    assert {path: pieces for path, pieces in found.items() if pieces} == {}
