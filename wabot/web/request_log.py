"""Serves every request: checks its key, turns exceptions into answers, and writes one log line."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from wabot.accounts import UnknownAccount
from wabot.console.routes import error_page, is_of_console
from wabot.core.exceptions import InvalidInput, JournalDown
from wabot.core.phone_numbers import InvalidNumber
from wabot.core.signature import BadSignature
from wabot.journal.merge_undo import CannotUndo
from wabot.journal.retry_and_cancel import CannotMove
from wabot.log import get_logger, labelled
from wabot.service import KeyConflict
from wabot.web import answers
from wabot.web.answers import Refusal
from wabot.web.auth import Gate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LINE = web.RequestKey("line", dict[str, Any])
"""Fields that a handler adds to the request's log line."""

STATUS: dict[type[InvalidInput], int] = {
    BadSignature: 401, InvalidNumber: 422, KeyConflict: 422, CannotMove: 409, CannotUndo: 409,
    InvalidInput: 422,
}  # fmt: skip
"""The HTTP status of each error of the service."""

_REFUSALS = (Refusal, UnknownAccount, InvalidInput, JournalDown, web.HTTPException)
"""What a handler raises to refuse a request; anything else is a fault of ours."""

_BEARER = {"WWW-Authenticate": "Bearer"}

log = get_logger()


def serving(gate: Gate) -> Middleware:
    """The middleware around all handlers."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers and logs every request, whatever happens."""
        with labelled({}):  # a handler may name its account
            return await served(request, handler)

    async def served(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        try:
            refusal = await gate.refuses(request)
            if refusal and not is_of_console(request):  # whose pages let one sign in
                raise Refusal(401, refusal, headers=_BEARER)
            response = await handler(request)
        except _REFUSALS as error:
            response = _refused(request, _refusal(error), own_words=not isinstance(error, web.HTTPException))
        except Exception:
            log.exception("request.broken", method=request.method, route=answers.route_pattern(request))
            response = _refused(request, Refusal(500, "internal error; see the log"), own_words=False)
        log.info(
            "request.served",
            method=request.method,
            route=answers.route_pattern(request),
            status=response.status,
            ms=round((time.perf_counter() - started) * 1000, 1),
            **request.get(LINE, {}),
        )
        return response

    return answer


def _refused(request: web.Request, refusal: Refusal, *, own_words: bool) -> web.Response:
    """The answer to a request that failed: a page below /console, where only our own words are shown, else JSON."""
    if not is_of_console(request):
        return answers.error(refusal.status, refusal.message, details=refusal.details, headers=refusal.headers)
    return error_page(request, refusal.status, refusal.message if own_words else None, refusal.headers or {})


def _refusal(error: Exception) -> Refusal:
    """What an exception of _REFUSALS means to the caller."""
    match error:
        case Refusal():
            return error
        case UnknownAccount():
            return Refusal(404, str(error))
        case InvalidInput():
            return Refusal(STATUS.get(type(error), 422), str(error), details=error.details)
        case web.HTTPException():
            return Refusal(error.status, error.reason, headers=_allow(error))
    return Refusal(503, str(error), headers=answers.RETRY_AFTER)


def _allow(http: web.HTTPException) -> dict[str, str]:
    return {"Allow": http.headers["Allow"]} if "Allow" in http.headers else {}
