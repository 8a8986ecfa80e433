"""The owner's own program, which is told what happens, and has bad days; and whether it was told all that is true.

Each event comes at least once, the same each time, and no event of a contact before the one that was refused; or it is
recorded as failed three days after it was written.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from simulation.timeline import START
from simulation.wires import Cut, Request, Response, Unreachable
from simulation.witness import Witness
from simulation.worlds import PROGRAM_KEY

DAY = 86400.0
LASTS_SECONDS = 3 * DAY
CLOCK_SECONDS = 3100.0
"""How wrong the machine's clock may be."""
APART_SECONDS = 60.0
"""What was acknowledged so much later is told later."""
LATE_SECONDS = 3 * 3600.0
"""A process that is down at the end of the three days records it that much later, at most."""


@dataclass
class Manners:
    """What the program is like at present: shares of the cases, and `slow` in seconds."""

    slow: float = 0.0
    away: float = 0.0
    fails: float = 0.0
    cuts: float = 0.0
    gone: float = 0.0


class Programs:
    """The programs behind all addresses of [[events]]; they have the same bad days."""

    def __init__(self, world: Any, dice: Random) -> None:
        self._world, self._dice = world, dice
        self._witness: Witness = world.witness
        self.manners = Manners()
        self._urls = [endpoint.url for endpoint in world.settings.events]
        self._body_of: dict[str, bytes] = {}
        self._id_of: dict[tuple[str, str, str], str] = {}
        self._refused: dict[tuple[str, int], tuple[str, float]] = {}
        self._told: dict[str, dict[str, set[str]]] = {url: defaultdict(set) for url in self._urls}
        self._failed: dict[tuple[str, str], dict[str, Any]] = {}

    async def __call__(self, request: Request) -> Response:
        """A POST of wabot's."""
        manners, dice = self.manners, self._dice
        if dice.random() < manners.away:
            raise Unreachable
        url, id_, event = request.url, request.headers["webhook-id"], self._read(request)
        self._check_order(url, id_, self._person(event["data"]))
        await asyncio.sleep(dice.random() * (manners.slow or 0.2))
        status = 410 if dice.random() < manners.gone else 500 if dice.random() < manners.fails else 200
        cut = dice.random() < manners.cuts
        taken = status == 200 and (not cut or dice.random() < 0.5)
        self._note(url, id_, event, taken=taken)
        if cut:
            raise Cut
        return Response(status, b"")

    def _read(self, request: Request) -> dict[str, Any]:
        """The event: signed, and the same each time."""
        id_, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = hmac.digest(PROGRAM_KEY, f"{id_}.{at}.".encode() + request.body, "sha256")
        if request.headers["webhook-signature"] != f"v1,{base64.b64encode(signed).decode()}":
            self._witness.found("event signature", f"{id_} is not signed with the endpoint's secret")
        if self._body_of.setdefault(id_, request.body) != request.body:
            self._witness.found("event changed", f"{id_} is another event than before")
        return dict(json.loads(request.body))

    def _note(self, url: str, id_: str, event: dict[str, Any], *, taken: bool) -> None:
        type_, data = event["type"], event["data"]
        self._check_age(id_, event)
        about = str(data.get("message", {}).get("id") or data.get("batch_id") or "")
        person = self._person(data)
        if taken or id_ in self._told[url]["ids"]:
            if self._refused.get((url, person), ("", 0.0))[0] == id_:
                del self._refused[url, person]
        else:
            self._refused.setdefault((url, person), (id_, self._witness.now()))
        if type_ in ("message.received", "message.sent") and about:
            if self._id_of.setdefault((url, type_, about), id_) != id_:
                self._witness.found("event twice", f"{type_} of {about} is two events", person)
        if taken and id_ not in self._told[url]["ids"]:
            self._witness.trace("told", to=url[-1], type=type_, id=id_, person=person)
            self._check_sequence(url, type_, about, person)
            self._told[url]["ids"].add(id_)
            self._told[url][type_].add(about or str(person))

    def _check_age(self, id_: str, event: dict[str, Any]) -> None:
        """What could not be told for three days has failed by then."""
        written_at = datetime.fromisoformat(event["timestamp"]).timestamp()
        age = self._world.now() - written_at
        if age > LASTS_SECONDS + LATE_SECONDS + CLOCK_SECONDS:
            self._witness.found("event too late", f"{id_} is told {age:.0f} s after it was written")

    def _person(self, data: dict[str, Any]) -> int:
        contact = data.get("contact") or {}
        return int(self._world.customers.owner_of(contact.get("number") or contact.get("bsuid") or ""))

    def _check_order(self, url: str, id_: str, person: int) -> None:
        """An event that was refused comes again before any other of the same contact."""
        if person < 0:
            return
        refused, at = self._refused.get((url, person), (id_, 0.0))
        young = self._witness.now() - at < LASTS_SECONDS - LATE_SECONDS
        if refused != id_ and young and not self._world.requests.moved(person):
            self._witness.found("event order", f"{id_} comes before {refused}, which was refused", person)
        elif refused != id_:
            del self._refused[url, person]

    def _check_sequence(self, url: str, type_: str, wamid: str, person: int) -> None:
        """What somebody said is told in the order in which it was acknowledged."""
        said = self._witness.by_wamid.get(wamid)
        if type_ != "message.received" or said is None or said.acknowledged_at is None:
            return
        for other in self._witness.of_person(said.person):
            at = other.acknowledged_at or float("inf")
            untold = (
                other.wamid not in self._told[url][type_] and self._witness.now() - at < LASTS_SECONDS - LATE_SECONDS
            )
            if untold and at + APART_SECONDS < said.acknowledged_at and not self._world.requests.moved(said.person):
                self._witness.found("event order", f"{said.text} is told before {other.text}", person)

    # --- what is asked of wabot ---

    async def note_failed(self) -> None:
        """What is recorded as failed: each three days after it was written."""
        cursor: str | None = ""
        while self._urls and cursor is not None:
            found = await self._world.operators.surely("GET", f"/events?state=failed&limit=200{cursor}")
            self._check_failed(found.json["events"])
            following = found.json.get("next_cursor")
            cursor = None if following is None else f"&cursor={following}"

    def _check_failed(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            key = (event["endpoint"], event["webhook_id"])  # endpoints are told the same event by the same id
            if key not in self._failed:
                lasted = event["settled_at"] - event["created_at"]
                if not LASTS_SECONDS - CLOCK_SECONDS < lasted < LASTS_SECONDS + LATE_SECONDS + CLOCK_SECONDS:
                    self._witness.found("event given up", f"{event['webhook_id']} failed after {lasted:.0f} s")
                self._failed[key] = event

    async def at_rest(self) -> None:
        """All that became true was told."""
        await self.note_failed()
        for url in self._urls:
            for state in ("waiting", "queued", "running"):
                found = await self._world.operators.surely("GET", f"/events?state={state}")
                for event in found.json["events"]:
                    self._witness.found("no rest", f"event {event['webhook_id']} is {state}: {event['error']}")
            self._check_told(url)

    def _check_told(self, url: str) -> None:
        told = self._told[url]
        until = self._witness.now() - 3600.0
        for word in self._witness.words.values():
            if word.forgotten or word.acknowledged_at is None or word.acknowledged_at > until:
                continue
            if word.wamid and word.wamid not in told["message.received"]:
                self._missing(url, "message.received", word.text, word.person, word.acknowledged_at)
            for job, at in word.jobs.items():
                self._check_send(told, url, f"{job} with {word.text}", word.person, job, at)
        for batch_id, words in self._witness.batches.items():
            if batch_id not in told["batch.settled"] and url == self._urls[0]:
                if not self._world.schedules.may_wait(words):
                    self._missing(url, "batch.settled", batch_id, -1, self._settled_at(words))
        for person, wish in self._witness.wishes.items():
            if wish.stop and wish.since is not None and str(person) not in told["contact.opted_out"]:
                if url == self._urls[0]:
                    self._missing(url, "contact.opted_out", f"the STOP of {person}", person, wish.since)

    def _settled_at(self, words: list[str]) -> float:
        """About when a batch was settled."""
        known = [self._witness.words[word] for word in words]
        due: float = self._world.schedules.due.get(words[0], 0.0)
        return max(
            due, *(word.acknowledged_at or 0.0 for word in known), *(at for w in known for at in w.jobs.values())
        )

    def _check_send(self, told: dict[str, set[str]], url: str, what: str, person: int, job: str, at: float) -> None:
        copies = self._world.requests.copies_of(job)
        proved = {copy.wamid for copy in copies if copy.proved_at is not None}
        if proved and not any(copy.wamid in told["message.sent"] for copy in copies):
            self._missing(url, "message.sent", what, person, at)
        if any("delivered" in copy.statuses for copy in copies):
            if not any(copy.wamid in told["message.delivered"] | told["message.read"] for copy in copies):
                self._missing(url, "message.delivered", what, person, at)

    def _missing(self, url: str, type_: str, what: str, person: int, at: float) -> None:
        """A finding, unless it is recorded as failed."""
        if person >= 0 and self._world.requests.moved(person, ever=True):
            return
        for event in self._failed.values():
            near = abs(event["created_at"] - START - at) < LATE_SECONDS + CLOCK_SECONDS
            if event["endpoint"] == url and event["type"] == type_ and near:
                return
        self._witness.found("event untold", f"{type_} of {what} was not told to {url}", person)
