"""Schemathesis makes requests from the API's description, valid ones and others, and holds every answer to it.

https://schemathesis.readthedocs.io
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.business import ANA, KEY, business
from tests.process import eventually
from tests.web.shapes import idle
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta
from wabot.web.reference.document import document


def _of_one_account() -> dict[str, Any]:
    """The document without the parameter `account`: any other name than the one there is would be a 404."""
    found = copy.deepcopy(document())
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "account"]
    for shape in found["components"]["schemas"].values():
        if not shape.get("additionalProperties", True):
            shape["properties"].pop("account", None)
    return found


OPERATIONS = {
    found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(_of_one_account()).get_all_operations()
}
HELD_TO = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
]
"""Not that whatever is described as valid is taken: no schema knows all phone numbers. Keys: see test_auth.py."""

KEYS = {"Authorization": f"Bearer {KEY}", "X-API-Key": KEY}

BOUNDED = hypothesis.settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a wabot listens that runs in a thread: schemathesis asks it with `requests`, which waits."""
    place = tmp_path_factory.mktemp("schemathesis")
    started, over, found = threading.Event(), asyncio.Event(), dict[str, Any]()

    async def serve() -> None:
        found["loop"] = asyncio.get_running_loop()
        meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
        async with business(
            place, meta=meta, api={"wait_seconds": 0}, whatsapp={"business_account_id": "200000000000002"}
        ) as b:
            await b.meta.say("Hi", from_=ANA)
            found["url"] = b.url
            started.set()
            await over.wait()
            await eventually(lambda: idle(b))  # else a connection to Meta may be half open when both ends stop

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(20)
    yield found["url"]
    found["loop"].call_soon_threadsafe(over.set)
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("label", OPERATIONS)
def test_requests_that_are_valid_and_others_are_answered_as_described(url: str, label: str) -> None:
    for mode in GenerationMode:

        @BOUNDED
        @hypothesis.given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
        def asked(case: Case) -> None:
            case.call_and_validate(base_url=url, headers=KEYS, checks=HELD_TO)

        try:
            asked()
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "nothing can be wrong in a request that says nothing"
