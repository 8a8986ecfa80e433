"""Whatever is said to the HTTP surface, on a bare socket: no 5xx but 503, errors in one shape, nothing of our insides.

One wabot serves all examples, so what an earlier one left behind is there for the later ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.business import ANA, BEN, KEY, Answer, Business, business
from tests.web.shapes import refusal, wire
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta
from wabot.web import auth
from wabot.web.app import ROUTES

Ask = Callable[[bytes], Answer]

BOUNDED = settings(
    max_examples=500,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
INSIDES = (b"Traceback", b'File "', b"/wabot/", b"site-packages", b"sqlite3.", b".py")

any_text = st.text(st.characters(exclude_categories=()), max_size=20)
numbers = st.sampled_from([ANA, BEN, "+91 92165-98210", "12", "IN.AbCd12345", int(ANA), "", "0" * 50])
atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | any_text
    | numbers
    | st.sampled_from(["queued", "text", 0, 1, 2**63, 2**64, -(2**63) - 1, "\0", "\ud800", "9" * 300])
)
names = any_text | st.sampled_from(
    ["number", "numbers", "limit", "include", "template", "recipients", "components", "name", "language", "parameters"]
)
anything = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
parameters = st.sampled_from([5, True, "text", None, [], [{}], [5], {"text": "x"}]) | anything
component = st.fixed_dictionaries({}, optional={"type": st.just("body") | anything, "parameters": parameters})
components = st.lists(component | anything, max_size=3)
template = st.fixed_dictionaries(
    {"name": st.just("hello_world") | anything},
    optional={"language": st.just("en") | anything, "components": components},
)
recipient = st.fixed_dictionaries({"number": numbers | anything}, optional={"components": components | anything})
questions = st.fixed_dictionaries(
    {},
    optional={
        "number": numbers | anything,
        "numbers": st.lists(numbers, min_size=1, max_size=4) | anything,
        "recipients": st.lists(recipient, max_size=3) | anything,
        "template": template | anything,
        "limit": st.integers(-1, 3) | anything,
        "include": st.lists(st.sampled_from(["queued", "failed"])) | anything,
    },
)
asked_well = (
    st.fixed_dictionaries({"numbers": st.lists(numbers, min_size=1, max_size=4)}, optional={"template": template})
    | st.fixed_dictionaries(
        {"recipients": st.lists(recipient, min_size=1, max_size=3)}, optional={"template": template}
    )
    | st.fixed_dictionaries({"number": numbers}, optional={"limit": st.integers(0, 10**12)})
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "id": any_text | anything, "from": numbers | anything, "type": st.sampled_from(["text", "image"]) | anything,
        "timestamp": anything, "text": st.fixed_dictionaries({"body": anything}) | anything, "errors": anything,
        "status": st.sampled_from(["sent", "failed"]) | anything, "recipient_id": numbers, "from_user_id": anything,
    },
)  # fmt: skip
told = st.builds(
    lambda **lists: payloads.envelope(payloads.value("1", "100000000000001", **lists)),
    messages=st.lists(messages, max_size=3),
    statuses=st.lists(messages, max_size=3),
    contacts=st.lists(st.fixed_dictionaries({"wa_id": anything, "profile": anything}) | anything, max_size=2),
)
bodies = (
    (questions | asked_well | told | anything).map(json.dumps).map(str.encode)
    | st.binary(max_size=200)
    | st.sampled_from([b"", b"{", b"\xef\xbb\xbf{}", b"[" * 3000])
)

segments = st.sampled_from(
    [ANA, "IN.AbCd12345", "JOURNAL-1", "JOURNAL-0", "JOURNAL-" + "9" * 30, "..", "%00", "%ff%fe"]
) | (st.text(max_size=10).map(lambda text: quote(text, safe="")))
fillings = segments.map(lambda part: lambda pattern: pattern.replace("{id}", part).replace("{number}", part))
paths = st.builds(lambda route, path: path(route.path), st.sampled_from(ROUTES), fillings) | (
    st.text(max_size=10).map(lambda text: "/" + quote(text))
)
queries = st.lists(
    st.tuples(
        st.sampled_from(
            ["limit", "cursor", "state", "number", "batch_id", "format", "hub.mode", "hub.verify_token", "x"]
        ),
        st.sampled_from(["1", "0", "queued", "JOURNAL-1", "csv", "json", ANA, "9" * 400, "%ff", "%00"])
        | any_text.map(lambda text: quote(text, safe="", errors="replace")),
    ).map("=".join),
    max_size=3,
).map("&".join)
header_text = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte >= 32 and byte != 127))
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Prefer", b"Idempotency-Key", b"Authorization", b"X-API-Key", b"Content-Type", b"Content-Encoding",
             b"Accept", b"X-Hub-Signature-256", b"Origin", b"Host",
             b"Range", b"If-None-Match", b"Expect", b"Upgrade", b"Cookie"]
        ),
        header_text
        | st.sampled_from(
            [b"wait=99999999", b"wait=0", b"respond-async", b"a-key", b"application/json", b"text/plain", b"gzip",
             b"100-continue", b"websocket", b"Bearer \xff", b"bytes=0-5", b"localhost"]
        ),
    ),
    max_size=3,
)  # fmt: skip
calls = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"]), paths
) | st.builds(lambda route, path: (route.method, path(route.path)), st.sampled_from(ROUTES), fillings)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ask, Business]]:
    """Says bytes to one wabot on a new connection, and gives its answer, which the contract was held against."""
    data_dir: Path = tmp_path_factory.mktemp("fuzz")
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "MOST_DELAYED", 0)  # nobody waits for the refusal of a wrong key
        opened = business(
            data_dir, meta=meta, api={"wait_seconds": 0}, delivery={"attempts": 1, "pair_interval_seconds": 0.001}
        )
        b = runner.run(opened.__aenter__())
        yield lambda request: runner.run(_ask(b, request)), b
        runner.run(opened.__aexit__(None, None, None))


async def _ask(b: Business, request: bytes) -> Answer:
    async with wire(b) as connection:
        head, end, body = request.partition(b"\r\n\r\n")  # the length of the body is said in the head
        await connection.say(head.replace(b"JOURNAL", b.journal.name.encode()) + end + body)
        answer = await connection.answer(head_only=request.startswith(b"HEAD "))
    assert answer.status < 500 or answer.status == 503, answer
    assert not any(inside in answer.body for inside in INSIDES), answer
    if answer.status >= 400 and not request.startswith(b"HEAD "):
        refusal(answer, answer.status)
    return answer


def request(
    method: str, target: str, body: bytes = b"", extra: list[tuple[bytes, bytes]] | None = None, *, signed: bool = False
) -> bytes:
    """The bytes of a request; a header that is given again replaces ours."""
    named = {b"Host": b"localhost", b"Content-Type": b"application/json", b"Connection": b"close"}
    named |= {b"X-API-Key": KEY.encode()} | dict(extra or [])
    if signed:
        named[b"X-Hub-Signature-256"] = payloads.sign(body, "sandbox-secret").encode()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode() + lines + b"\r\n" + body


def test_nothing_that_is_said_breaks_anything(ask: tuple[Ask, Business]) -> None:
    say, _ = ask

    @BOUNDED
    @given(calls, queries, headers, bodies, st.booleans())
    def whatever(
        call: tuple[str, str], query: str, extra: list[tuple[bytes, bytes]], body: bytes, signed: bool
    ) -> None:
        method, path = call
        say(request(method, path + ("?" + query if query else ""), body, extra, signed=signed))

    whatever()
    assert say(request("GET", "/healthz")).status == 200


@pytest.mark.parametrize("path", ["/initiate-bulk", "/get", "/get-bulk"])
def test_no_question_breaks_anything(ask: tuple[Ask, Business], path: str) -> None:
    say, _ = ask
    seen: set[int] = set()

    @settings(BOUNDED, max_examples=250)
    @given((asked_well | questions).map(json.dumps).map(str.encode))
    def whatever(body: bytes) -> None:
        seen.add(say(request("POST", path, body)).status)

    whatever()
    assert seen >= {200, 422}, "the examples never got through the door"


def test_no_delivery_breaks_anything(ask: tuple[Ask, Business]) -> None:
    say, _ = ask

    @settings(BOUNDED, max_examples=250)
    @given((told | anything).map(json.dumps).map(str.encode) | st.binary(max_size=100))
    def whatever(body: bytes) -> None:
        answer = say(request("POST", "/webhook", body, signed=True))
        assert answer.status == 200
        assert answer.json.keys() == {"received", "stored"}

    whatever()


def test_no_listing_breaks_anything(ask: tuple[Ask, Business]) -> None:
    say, _ = ask
    say(request("POST", "/initiate-bulk", json.dumps({"numbers": [ANA]}).encode()))

    @settings(BOUNDED, max_examples=200)
    @given(queries)
    def whatever(query: str) -> None:
        assert say(request("GET", f"/outbox?{query}")).status in (200, 422)

    whatever()


BODY: dict[str, Any] = {"numbers": [ANA]}
MEGABYTE = "9" * (1 << 20)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ('{"numbers": ["\\ud800"]}', 400),
        ('{"numbers": ["\\u0000"]}', 202),
        (f'{{"numbers": ["{ANA}"], "template": {{"name": "\\udfff"}}}}', 400),
        (f'{{"numbers": ["{ANA}"], "template": {{"name": "a\\u0000b"}}}}', 202),
        (f'{{"numbers": [{10**30}]}}', 202),
        (f'{{"numbers": [{ANA}, -{ANA}, 0]}}', 202),
        ('{"numbers": [9.1921659821e11]}', 422),
        (f'{{"numbers": ["{ANA}"], "numbers": ["12"]}}', 202),
        (f'{{"numbers": ["{MEGABYTE}"]}}', 422),
        (f'{{"numbers": [{MEGABYTE}]}}', 400),
        ("[" * 100_000 + "]" * 100_000, 400),
        ('{"numbers":' + '{"a":' * 500 + "1" + "}" * 501, 422),
        (f'{{"numbers": ["{ANA}"], "template": {{"name": "a", "components": [{{"x": {10**40}}}]}}}}', 202),
        (f'{{"numbers": ["{ANA}"], "template": {{"name": "a", "components": [{{"parameters": "text"}}]}}}}', 422),
        (f'{{"numbers": ["{ANA}"], "template": {{"name": "a", "components": [{{"parameters": [5, null]}}]}}}}', 202),
    ],
    ids=lambda value: str(value)[:60],
)
def test_known_nastiness_in_a_body(ask: tuple[Ask, Business], value: str, status: int) -> None:
    say, _ = ask
    answer = say(request("POST", "/initiate-bulk", value.encode(), [(b"Prefer", b"respond-async")]))
    assert answer.status == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/outbox?cursor=" + "9" * 5000, 422),
        ("/outbox?cursor=JOURNAL-" + "9" * 60, 422),
        ("/outbox?cursor=%ff%00", 422),
        ("/outbox?limit=" + "9" * 5000, 422),
        ("/outbox?number=%00", 422),
        ("/outbox/JOURNAL-" + "9" * 7000, 404),
        ("/outbox/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("/batches/%ff%fe", 404),
        ("/batches/%00", 404),
        ("/contacts/%ed%a0%80/opt-out", 405),
    ],
    ids=lambda value: str(value)[:40],
)
def test_known_nastiness_in_an_address(ask: tuple[Ask, Business], target: str, status: int) -> None:
    say, _ = ask
    assert say(request("GET", target)).status == status


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"Prefer", b"wait=99999999"), 200),
        ((b"Prefer", b"wait=" + b"9" * 5000), 200),
        ((b"Prefer", b"wait=\xd9\xa1"), 202),
        ((b"Prefer", b"," * 8000), 202),
        ((b"Prefer", b"wait" + b" " * 8000 + b"x"), 202),
        ((b"Idempotency-Key", b"\xe9"), 422),
        ((b"Idempotency-Key", b"k" * 8000), 422),
        ((b"Content-Type", b"application/json; charset=\xff"), 202),
        ((b"Content-Type", b";;;"), 202),
        ((b"Expect", b"the-unexpected"), 417),
        ((b"Expect", b"\xff"), 417),
    ],
    ids=lambda value: str(value)[:40],
)
def test_known_nastiness_in_a_header(ask: tuple[Ask, Business], header: tuple[bytes, bytes], status: int) -> None:
    say, _ = ask
    answer = say(request("POST", "/initiate-bulk", json.dumps(BODY).encode(), [header]))
    assert answer.status in ((200, 202) if status < 300 else (status,))
