"""What comes from outside is text on every page, and never HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tests.business import EVA
from tests.console.evil import PAGES, SOURCES, TABLE, evil, evil_day, template_of
from tests.console.signed_in import visitor


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.words += " ".join(value or "" for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def harm(self) -> list[object]:
        """What none of our templates has."""
        return [
            (tag, attributes)
            for tag, attributes in self.elements
            if tag in ("evil", "style", "iframe", "object", "base")
            or any(name.startswith("on") or name == "style" for name in attributes)
            or (tag == "script" and not str(attributes.get("src")).startswith("/console/assets/"))
            or any(
                str(attributes.get(name, "")).startswith(("javascript:", "data:", "//"))
                for name in ("href", "src", "action")
            )
            or attributes.get("src") == "x"
        ]


async def test_what_comes_from_outside_is_text_on_every_page(tmp_path: Path) -> None:
    async with evil_day(tmp_path) as b, visitor(b) as v:
        jobs = (await b.get("/outbox")).json["outbox"]
        batches = (await b.get("/batches")).json["batches"]
        paths = [
            *PAGES, "/setup/checks", *(f"/outbox/{job['outbox_id']}" for job in jobs),
            *(f"/batches/{batch['batch_id']}" for batch in batches),
        ]  # fmt: skip
        pages = {path: await v.get(f"/console{path}") for path in paths}
        values = {"table": TABLE, "template": template_of(b)}
        pages |= {
            "check": await v.post("/console/batches/new", values),
            "wrong time": await v.post("/console/batches/new", {**values, "send_at": evil("asked")}),
            "wrong template": await v.post("/console/batches/new", {**values, "template": evil("asked")}),
            "wrong table": await v.post("/console/batches/new", {**values, "table": f"{evil('asked')}\n1\n"}),
            "question": await v.post("/console/knowledge", {"question": f"{evil('question')} passage"}),
            "write": await v.post(f"/console/conversations/{EVA}/write", {"text": evil("asked")}),
            "sign in": await v.post("/console/sign-in", {"key": evil("asked"), "next": evil("asked")}),
            "nothing": await v.post(f"/console/{evil('asked')}", {}),
        }
    read = {path: Reader(page.html) for path, page in pages.items()}
    assert {path: page.harm for path, page in read.items() if page.harm} == {}
    words = " ".join(page.words for page in read.values())
    assert [source for source in SOURCES if f"{source}\"'><evil" not in words] == []
    assert "window.hurt=1<\\script>49" not in words


def test_a_reader_sees_harm() -> None:
    for html in (
        f"<p>{evil('text')}</p>",
        f'<p title="{evil("text")}">',
        "<a href='javascript:x'>",
        "<script>x</script>",
    ):
        assert Reader(html).harm, html
