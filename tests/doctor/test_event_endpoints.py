"""Whether the owner's programs can be reached."""

from __future__ import annotations

from aiohttp import ClientSession, web

from tests.process import free_port, served
from wabot.core.health_checks import State
from wabot.doctor.event_endpoints import reach


async def test_an_endpoint_is_reached_without_an_event() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=405)

    app = web.Application()
    app.router.add_route("*", "/hook", answer)
    async with served(app) as url, ClientSession() as session:
        assert (await reach(session, [f"{url}/hook"])).state is State.OK
        assert asked == ["HEAD"]
        assert (await reach(session, [])).state is State.SKIPPED
        away = f"http://user:secret@127.0.0.1:{free_port()}/hook?key=secret"
        check = await reach(session, [f"{url}/hook", away])
    assert check.state is State.WARNING
    assert "secret" not in check.detail
    assert check.remedy


async def test_an_endpoint_that_is_gone_is_a_warning() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=410)

    app = web.Application()
    app.router.add_route("*", "/", answer)
    async with served(app) as url, ClientSession() as session:
        check = await reach(session, [url])
    assert (check.state, "410" in check.detail) == (State.WARNING, True)
