"""Serves every request: checks its key, turns exceptions into answers, and writes one log line."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from wabot.accounts import UnknownAccount
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

CONSOLE = "/console"

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
            if refusal and not answers.route_pattern(request).startswith(CONSOLE):  # whose pages let one sign in
                response: web.StreamResponse = answers.error(401, refusal, headers=_BEARER)
            else:
                response = await handler(request)
        except Refusal as refused:
            response = answers.error(refused.status, refused.message, details=refused.details, headers=refused.headers)
        except UnknownAccount as unknown:
            response = answers.error(404, str(unknown))
        except InvalidInput as refused:
            response = answers.error(STATUS.get(type(refused), 422), str(refused), details=refused.details)
        except JournalDown as down:
            response = answers.error(503, str(down), headers=answers.RETRY_AFTER)
        except web.HTTPException as http:
            response = answers.error(http.status, http.reason, headers=_allow(http))
        except Exception:
            log.exception("request.broken", method=request.method, route=answers.route_pattern(request))
            response = answers.error(500, "internal error; see the log")
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


def _allow(http: web.HTTPException) -> dict[str, str]:
    return {"Allow": http.headers["Allow"]} if "Allow" in http.headers else {}
