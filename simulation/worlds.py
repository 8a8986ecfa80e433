"""Worlds that are weighted towards one part of the service, so that what is wrong with it shows within days.

A world changes how often faults come and how long they last, what people do, and some settings; `usual` changes
nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from wabot.settings.loading import Settings

KEY = "the-key-of-the-simulation"
GRAPH, MODEL, PROGRAM = "graph.simulated", "model.simulated", "program.simulated"
PROGRAM_KEY = b"the key of the owner's programs"
DAY = 86400.0
QUIET_HOURS, ZONE = "21:00-08:00", "Asia/Kolkata"


@dataclass(frozen=True)
class Weights:
    """What a world is like. `faults`: by kind, how many a day and the seconds that each lasts; with `only`, there are
    no others. `settings` by "section.key". `hands_a_day`: how often an operator
    retries or cancels. `takeovers_a_day`: how often a colleague steps in. `forgets_a_day`: how often somebody wants to
    be forgotten. `limits_a_day`: how often Meta names another messaging limit; 0: there is none. `asks`: the share of
    talks in which somebody asks for a person. `scheduled`: the share of batches that are to leave later. `quiet_hours`:
    how likely there are any. `busy_days`: after so many nobody writes any more. `look_seconds`: how often the outbox is
    looked at. `days`: of a run in which a mutant is hunted.
    """

    faults: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    only: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    archive: bool | None = None
    events: bool | None = None
    talks_a_day: float = 4.0
    batches_a_day: float = 5.0
    hands_a_day: float = 6.0
    takeovers_a_day: float = 2.0
    forgets_a_day: float = 0.0
    limits_a_day: float = 0.0
    asks: float = 0.02
    scheduled: float = 0.2
    quiet_hours: float = 0.2
    stops: float = 0.08
    moves: float = 0.04
    busy_days: float = float("inf")
    look_seconds: float = 7200.0
    days: float = 3.0


HOUR = 3600.0
WORLDS: Mapping[str, Weights] = {
    "usual": Weights(),
    "doubts": Weights(
        {"meta cuts": (8.0, HOUR), "meta hangs": (4.0, HOUR), "receipts lost": (8.0, 3 * HOUR), "crash": (4.0, 0.0)},
        only=True, settings={"delivery.in_doubt": "park"}, talks_a_day=12.0,
    ),
    "doubts that are sent again": Weights(
        {"meta cuts": (8.0, HOUR), "meta hangs": (4.0, HOUR), "receipts lost": (8.0, HOUR), "receipts odd": (8.0, HOUR),
         "meta bounces": (4.0, HOUR), "crash": (4.0, 0.0)},
        only=True, settings={"delivery.in_doubt": "resend"}, talks_a_day=12.0,
    ),
    "outages": Weights(
        {"meta outage": (3.0, 2 * HOUR), "meta unreachable": (3.0, 2 * HOUR), "token dead": (3.0, HOUR)},
        only=True, settings={"delivery.backoff_max_seconds": 60.0}, batches_a_day=40.0, look_seconds=HOUR,
    ),
    "a bad model": Weights(
        {"model fails": (8.0, HOUR), "model garbage": (4.0, HOUR), "model down": (4.0, HOUR)},
        only=True, talks_a_day=20.0, batches_a_day=1.0, look_seconds=120.0,
    ),
    "paused templates": Weights(
        {"template paused": (8.0, HOUR)}, only=True, batches_a_day=30.0, look_seconds=600.0,
    ),
    "the archive comes and goes": Weights(
        {"archive away": (10.0, HOUR)}, only=True, archive=True, talks_a_day=8.0, look_seconds=1800.0,
    ),
    "people stop": Weights(
        {"webhooks late": (4.0, HOUR), "webhooks repeated": (4.0, HOUR), "token dead": (4.0, HOUR)},
        only=True, stops=0.4, batches_a_day=40.0,
    ),
    "people move": Weights(
        {"webhooks late": (4.0, HOUR), "crash": (4.0, 0.0), "model slow": (4.0, HOUR), "meta slow": (4.0, HOUR)},
        only=True, moves=0.25, talks_a_day=8.0, batches_a_day=20.0,
    ),
    "Meta is away for days": Weights(
        {"meta away for days": (0.7, 1.5 * DAY)}, only=True, days=6.0,
        settings={"delivery.reply_expires_seconds": 200_000},
    ),
    "the model is away for days": Weights(
        {"model down": (0.7, 1.5 * DAY)}, only=True, days=6.0,
        settings={"delivery.reply_expires_seconds": 200_000, "delivery.attempts": 1000},
    ),
    "crashes": Weights(
        {"crash": (24.0, 0.0), "crash in commit": (24.0, 0.0), "webhooks repeated": (2.0, HOUR)}, only=True,
        talks_a_day=20.0, batches_a_day=20.0,
    ),
    "a disk with faults": Weights(
        {"disk full": (6.0, HOUR / 3), "disk fails": (8.0, HOUR / 2), "webhooks repeated": (2.0, HOUR)}, only=True,
        talks_a_day=20.0, batches_a_day=20.0,
    ),
    "a wrong clock": Weights(
        {"clock jumps": (6.0, HOUR), "clock hiccup": (40.0, 20.0), "model slow": (12.0, HOUR)},
        only=True, talks_a_day=20.0, look_seconds=300.0, settings={"delivery.reply_expires_seconds": 3600},
    ),
    "starts with a wrong clock": Weights(
        {"crash": (20.0, 0.0), "clock jumps": (6.0, HOUR), "model slow": (12.0, HOUR)},
        only=True, talks_a_day=20.0, look_seconds=300.0,
    ),
    "operators at work": Weights(
        {"template paused": (8.0, HOUR), "token dead": (4.0, HOUR)}, only=True, batches_a_day=30.0, hands_a_day=100.0,
        look_seconds=600.0,
    ),
    "failed by receipt": Weights(
        {"meta undeliverable": (8.0, HOUR), "meta bounces": (4.0, HOUR)}, only=True, batches_a_day=30.0,
    ),
    "large batches": Weights(
        {"crash": (24.0, 0.0), "crash in commit": (24.0, 0.0)}, only=True, batches_a_day=60.0, talks_a_day=8.0,
    ),
    "a low limit": Weights(
        {"token dead": (6.0, HOUR), "crash": (6.0, 0.0)}, only=True, batches_a_day=80.0,
        settings={"delivery.messages_per_second": 5},
    ),
    "the owner's programs come and go": Weights(
        {"program away": (6.0, HOUR), "program slow": (4.0, HOUR), "program fails": (6.0, HOUR),
         "program cuts": (6.0, HOUR), "program gone": (2.0, HOUR), "crash": (12.0, 0.0),
         "crash in commit": (12.0, 0.0)},
        only=True, events=True, talks_a_day=20.0, batches_a_day=10.0, stops=0.1,
    ),
    "the owner's programs are away for days": Weights(
        {"program away for days": (0.5, 4 * DAY), "crash": (2.0, 0.0)}, only=True, events=True,
        days=8.0, batches_a_day=2.0,
    ),
    "people step in": Weights(
        {"model slow": (8.0, HOUR), "meta cuts": (4.0, HOUR), "meta outage": (4.0, HOUR / 2),
         "meta bounces": (2.0, HOUR), "crash": (4.0, 0.0), "webhooks repeated": (2.0, HOUR),
         "receipts lost": (2.0, HOUR)},
        only=True, takeovers_a_day=60.0, asks=0.2, talks_a_day=12.0, moves=0.01,
    ),
    "schedules": Weights(
        {"crash": (12.0, 0.0), "crash in commit": (12.0, 0.0), "token dead": (2.0, HOUR),
         "template paused": (2.0, HOUR), "meta cuts": (2.0, HOUR), "disk fails": (2.0, HOUR / 2)},
        only=True, batches_a_day=40.0, scheduled=0.8, quiet_hours=0.7, hands_a_day=20.0,
    ),
    "schedules by a wrong clock": Weights(
        {"clock jumps": (6.0, HOUR), "clock hiccup": (20.0, 20.0), "crash": (4.0, 0.0)},
        only=True, batches_a_day=40.0, scheduled=0.8, quiet_hours=0.7,
    ),
    "people are forgotten": Weights(
        {"crash": (12.0, 0.0), "crash in commit": (8.0, 0.0), "webhooks late": (2.0, HOUR),
         "webhooks repeated": (6.0, HOUR), "model slow": (6.0, HOUR), "meta cuts": (4.0, HOUR),
         "archive away": (4.0, HOUR)},
        only=True, forgets_a_day=30.0, talks_a_day=12.0, batches_a_day=10.0, moves=0.0, days=1.0,
    ),
    "few people a day": Weights(
        {"crash": (6.0, 0.0), "crash in commit": (4.0, 0.0), "meta cuts": (4.0, HOUR), "meta outage": (1.0, HOUR / 2),
         "meta bounces": (2.0, HOUR), "meta undeliverable": (12.0, HOUR), "token dead": (1.0, HOUR),
         "receipts lost": (3.0, HOUR), "disk fails": (2.0, HOUR / 2)},
        only=True, limits_a_day=2.0, talks_a_day=0.3, batches_a_day=20.0, moves=0.0, stops=0.0, takeovers_a_day=0.5,
        days=1.5,
    ),
    "a long silence": Weights(
        only=True, talks_a_day=30.0, busy_days=2.0, days=13.0, settings={"server.retention_days": 1},
    ),
}  # fmt: skip
"""By what they are like."""


def settings(dice: Random, data_dir: Path, weights: Weights) -> Settings:
    """Settings as they may be in a world."""
    quiet = dice.choice((0.0, 1.0, 2.0))
    sections: dict[str, Any] = {
        "server": {"data_dir": data_dir, "api_keys": [KEY], "retention_days": dice.choice((1, 2, 30))},
        "api": {"wait_seconds": 20},
        "whatsapp": {
            "access_token": "sandbox-token", "phone_number_id": "100000000000001", "verify_token": "sandbox-verify",
            "app_secret": "sandbox-secret", "graph_api_base": f"http://{GRAPH}/v26.0",
            "business_account_id": "200000000000002",
        },
        "first_contact": {"answer": dice.choice(("template", "ai", "template_then_ai"))},
        "assistant": {
            "provider": "openai", "model": "m", "base_url": f"http://{MODEL}/v1", "timeout_seconds": 20,
            "quiet_seconds": quiet,
        },
        "delivery": {
            "in_doubt": dice.choice(("resend", "resend", "park")), "hold_seconds": dice.choice((20, 90)),
            "reply_expires_seconds": dice.choice((3600, 3600, 200_000)),
        },
        "log": {"level": "critical"},
    }  # fmt: skip
    if dice.random() < 0.15 if weights.events is None else weights.events:
        sections["events"] = _programs()
    sections["handoff"] = {"resume_hours": dice.choice((1, 12)), "unanswered_minutes": dice.choice((0, 20))}
    if dice.random() < weights.quiet_hours:
        sections["bulk"] = {"quiet_hours": QUIET_HOURS, "timezone": ZONE}
    for name, value in weights.settings.items():
        section, _, key = name.partition(".")
        sections[section][key] = value
    return Settings.model_validate(sections)


def _programs() -> list[dict[str, Any]]:
    """One that wants all events, and one that wants those about messages."""
    secret = f"whsec_{base64.b64encode(PROGRAM_KEY).decode()}"
    return [
        {"url": f"http://{PROGRAM}/{path}", "secret": secret, "types": types}
        for path, types in (("a", ["*"]), ("b", ["message.*"]))
    ]
