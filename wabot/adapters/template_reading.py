"""Reads the templates of a WhatsApp Business Account through Graph, page by page, bounded in size and time.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management
"""

from __future__ import annotations

import asyncio

from wabot.adapters.graph_api import GraphApi, Unreachable
from wabot.core.json_values import dict_of, text_of
from wabot.core.templates import FIELDS, Template, of_node

SECONDS, SECONDS_OF_ONE = 30.0, 5.0
"""How long the whole list may take, and the templates of one name, for which a send waits."""
PAGE, PAGES = 100, 100
"""Templates of a page, and pages at the most: a verified business has 6 000 templates at the most."""


async def read_templates(graph: GraphApi, account: str, name: str = "") -> list[Template] | None:
    """The account's templates, or those of one name; None if Meta did not list them."""
    found: list[Template] = []
    cursor = ""
    try:
        async with asyncio.timeout(SECONDS_OF_ONE if name else SECONDS):
            for _ in range(PAGES):
                more = {key: value for key, value in (("name", name), ("after", cursor)) if value}
                answer = await graph.get(f"{account}/message_templates", fields=FIELDS, limit=str(PAGE), **more)
                listed = answer.data.get("data")
                if answer.error is not None or not isinstance(listed, list):
                    return None
                templates = filter(None, map(of_node, listed))
                found += [each for each in templates if name in ("", each.name)]  # Meta's filter finds parts of names
                paging = dict_of(answer.data.get("paging"))
                cursor = text_of(dict_of(paging.get("cursors")).get("after")) if paging.get("next") else ""
                if not cursor:
                    break
    except (Unreachable, TimeoutError):
        return None
    return found
