"""A day on which every word that comes from outside tries to be HTML."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from tests.business import ANA, BEN, EVA, Business, business
from tests.process import served
from tests.stand_ins import OpenAIStandIn
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import error

SHORT = 'a"><evil on=1>'
"""As long as the title of a button may be, and a language."""
LANGUAGE = f"en{SHORT}"


def evil(source: str) -> str:
    """The words of a source: out of an attribute, into an element that loads and runs something."""
    return f"{source}\"'><evil on=1><img src=x onerror=window.hurt=1><script>window.hurt=1<\\script>{{{{7*7}}}}"


SOURCES = ("name", "text", "caption", "filename", "kind", "button", "template", "body", "meta", "column",
           "cell", "number", "endpoint", "file", "heading", "passage", "question", "answer", "setting",
           "search")  # fmt: skip
PAGES = (
    "", "/conversations", f"/conversations?search={quote(evil('search'))}", f"/conversations/{ANA}",
    f"/conversations/{BEN}", f"/conversations/{EVA}", "/outbox?view=all", "/outbox", "/batches", "/batches/new",
    "/knowledge", "/setup", "/events",
    *(f"{path}{quote(evil('asked'))}" for path in (
        "?done=", "?account=", "/conversations?cursor=", "/conversations/", f"/conversations/{ANA}?reply_to=",
        f"/conversations/{ANA}?before=", f"/conversations/{EVA}?template=", "/outbox?view=", "/outbox?batch=",
        "/outbox?cursor=", "/outbox/", "/batches/", "/batches?cursor=", "/events?state=", "/events?cursor=",
        "/nothing/", "/language?to=es&next=",
    )),
)  # fmt: skip
TABLE = (
    f'number,"{evil("column").replace(chr(34), chr(34) * 2)}"\n+{EVA},"{evil("cell").replace(chr(34), chr(34) * 2)}"\n'
)
"""A table for a batch, with double quotation marks as CSV has them."""


def template_of(b: Business) -> str:
    """What the form calls the template."""
    return f"{evil('template')}/{LANGUAGE}"


@asynccontextmanager
async def evil_day(place: Path) -> AsyncIterator[Business]:
    """wabot with such words in all that customers, Meta, models, files and settings say."""
    (place / "knowledge").mkdir()
    text = f"# {evil('heading')}\n\n{evil('passage')}\n\n" * 400
    (place / "knowledge" / f"{evil('file')}.md").write_text(text, "utf-8")
    model = OpenAIStandIn(f"{evil('answer')}\n[[buttons: {SHORT} | b]]")
    async with served(model.app()) as url:
        sections = {
            "whatsapp": {"business_account_id": "200000000000002"},
            "assistant": {
                "provider": "openai", "model": "m", "api_key": "k", "base_url": url,
                "knowledge_dir": place / "knowledge", "fallback_text": evil("setting"),
            },
            "first_contact": {"answer": "ai"},
        }  # fmt: skip
        endpoint = {
            "url": f"http://127.0.0.1:9/{evil('endpoint').replace(' ', '/')}",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        }
        async with business(place / "data", events=[endpoint], **sections) as b:
            await _happen(b)
            yield b


async def _happen(b: Business) -> None:
    b.meta.templates.add(evil("template"), LANGUAGE, "UTILITY", [
        {"type": "BODY", "text": f"{evil('body').replace('{{7*7}}', '')} {{{{1}}}}"},
    ])  # fmt: skip
    b.meta.behaviour.always(EVA, error(131026, details=evil("meta")))
    name = evil("name")
    await b.meta.say(evil("text"), from_=ANA, name=name)
    await b.meta.say(payloads.image(evil("caption")), from_=ANA, name=name, content=b"x")
    await b.meta.say(payloads.document(evil("filename")), from_=ANA, name=name, content=b"x")
    await b.meta.say(payloads.button_reply("1", evil("button")), from_=ANA, name=name)
    await b.meta.say({"type": evil("kind"), evil("kind"): {"id": evil("media")}}, from_=ANA, name=name)
    await b.meta.say("agent", from_=BEN, name=name)
    await b.post(f"/contacts/{BEN}/pause", {"reason": evil("reason")})
    components = [{"type": "body", "parameters": [{"type": "text", "text": evil("parameter")}]}]
    template = {"name": evil("template"), "language": LANGUAGE, "components": components}
    await b.post("/messages", {"number": EVA, "template": template})
    await b.post("/initiate-bulk", {"numbers": [EVA, evil("number")], "template": template})
    async with asyncio.timeout(20):
        while not [each for each in b.meta.sent if each.to == ANA]:
            await asyncio.sleep(0.02)
