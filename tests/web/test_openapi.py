"""The API's description: it names every route, it is valid, and its examples are what the real service does."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from openapi_spec_validator import validate

from tests.business import ANA, BEN, EVA, KEY, Answer, Business, business
from tests.process import eventually
from tests.receiver import SECRET, receiver
from tests.test_readme import differences
from tests.web.shapes import idle, queue
from wabot import __version__
from wabot.core.owner_events import TYPES
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import Behaviour, error
from wabot.sandbox.meta import Meta
from wabot.web import app, openapi
from wabot.web.reference.document import document

DOCUMENT = document()
FAY = "919812345678"
"""What is sent to her fails."""


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = {(route.method, route.path) for route in app.ROUTES if isinstance(route, web.RouteDef)}
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert routes - described == {("GET", "/docs/page.css")}
    assert described - routes == set()


def test_it_is_valid_openapi_3_1() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == __version__


def test_every_operation_says_what_it_does_who_may_call_it_and_what_errors_look_like() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (path, method)
            keyed = operation["security"] == [{"bearer": []}, {"key": []}]
            assert keyed == (path not in {*openapi.PATHS, "/healthz"} and not path.startswith("/webhook")), path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and (path, status) != ("/readyz", "503"):
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
            assert ("401" in operation["responses"]) == (keyed or operation["security"] == [{"signature": []}])
    parameters = DOCUMENT["paths"]["/messages"]["post"]["parameters"]
    assert {one["name"] for one in parameters} == {"account", "Prefer", "Idempotency-Key"}


@pytest.fixture
async def stranger(wabot: Business) -> AsyncIterator[ClientSession]:
    async with ClientSession(wabot.url, headers={"X-Forwarded-For": "203.0.113.9"}) as client:
        yield client


@pytest.mark.parametrize("path", openapi.PATHS)
async def test_everybody_may_read_it(stranger: ClientSession, path: str) -> None:
    async with stranger.get(path) as answer:
        assert answer.status == 200
        assert KEY not in await answer.text()


async def test_the_document_is_served(stranger: ClientSession) -> None:
    async with stranger.get("/openapi.json") as answer:
        assert (answer.content_type, await answer.json()) == ("application/json", DOCUMENT)


async def test_the_page_shows_every_operation_and_shape_and_loads_only_its_style_sheet(stranger: ClientSession) -> None:
    async with stranger.get("/docs") as answer:
        text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert f'<article id="{operation["operationId"]}">' in text
    for name in DOCUMENT["components"]["schemas"]:
        assert f'<article id="{name}">' in text
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert re.findall(r"""(?:src|href)=["'](?!#)(.+?)["']""", text).count("/docs/page.css") == 1
    assert set(re.findall(r"""(?:src|href)=["'](?!#)(.+?)["']""", text)) == {"/docs/page.css", "/openapi.json"}
    assert not re.search(r"<script|<style| style=| on\w+=", text)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def test_whoever_does_not_ask_for_it_does_not_have_it_in_memory() -> None:
    code = (
        "import sys, wabot.assembly.start_and_stop;"
        "print([m for m in sys.modules if m.startswith('wabot.web.reference')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot with templates, and an endpoint of events that nobody listens at. Sends to EVA stay in the outbox."""
    later = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
    meta = Meta(behaviour=Behaviour(), receipt_delay=0.0)
    endpoint = {"url": "http://127.0.0.1:9/", "secret": SECRET, "types": ["message.received"]}
    whatsapp = {"business_account_id": "200000000000002"}
    async with business(tmp_path / "data", meta=meta, events=[endpoint], whatsapp=whatsapp, delivery=later) as b:
        b.meta.behaviour.always(EVA, error(131016))
        b.meta.behaviour.always(FAY, error(131051))
        await b.meta.say("Hi", from_=ANA)
        yield b
        await eventually(lambda: idle(b))  # else a connection to Meta may be half open when both ends stop


async def prepared(b: Business, method: str, path: str) -> str:
    """The id of something to which the example can be done."""
    if path == "/batches/{id}":
        return str((await queue(b, ANA, BEN))["batch_id"])
    if path.startswith("/batches/"):
        later = {"numbers": [ANA], "send_at": tomorrow()}
        return str((await b.post("/initiate-bulk", later)).json["batch_id"])
    if path.startswith("/outbox/"):
        batch = await queue(b, BEN if method == "get" else FAY if path.endswith("/retry") else EVA)
        found = (await b.get(f"/batches/{batch['batch_id']}")).json["results"][0]["outbox_id"]
        await eventually(lambda: was_tried(b, found))
        return str(found)
    if path.startswith("/events/"):
        return str((await b.get("/events")).json["events"][0]["id"])
    assert path.startswith("/merges/")
    await queue(b, ANA)
    await b.meta.say(payloads.text("Hi"), user_id="IN.1")
    await b.meta.say(payloads.text("Hi"), from_=ANA, user_id="IN.1")
    await eventually(lambda: idle(b))
    return str((await b.get("/merges")).json["merges"][0]["id"])


async def was_tried(b: Business, outbox_id: str) -> bool:
    job = (await b.get(f"/outbox/{outbox_id}")).json
    return bool(job["attempts"]) and job["state"] != "running"


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def examples(operation: Mapping[str, Any]) -> Iterator[tuple[str, Any, int, Any]]:
    """(name, body, status, answer) of every example of an operation."""
    asked = _examples(operation.get("requestBody", {}))
    answered = {
        name: (int(status), value)
        for status, answer in operation["responses"].items()
        for name, value in _examples(answer).items()
    }
    for name in asked | answered:
        yield (name, asked.get(name), *answered[name])


def _examples(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: example["value"]
        for content in part.get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    }


async def ask_as_shown(b: Business, path: str, method: str, body: Any) -> Answer:
    """The answer to an example, with ids that there are and a time that is still to come."""
    operation = DOCUMENT["paths"][path][method]
    query = {}
    for one in operation["parameters"]:
        if one["in"] == "path":
            value = one["example"] if "example" in one else await prepared(b, method, path)
            path = path.replace(f"{{{one['name']}}}", value)
        elif "example" in one:
            query[one["name"]] = one["example"]
    if isinstance(body, dict) and "send_at" in body:
        body = {**body, "send_at": tomorrow()}
    return await b.ask(method.upper(), path, params=query, **({} if body is None else {"json": body}))


def closed() -> dict[str, Any]:
    """The document, but no shape has more fields than are described."""
    strict = copy.deepcopy(DOCUMENT)
    for shape in strict["components"]["schemas"].values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    return strict


def faults(operation: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    """Where an answer is not of the shape that the document says."""
    content = operation["responses"][str(answer.status)]["content"]
    kind = answer.headers["Content-Type"].partition(";")[0]
    if kind not in content:
        yield f"{kind} is not described"
    elif kind == "application/json":
        schema = {**content[kind]["schema"], "components": closed()["components"]}
        yield from (f"{problem.json_path}: {problem.message}" for problem in _best(schema, answer.json))


def _best(schema: Mapping[str, Any], value: Any) -> Iterator[ValidationError]:
    for problem in Draft202012Validator(schema).iter_errors(value):
        yield best_match([problem]) or problem


async def test_every_example_is_what_the_service_does_and_every_answer_has_its_shape(busy: Business) -> None:
    tried_out, found = 0, list[str]()

    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for name, body, status, shown in examples(operation):
                answer = await ask_as_shown(busy, path, method, body)
                if path == "/templates":  # the stand-in has more than the one that is shown
                    names = {one["name"] for one in shown["templates"]}
                    answer.json["templates"] = [one for one in answer.json["templates"] if one["name"] in names]
                    answer.json["count"] = len(names)
                wrong = [f"{answer.status} {answer.body[:300]!r}"] if answer.status != status else []
                wrong += [] if wrong else [*differences(shown, answer.json), *faults(operation, answer)]
                found += [f"{method} {path}, {name}: {fault}" for fault in wrong]
                tried_out += 1

    assert found == []
    assert tried_out >= 34


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("post", "/messages", {"number": "12", "text": "Hi"}, 422),
        ("post", "/messages", {"number": EVA, "text": "Hi"}, 422),
        ("post", "/initiate-bulk", {"numbers": [ANA], "template": {"name": "unheard_of"}}, 422),
        ("post", "/initiate-bulk", {"numbers": [EVA]}, 202),
        ("post", "/get", {"number": EVA, "include": ["queued", "failed"]}, 200),
        ("get", "/outbox", None, 200),
        ("get", "/outbox?kind=reply&state=done", None, 200),
        ("get", "/outbox?kind=event", None, 200),
        ("get", "/events", None, 200),
        ("get", "/contacts", None, 200),
        ("get", "/contacts/12", None, 422),
        ("get", "/contacts/491710000000", None, 404),
        ("get", "/batches?cursor=x", None, 422),
        ("get", "/readyz?strict=1", None, 200),
    ],
    ids=str,
)
async def test_other_answers_have_the_shape_that_is_described_too(
    busy: Business, method: str, path: str, body: Any, status: int
) -> None:
    await busy.post("/initiate-bulk", {"numbers": [EVA, BEN, "12"]}, headers={"Prefer": "respond-async"})

    headers = {"Prefer": "respond-async"}
    answer = await busy.ask(method.upper(), path, headers=headers, **({} if body is None else {"json": body}))

    pattern = re.sub(r"/\d+$", "/{number}", path.partition("?")[0])
    assert answer.status == status, answer
    assert list(faults(DOCUMENT["paths"][pattern][method], answer)) == []


async def test_the_table_of_a_batch_and_the_metrics_are_described(busy: Business) -> None:
    batch = await queue(busy, ANA)
    table = await busy.get(f"/batches/{batch['batch_id']}?format=csv")
    metrics = await busy.get("/metrics")

    assert list(faults(DOCUMENT["paths"]["/batches/{id}"]["get"], table)) == []
    assert list(faults(DOCUMENT["paths"]["/metrics"]["get"], metrics)) == []


async def test_answers_that_name_their_account_have_the_shape_that_is_described(tmp_path: Path) -> None:
    shop = {
        "name": "shop", "access_token": "t", "phone_number_id": "111", "verify_token": "v", "app_secret": "s",
        "graph_api_base": "http://127.0.0.1:9/v26.0",
    }  # fmt: skip
    async with business(tmp_path / "data", accounts=[shop]) as b:
        await queue(b, ANA)
        asked = [("get", path, None) for path in ("/readyz", "/contacts", "/outbox", "/batches", "/costs", "/merges")]
        asked += [("post", "/get", {"number": ANA}), ("post", "/get-bulk", {"numbers": [ANA], "account": "shop"})]
        for method, path, body in asked:
            answer = await b.ask(method.upper(), path, **({} if body is None else {"json": body}))
            assert answer.status == 200, answer
            assert answer.json.get("account", "main") == (body or {}).get("account", "main")
            assert list(faults(DOCUMENT["paths"][path][method], answer)) == []


async def test_events_are_described_as_they_are_posted(tmp_path: Path) -> None:
    (operation,) = DOCUMENT["webhooks"]["event"].values()
    schema = {**operation["requestBody"]["content"]["application/json"]["schema"], "components": closed()["components"]}
    async with receiver() as shop, business(tmp_path / "data", events=[shop.table("*")]) as b:
        await b.meta.say("Hi", from_=ANA)
        await b.post(f"/contacts/{ANA}/opt-out")
        await eventually(lambda: {"message.received", "contact.opted_out"} <= {one.type for one in shop.told()})
        await eventually(lambda: idle(b))

    assert DOCUMENT["components"]["schemas"]["EventBody"]["properties"]["type"]["enum"] == list(TYPES)
    for one in shop.told():
        assert list(_best(schema, one.body)) == []
        for field, shape in (("message", "Message"), ("contact", "Contact")):
            if field in one.data:
                described = {"$ref": f"#/components/schemas/{shape}", "components": closed()["components"]}
                assert list(_best(described, one.data[field])) == []
