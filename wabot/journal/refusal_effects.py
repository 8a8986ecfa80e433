"""The effects of a failure beyond its own message, whether it comes by Meta's answer or by a receipt."""

from __future__ import annotations

import sqlite3

from wabot.core.exceptions import Effect
from wabot.core.jobs import Outcome
from wabot.journal import opt_outs, templates


def spread(db: sqlite3.Connection, job_id: int, contact_id: int, outcome: Outcome, now: float) -> None:
    """Apply the `effect` of an outcome: suppress the contact, or pause the template or all of them."""
    if outcome.effect is Effect.SUPPRESS:
        opt_outs.suppress(db, contact_id, outcome.code, now)
    elif outcome.effect is not Effect.NONE:
        templates.pause(db, job_id, outcome, now)
