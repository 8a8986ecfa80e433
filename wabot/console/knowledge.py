"""Knowledge: the files that the model is shown, and a question to try them with."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from wabot.console import rendering
from wabot.web.request_account import account_of

LONGEST_QUESTION = 4000


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/knowledge."""
    return _page(request, question="", tried=None)


async def ask(request: web.Request) -> web.StreamResponse:
    """POST /console/knowledge: the answer to a question, with the passages and the prompt."""
    form = await request.post()
    question = str(form.get("question", "")).strip()[:LONGEST_QUESTION]
    tried = await account_of(request).trial.ask(question) if question else None
    return _page(request, question=question, tried=tried)


def _page(request: web.Request, **values: Any) -> web.Response:
    briefing = account_of(request).trial.briefing
    shown = {"files": briefing.files, "searched": briefing.is_searched, "fault": briefing.fault}
    return rendering.page(request, "knowledge.html", {**shown, **values})
