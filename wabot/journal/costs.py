"""What Meta charges for: how many messages of which pricing category, by month.

Each message (each copy of one, where Meta has several) counts once, with the first of its receipts that has a `pricing`
and in that commit. The counts outlive the messages: a month is a handful of rows however many there were.
https://developers.facebook.com/documentation/business-messaging/whatsapp/pricing
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wabot.core.messages import Receipt, Status
from wabot.journal.sqlite import Reader

UNKNOWN = "unknown"
"""The category of a receipt that names none."""


@dataclass(frozen=True, slots=True)
class Priced:
    """How many messages of a category Meta charges for, or does not."""

    category: str
    billable: bool
    count: int


class Costs:
    """The journal's counts of messages by what Meta charges for them."""

    _read_long: Reader

    async def priced(self, month: str) -> list[Priced]:
        """The counts of a month of UTC ("2026-10"), by category; billable ones first."""
        return await self._read_long(_of_month, month)

    async def priced_ever(self) -> list[Priced]:
        """The counts of all months together."""
        return await self._read_long(_ever)


def count(db: sqlite3.Connection, receipt: Receipt, known: str | None) -> None:
    """Count a message if this receipt is the first that has its pricing; `known` is what is stored of it."""
    if receipt.pricing is None or known is not None or receipt.status is Status.FAILED:
        return
    said = receipt.pricing
    db.execute(
        "INSERT INTO priced_messages VALUES (strftime('%Y-%m', :at, 'unixepoch'), :category, :billable, 1)"
        " ON CONFLICT (month, category, billable) DO UPDATE SET count = count + 1",
        {
            "at": receipt.timestamp,
            "category": said.get("category", UNKNOWN),
            "billable": said.get("billable", said.get("type") == "regular"),  # Meta is about to leave `billable` out
        },
    )


def _of_month(db: sqlite3.Connection, month: str) -> list[Priced]:
    rows = db.execute(
        "SELECT category, billable, count FROM priced_messages WHERE month = ? ORDER BY category, billable", (month,)
    )
    return sorted((_priced(row) for row in rows), key=lambda priced: not priced.billable)


def _ever(db: sqlite3.Connection) -> list[Priced]:
    rows = db.execute("SELECT category, billable, sum(count) AS count FROM priced_messages GROUP BY category, billable")
    return [_priced(row) for row in rows]


def _priced(row: sqlite3.Row) -> Priced:
    return Priced(row["category"], bool(row["billable"]), row["count"])
