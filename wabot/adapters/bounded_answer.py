"""Reads what another system answers, and no more of it than is wanted."""

from __future__ import annotations

import aiohttp


async def read_bounded(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body of an answer. If it has more than `limit` bytes, so has the result, of which the rest may be missing."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)
