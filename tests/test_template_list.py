"""`GET /templates`: what Meta lists, kept until its webhooks say that something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.business import Answer, Business, business
from wabot.core.templates import Template, of_node
from wabot.sandbox import meta
from wabot.sandbox.graph import Call, Refusal
from wabot.sandbox.meta import Meta
from wabot.template_list import AFRESH_SECONDS, AGE_SECONDS, FAILED_SECONDS, CannotAsk, TemplateList

WABA = {"business_account_id": "200000000000002"}
NAMED = [
    {"type": "HEADER", "format": "IMAGE"},
    {"type": "BODY", "text": "Hi {{first_name}}, your order {{order}} is ready, {{first_name}}."},
    {"type": "BUTTONS", "buttons": [
        {"type": "QUICK_REPLY", "text": "Thanks"}, {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"},
        {"type": "COPY_CODE"},
    ]},
]  # fmt: skip


class Lister:
    """Meta, as the list asks it. `names`: what it was asked for; `down`: it does not list anything."""

    def __init__(self, *templates: Template) -> None:
        self.templates, self.names, self.down = list(templates), list[str](), False

    async def __call__(self, name: str) -> list[Template] | None:
        self.names.append(name)
        return None if self.down else [each for each in self.templates if name in ("", each.name)]


def hello(language: str = "en_US", status: str = "APPROVED") -> Template:
    return Template("hello", language, status, "UTILITY", "Hello")


class Watch:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_templates_are_listed_with_what_a_send_must_give(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp=WABA) as b:
        b.meta.templates.add("order_ready", "de", "MARKETING", NAMED, named=True)
        answer = await b.get("/templates")

    assert answer.status == 200
    assert answer.json["count"] == len(answer.json["templates"]) == 6
    by_name = {each["name"]: each for each in answer.json["templates"]}
    assert by_name["invitation"] == {
        "name": "invitation", "language": "en_US", "status": "APPROVED", "category": "MARKETING",
        "body": "Hello {{1}}, we would love to see you on Saturday.",
        "parameters": [{"component": "body", "type": "text", "position": 1}],
    }  # fmt: skip
    assert by_name["hello_world"]["parameters"] == []
    assert by_name["order_ready"]["parameters"] == [
        {"component": "header", "type": "image"},
        {"component": "body", "type": "text", "name": "first_name"},
        {"component": "body", "type": "text", "name": "order"},
        {"component": "button", "sub_type": "url", "index": 1, "type": "text"},
        {"component": "button", "sub_type": "copy_code", "index": 2, "type": "coupon_code"},
    ]
    assert by_name["verification_code"]["parameters"] == [
        {"component": "body", "type": "text", "position": 1},
        {"component": "button", "sub_type": "url", "index": 0, "type": "text"},
    ]


async def test_the_list_is_kept_until_a_webhook_of_metas_or_somebody_asks_for_a_fresh_one(tmp_path: Path) -> None:
    async def status(b: Business, path: str = "/templates") -> str:
        answer = await b.get(path)
        return str(next(each["status"] for each in answer.json["templates"] if each["name"] == "invitation"))

    async with business(tmp_path / "data", whatsapp=WABA) as b:
        assert await status(b) == "APPROVED"
        invitation = b.meta.templates.find("invitation", "en_US")
        assert invitation is not None
        invitation.status = "REJECTED"
        assert await status(b) == "APPROVED"
        assert await status(b, "/templates?refresh=true") == "REJECTED"
        assert await b.meta.set_template("invitation", "en_US", status="PAUSED") == 200
        assert await status(b) == "PAUSED"
        await b.meta.set_template("invitation", "en_US", category="UTILITY")
        answer = await b.get("/templates")
        assert {"UTILITY"} == {e["category"] for e in answer.json["templates"] if e["name"] == "invitation"}
        invitation.components = [{"type": "BODY", "text": "Come."}]
        changed = {"message_template_name": "invitation", "message_template_language": "en_US"}
        await b.meta.news("message_template_components_update", changed)
        answer = await b.get("/templates")
        assert {"Come."} == {e["body"] for e in answer.json["templates"] if e["name"] == "invitation"}


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {"name": "x"}}])
async def test_an_answer_without_a_list_means_that_meta_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    async def no_list(_meta: Meta, _call: Call) -> dict[str, Any]:
        return answer

    async with business(tmp_path / "data", whatsapp=WABA) as b:
        replaced(monkeypatch, no_list)
        refused = await b.get("/templates")
        assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        monkeypatch.undo()
        assert (await b.get("/templates?refresh=true")).json["count"] == 5
        replaced(monkeypatch, no_list)
        assert (await b.get("/templates?refresh=true")).json["count"] == 5


async def test_without_the_right_or_without_an_account_there_is_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_right(_meta: Meta, _call: Call) -> dict[str, Any]:
        raise Refusal(200, message="(#200) You do not have the necessary permissions")

    replaced(monkeypatch, no_right)
    async with business(tmp_path / "data", whatsapp=WABA) as b:
        assert (await b.get("/templates")).status == 503
    async with business(tmp_path / "other") as b:
        assert (await b.get("/templates")).status == 503
    async with business(tmp_path / "third", whatsapp=WABA) as b:
        assert (await b.get("/templates?refresh=perhaps")).status == 422


async def test_a_list_of_many_pages_is_read_whole(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp=WABA) as b:
        for number in range(620):
            b.meta.templates.add(f"offer_{number:03}", "hi", "MARKETING", [{"type": "BODY", "text": "नमस्ते " * 100}])
        answer: Answer = await b.get("/templates")
        assert (answer.status, answer.json["count"]) == (200, 625)
        assert [each["name"] for each in answer.json["templates"][2:622]] == [f"offer_{n:03}" for n in range(620)]


def replaced(monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    """Graph answers a question for templates like this."""
    monkeypatch.setitem(meta.ROUTES, ("account", "GET", "message_templates"), handler)  # type: ignore[arg-type]


async def test_meta_is_asked_about_one_template_at_most_once_a_minute() -> None:
    clock, meta = Watch(), Lister(hello())
    listed = TemplateList(meta, clock=clock)

    assert await listed.of("hello") == [hello()]
    assert await listed.of("hello") == [hello()]
    assert await listed.of("other") == []
    assert await listed.afresh("other") == []
    assert await listed.afresh("hello") == [hello()]
    assert meta.names == ["hello", "other"]
    clock.now += AFRESH_SECONDS
    meta.templates.append(hello("de"))
    assert await listed.of("hello") == [hello()]
    assert await listed.afresh("hello") == [hello(), hello("de")]
    assert await listed.of("hello") == [hello(), hello("de")]
    assert meta.names == ["hello", "other", "hello"]


async def test_a_meta_that_does_not_answer_is_left_alone_for_a_moment() -> None:
    clock, meta = Watch(), Lister(hello())
    listed = TemplateList(meta, clock=clock)
    meta.down = True

    assert [await listed.of(name) for name in ("hello", "a", "b", "hello")] == [None] * 4
    assert meta.names == ["hello"]
    with pytest.raises(CannotAsk):
        await listed.all()
    assert meta.names == ["hello"]
    clock.now += FAILED_SECONDS
    meta.down = False
    assert await listed.of("a") == []
    assert await listed.of("hello") is None
    assert await listed.all() == [hello()]
    assert await listed.of("hello") == [hello()]


async def test_news_and_age_make_the_list_be_read_again() -> None:
    clock, meta = Watch(), Lister(hello())
    listed = TemplateList(meta, clock=clock)
    assert await listed.all() == [hello()]
    meta.templates = [hello(status="PAUSED")]
    assert await listed.all() == [hello()]
    listed.changed()
    assert await listed.of("hello") == [hello(status="PAUSED")]
    assert await listed.all() == [hello(status="PAUSED")]
    meta.templates = []
    clock.now += AGE_SECONDS
    meta.down = True
    assert await listed.all() == [hello(status="PAUSED")]
    meta.down = False
    clock.now += FAILED_SECONDS
    assert await listed.all() == []


def test_a_node_of_any_shape_is_read() -> None:
    assert of_node(None) is of_node({"name": "x"}) is of_node({"name": "", "language": "de"}) is None
    assert of_node({"name": "x", "language": "de", "components": [1, {"type": 7}, {"type": "BUTTONS"}]}) is not None
    product = of_node({"name": "x", "language": "de", "components": [{"type": "HEADER", "format": "PRODUCT"}]})
    assert product is not None
    assert product.open_header
