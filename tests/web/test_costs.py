"""GET /costs, and the metric of the same counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.business import ANA, BEN, Business
from tests.web.shapes import refusal


async def test_what_meta_charges_for_is_counted_by_category(wabot: Business) -> None:
    month = datetime.now(UTC).strftime("%Y-%m")
    assert (await wabot.get("/costs")).json == {"month": month, "messages": [], "total": 0}
    await wabot.post("/initiate-bulk", {"numbers": [ANA, BEN]})
    while (found := (await wabot.get("/costs")).json)["total"] < 2:
        await asyncio.sleep(0.01)
    (line,) = found["messages"]
    assert found == {"month": month, "messages": [line], "total": 2}
    assert line == {"category": line["category"], "billable": True, "count": 2}
    metrics = (await wabot.get("/metrics")).body.decode()
    assert f'wabot_priced_messages_total{{billable="true",category="{line["category"]}"}} 2.0' in metrics
    assert (await wabot.get("/costs", params={"month": "2026-01"})).json["total"] == 0


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-1", "2026-10-01", "next", "2026-10\n", "٢٠٢٦-١٠"])
async def test_a_month_is_a_month(wabot: Business, month: str) -> None:
    message = refusal(await wabot.get("/costs", params={"month": month}), 422)
    assert message == "month: must be a month such as 2026-10"
