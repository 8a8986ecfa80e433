"""Who may see the console, and what keeps other sites out."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.business import ANA, KEY, Business, business
from tests.console.signed_in import visitor
from wabot.console.routes import ROUTES
from wabot.web import sessions


async def test_without_a_session_every_page_is_the_sign_in_and_shows_nothing(wabot: Business) -> None:
    await wabot.meta.say("Secret words", from_=ANA)
    async with visitor(wabot, None) as v:
        assert (await v.get("/console")).status == 200
        for route in ROUTES:
            if getattr(route, "method", "") == "GET":
                path = re.sub(r"{\w+}", ANA, route.path)  # type: ignore[union-attr]
                page = await v.get(path)
                assert page.status == (200 if path == "/console" else 401), path
                assert 'type="password"' in page.html
                assert "Secret words" not in page.html
        for path in ("/console/outbox/retry", f"/console/conversations/{ANA}/forget"):
            assert (await v.post(path)).status == 401


async def test_a_key_signs_in_and_the_page_that_was_asked_for_comes(wabot: Business) -> None:
    async with visitor(wabot, None) as v:
        page = await v.sign_in(KEY, "/console/outbox?view=all")
        assert (page.status, page.path) == (200, "/console/outbox")
        for elsewhere in ("https://evil.example/", "//evil.example", "/get", "/console\\evil", "/consoled"):
            assert (await v.sign_in(KEY, elsewhere)).path == "/console"


async def test_whose_session_ended_under_a_form_comes_back_to_the_page_of_the_form(wabot: Business) -> None:
    await wabot.meta.say("Hello", from_=ANA)
    talk = f"/console/conversations/{ANA}"
    async with visitor(wabot) as v:
        v.session.cookie_jar.clear()
        for came_from, onward in ((f"{wabot.url}{talk}", talk), ("https://evil.example/console/outbox", "/console")):
            asked = await v.post(f"{talk}/write", {"text": "Hi"}, {"Referer": came_from})
            assert asked.status == 401
            (found,) = re.findall(r'name="next" value="([^"]+)"', asked.html)
            assert found == onward
        assert (await v.sign_in(KEY, talk)).path == talk
        refused = await v.post(f"{talk}/write", {"text": ""}, {"Referer": f"{wabot.url}{talk}"})
        assert refused.status == 422
        assert f"next={talk}" in unquote(refused.html), "another language is chosen there"


async def test_the_cookie_is_for_nobody_else(wabot: Business) -> None:
    async with visitor(wabot, None) as v:
        async with v.session.post("/console/sign-in", data={"key": KEY}, allow_redirects=False) as plain:
            cookie = plain.headers["Set-Cookie"]
        assert KEY not in cookie
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        tls = {"X-Forwarded-Proto": "https"}
        async with v.session.post(
            "/console/sign-in", data={"key": KEY}, headers=tls, allow_redirects=False
        ) as behind_tls:
            assert "Secure" in behind_tls.headers["Set-Cookie"].split("; ")


async def test_a_wrong_key_is_refused_later_each_time(wabot: Business) -> None:
    async with visitor(wabot, None) as v:
        took = []
        for _ in range(3):
            began = time.monotonic()
            page = await v.sign_in("not-the-key-of-it")
            took.append(time.monotonic() - began)
            assert page.status == 401
            assert "not one of the keys" in page.text
        assert took[0] < took[1] < took[2]
        assert (await v.sign_in(KEY)).status == 200


async def test_a_session_counts_as_a_key_of_the_api(wabot: Business) -> None:
    async with visitor(wabot) as v:
        assert (await v.get("/outbox")).status == 200
        assert (await v.get("/outbox", headers={"X-API-Key": "some-other-wrong-key"})).status == 401
        await v.post("/console/sign-out")
        assert (await v.get("/outbox")).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
async def test_a_page_of_another_site_changes_nothing(wabot: Business, headers: dict[str, str]) -> None:
    await wabot.meta.say("Hi", from_=ANA)
    async with visitor(wabot) as v:
        for path in (f"/contacts/{ANA}/pause", "/initiate-bulk", f"/console/conversations/{ANA}/pause"):
            assert (await v.post(path, headers=headers)).status == 403, path
        async with v.session.delete(f"/contacts/{ANA}", headers=headers) as answer:
            assert answer.status == 403
        assert (await v.get("/outbox", headers=headers)).status == 200  # which the browser does not show to that page
        async with v.session.post("/console/sign-in", data={"key": KEY}, headers=headers) as answer:
            assert answer.status == 403
    assert (await wabot.get(f"/contacts/{ANA}")).json["assistant"]["state"] == "on"


async def test_a_form_without_the_token_of_the_session_changes_nothing(wabot: Business) -> None:
    await wabot.meta.say("Hi", from_=ANA)
    async with visitor(wabot) as v, visitor(wabot) as other:
        theirs = re.search(r'name="form_token" value="([^"]+)"', (await other.get("/console")).html)
        assert theirs
        for token in ("", "x", theirs[1]):
            page = await v.post(f"/console/conversations/{ANA}/pause", {"form_token": token})
            assert page.status == 403
            assert "not from a page of your session" in page.text
        assert (await v.post(f"/console/conversations/{ANA}/pause")).status == 200
    assert (await wabot.get(f"/contacts/{ANA}")).json["assistant"]["state"] == "paused"


async def test_no_form_of_the_console_is_taken_without_its_token(wabot: Business) -> None:
    posts = [route.path for route in ROUTES if getattr(route, "method", "") == "POST"]  # type: ignore[union-attr]
    posts.remove("/console/sign-in")  # which begins a session: pages of other sites are refused before it
    async with visitor(wabot) as v:
        for path in posts:
            page = await v.post(re.sub(r"{\w+}", ANA, path), {"form_token": ""})
            assert page.status == 403, path
            assert "not from a page of your session" in page.text, path
    assert len(posts) > 10


async def test_no_command_of_the_api_is_taken_from_a_page_of_another_site(wabot: Business) -> None:
    headers = {"Origin": "https://evil.example"}
    described = (await wabot.get("/openapi.json")).json["paths"]
    commands = [(m, path) for path, one in described.items() for m in one if m in ("post", "delete", "put", "patch")]
    async with visitor(wabot) as v:
        for method, path in commands:
            if not path.startswith("/webhook"):  # which is signed, and knows no session
                async with v.session.request(method, re.sub(r"{\w+}", ANA, path), headers=headers, json={}) as answer:
                    assert answer.status == 403, (method, path)
    assert len(commands) > 10


async def test_a_session_ends_after_a_week_and_with_its_key(wabot: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    key = sessions.ApiKey(KEY.encode())
    cookie = sessions.Sessions([key]).begin(key)
    async with visitor(wabot, None) as v:
        headers = {"Cookie": f"{sessions.COOKIE}={cookie}"}
        assert (await v.get("/outbox", headers=headers)).status == 200  # another process with the same key made it
        foreign = sessions.Sessions([other := sessions.ApiKey(b"another-long-key")]).begin(other)
        assert (await v.get("/outbox", headers={"Cookie": f"{sessions.COOKIE}={foreign}"})).status == 401
        monkeypatch.setattr(
            "itsdangerous.TimestampSigner.get_timestamp", lambda _self: int(time.time()) + sessions.SESSION_SECONDS + 5
        )
        assert (await v.get("/outbox", headers=headers)).status == 401


async def test_every_page_says_what_a_browser_may_load(wabot: Business) -> None:
    async with visitor(wabot) as v:
        for name in ("", "/conversations", "/outbox", "/batches", "/batches/new", "/knowledge", "/setup", "/events"):
            page = await v.get(f"/console{name}")
            assert page.status == 200, name
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=|javascript:", page.html), name
            assert not re.search(r'(?:src|href)="(?:https?:)?//', page.html), name


async def test_the_sign_in_takes_only_small_forms(wabot: Business) -> None:
    async with visitor(wabot, None) as v, v.session.post("/console/sign-in", data={"key": "x" * 10_000}) as answer:
        assert answer.status == 413


async def test_a_key_of_one_account_shows_that_account_alone(tmp_path: Path) -> None:
    accounts = [{"name": "north", "phone_number_id": "100000000000009", "access_token": "sandbox-token",
                 "app_secret": "sandbox-secret", "verify_token": "v", "api_keys": ["the-key-of-north"]}]  # fmt: skip
    async with business(tmp_path / "data", accounts=accounts) as b, visitor(b, None) as v:
        page = await v.sign_in("the-key-of-north")
        assert page.status == 200
        assert "<option selected>north" in page.html
        assert "main</option>" not in page.html
        assert (await v.get("/console", params={"account": "north"})).status == 200
        assert (await v.get("/console", params={"account": "main"})).status == 401
