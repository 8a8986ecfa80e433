"""What does not work is said on a page, as everything else at /console is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.business import ANA, KEY, Business, business
from tests.console.signed_in import Page, visitor
from wabot.console import conversations
from wabot.core.exceptions import JournalDown


def assert_page(page: Page, status: int, words: str) -> None:
    assert page.status == status
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert words in page.text


@pytest.mark.parametrize("key", [KEY, None])
async def test_where_nothing_is_a_page_says_so_signed_in_or_not(wabot: Business, key: str | None) -> None:
    async with visitor(wabot, key) as v:
        for path in ("/console/", "/console/nothing", "/console/outbox/a/b/c"):
            page = await v.get(path)
            assert_page(page, 404, "There is no such page.")
            assert ("Conversations" in page.text) == (key is not None), path
        spanish = await v.get("/console/nothing", headers={"Accept-Language": "es"})
        assert_page(spanish, 404, "No existe esta página.")
        assert_page(await v.post("/console/outbox"), 405, "This page takes no such request.")


async def test_what_is_not_of_the_console_is_answered_as_before(wabot: Business) -> None:
    for path in ("/nothing", "/consoles", "/"):
        answer = await wabot.get(path)
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


async def test_a_page_of_another_site_is_refused_by_a_page(wabot: Business) -> None:
    async with visitor(wabot) as v:
        page = await v.post(f"/console/conversations/{ANA}/pause", headers={"Origin": "https://evil.example"})
        assert_page(page, 403, "a page of another site may not use your session")


async def test_a_form_that_is_too_large_is_refused_by_a_page(wabot: Business) -> None:
    async with visitor(wabot) as v:
        page = await v.post("/console/batches/new", {"table": "x" * (5 << 20)})
        assert_page(page, 413, "more than a form may have")


async def test_a_fault_of_ours_is_told_without_any_detail(wabot: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret of the fault")

    monkeypatch.setattr(conversations, "_list", broken)
    async with visitor(wabot) as v:
        page = await v.get("/console/conversations")
    assert_page(page, 500, "Something went wrong in wabot itself.")
    assert "secret of the fault" not in page.html
    assert "Traceback" not in page.html


async def test_a_journal_that_is_away_is_told_with_when_to_come_again(
    wabot: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise JournalDown("the journal cannot be read: disk I/O error")

    monkeypatch.setattr(conversations, "_list", down)
    async with visitor(wabot) as v:
        page = await v.get("/console/conversations")
    assert_page(page, 503, "the journal cannot be read")
    assert page.headers["Retry-After"] == "5"


async def test_what_has_changed_meanwhile_is_a_conflict(wabot: Business) -> None:
    await wabot.post("/messages", {"number": ANA, "template": {"name": "hello_world"}})
    (job,) = (await wabot.get("/outbox")).json["outbox"]
    async with visitor(wabot) as v:
        assert (await v.post(f"/console/outbox/{job['outbox_id']}/cancel")).status == 409


async def test_an_error_names_no_account_that_the_key_does_not_open(tmp_path: Path) -> None:
    accounts = [{"name": "north", "phone_number_id": "100000000000009", "access_token": "sandbox-token",
                 "app_secret": "sandbox-secret", "verify_token": "v", "api_keys": ["the-key-of-north"]}]  # fmt: skip
    async with business(tmp_path / "data", accounts=accounts) as b, visitor(b, "the-key-of-north") as v:
        for page in (
            await v.get("/console/nothing"),
            await v.get("/console/sign-in"),
            await v.sign_in("no-key-at-all"),
        ):
            assert page.status in (401, 404, 405)
            assert "north</option>" in page.html
            assert "main</option>" not in page.html
