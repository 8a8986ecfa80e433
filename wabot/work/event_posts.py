"""Tells the owner's programs what happened: both ends of the lane of events, the claims and the posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wabot.core.exceptions import WabotError
from wabot.core.jobs import Event, Job, Kind, Outcome, State
from wabot.core.owner_events import GONE, Endpoint, after_failed_post

AT_ONCE = 8
"""Posts to one endpoint at a time, of different contacts; only one as long as the last one failed."""
SECONDS = 10.0
LARGEST_ANSWER = 64 * 1024
"""What an endpoint may take, and may answer: of its answer only the status counts."""


class Answer(Protocol):
    """An answer, of which the status counts."""

    @property
    def status(self) -> int: ...


class SignedPost(Protocol):
    """Posts a signed body. Raises WabotError if there is no answer."""

    async def post(
        self, url: str, secret: str, body: bytes, *, id_: str, timestamp: int, seconds: float, limit: int
    ) -> Answer: ...


class Journal(Protocol):
    """The journal, as events need it."""

    async def claim_events(self, room: Mapping[str, int], now: float) -> list[Job]: ...
    async def settle_event(self, job: Job, outcome: Outcome, now: float) -> State | None: ...
    async def events_due(self, endpoints: Sequence[str]) -> float | None: ...


@dataclass(slots=True)
class _Standing:
    """How an endpoint fares. `off`: it answered 410."""

    failing: bool = False
    off: bool = False


class EventPosts:
    """Claims and handles events, so that no endpoint waits for another. `on_off`: an endpoint wants nothing more."""

    def __init__(
        self,
        journal: Journal,
        endpoints: Sequence[Endpoint],
        post: SignedPost,
        *,
        clock: Callable[[], float],
        noise: Callable[[], float],
        on_off: Callable[[str], None],
        on_posted: Callable[[str, str, float], None],
    ) -> None:
        self._journal, self._post, self._clock, self._noise = journal, post, clock, noise
        self._endpoints = {endpoint.url: endpoint for endpoint in endpoints}
        self._standing = {url: _Standing() for url in self._endpoints}
        self._at_work = Counter[str]()
        self._on_off, self._on_posted = on_off, on_posted

    @property
    def at_once(self) -> int:
        """The most posts at a time."""
        return AT_ONCE * len(self._endpoints)

    # The source of the lane

    async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]:
        """Claim due events of the endpoints that have room, of those with the fewest posts first."""
        room = dict[str, int]()
        for url in sorted(self._free(), key=self._at_work.__getitem__):
            room[url] = min(limit, self._room_of(url))
            limit -= room[url]
        jobs = await self._journal.claim_events({url: most for url, most in room.items() if most > 0}, now)
        self._at_work.update(job.post.endpoint for job in jobs if job.post)
        return jobs

    async def settle(self, job: Job, outcome: Outcome, now: float) -> State | None:
        """Store the outcome; the endpoint has room again."""
        state = await self._journal.settle_event(job, outcome, now)
        if job.post:
            self._at_work[job.post.endpoint] -= 1
        return state

    async def next_due(self, kind: Kind) -> float | None:
        """When the first event is due whose endpoint has room."""
        return await self._journal.events_due(self._free())

    def _free(self) -> list[str]:
        return [url for url in self._endpoints if self._room_of(url) > 0]

    def _room_of(self, url: str) -> int:
        return (1 if self._standing[url].failing else AT_ONCE) - self._at_work[url]

    # The handler of the lane

    def room(self, now: float) -> float:
        """How many more posts may start."""
        return sum(max(self._room_of(url), 0) for url in self._endpoints)

    def room_in(self, now: float) -> float:
        """Whether there is room does not depend on the time."""
        return 0.0

    def started(self, count: int, now: float) -> None:
        """They were counted when they were claimed."""

    async def handle(self, job: Job) -> Outcome:
        """Post the event, and see what the endpoint says."""
        if job.post is None:
            return self.gave_up(job, "it has no content")
        endpoint, standing = self._endpoints[job.post.endpoint], self._standing[job.post.endpoint]
        expires_at, began = job.expires_at or 0.0, self._clock()
        if standing.off:
            return self._wait_for_restart(expires_at)
        try:
            answer = await self._post.post(
                endpoint.url, endpoint.secret, job.post.body.encode(), id_=job.post.webhook_id,
                timestamp=int(self._clock()), seconds=SECONDS, limit=LARGEST_ANSWER,
            )  # fmt: skip
            status, error = answer.status, f"HTTP {answer.status}"
        except WabotError as failure:
            status, error = 0, str(failure)
        told = 200 <= status < 300
        standing.failing = not told
        self._on_posted(endpoint.name, "told" if told else "failed", self._clock() - began)
        if told:
            return Outcome(Event.SUCCEED)
        if status == GONE:
            standing.off = True
            self._on_off(endpoint.name)
            return self._wait_for_restart(expires_at)
        return after_failed_post(error, spent=job.spent, now=self._clock(), expires_at=expires_at, noise=self._noise())

    def gave_up(self, job: Job, error: str) -> Outcome:
        """The outcome of an event that cannot be posted."""
        return Outcome(Event.GIVE_UP, error=error)

    def _wait_for_restart(self, expires_at: float) -> Outcome:
        error = "The endpoint answered 410 and is off until wabot restarts"
        if self._clock() >= expires_at:
            return Outcome(Event.GIVE_UP, error=error)
        return Outcome(Event.RETRY, due_at=expires_at, error=error)
