"""The operator's part of the service: shows batches, the outbox and costs, and acts on them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from wabot.core.jobs import Kind
from wabot.core.waiting_reasons import why
from wabot.journal.batch_results import FAILED, QUEUED, SENT, Counts, RecipientResult, batch_document
from wabot.journal.bulk_retry import Retry
from wabot.journal.event_queue import EventQuery
from wabot.journal.journal import Journal
from wabot.journal.outbox_list import Query
from wabot.log import get_logger
from wabot.offload import Offload
from wabot.work.lane import Lane

log = get_logger()

JOB_ID = re.compile(r"[1-9][0-9]{0,17}")


class Operations:
    """Lists, shows, retries and cancels sends and batches."""

    _journal: Journal
    _lanes: Mapping[Kind, Lane]
    _offload: Offload
    _clock: Callable[[], float]

    def now(self) -> float:
        """Unix seconds, as all of this account reads them."""
        return self._clock()

    async def batch(self, batch_id: str) -> dict[str, Any] | None:
        """A batch with its counts, and its results in the order of the request; None if unknown."""
        head = await self._journal.batch_head(batch_id)
        found = await self._journal.results(batch_id)
        if head is None or found is None:
            return None
        results = await self._offload(lambda: [self._result(result) for result in found])
        of = Counter(result["status"] for result in results)
        counts = Counts(len(results), of[SENT], of[FAILED], of[QUEUED])
        return {**batch_document(head, counts, self._clock()), "results": results}

    async def batches(self, limit: int, cursor: str | None) -> list[dict[str, Any]] | None:
        """A page of the batches with their counts, newest first; None if the cursor is no batch."""
        heads = await self._journal.batches(limit, cursor)
        return (
            None
            if heads is None
            else [batch_document(head, await self._journal.batch_counts(head.id), self._clock()) for head in heads]
        )

    async def cancel_batch(self, batch_id: str) -> dict[str, Any] | None:
        """Cancel all sends of a batch that have not left; its counts afterwards, None if unknown."""
        if not await self._journal.cancel_batch(batch_id, self._clock()):
            return None
        head, counts = await self._journal.batch_head(batch_id), await self._journal.batch_counts(batch_id)
        log.info("batch.cancelled", batch=batch_id, sent=counts.sent, failed=counts.failed, open=counts.queued)
        return None if head is None else batch_document(head, counts, self._clock())

    async def outbox(self, query: Query) -> list[dict[str, Any]]:
        """The sends or replies that match `query`, newest first, each with why it waits."""
        return [self._explained(job) for job in await self._journal.outbox(query)]

    async def outbox_one(self, outbox_id: str) -> dict[str, Any] | None:
        """One send or reply with all details; None if unknown."""
        job_id = self.job_id(outbox_id)
        return None if job_id is None else await self._shown(job_id)

    async def retry(self, outbox_id: str) -> dict[str, Any] | None:
        """Retry a failed, parked or held send now; None if unknown. Raises CannotMove."""
        job_id = self.job_id(outbox_id)
        if job_id is None or await self._journal.retry(job_id, self._clock()) is None:
            return None
        return await self._shown(job_id)

    async def retry_all(self, retry: Retry) -> dict[str, int]:
        """Retry all sends that match `retry`. `left`: how many were skipped because they may arrive twice."""
        retried, left = await self._journal.retry_all(retry, self._clock())
        log.info("outbox.retried", retried=retried, left=left, batch=retry.batch_id, code=retry.error_code)
        return {"retried": retried, "left": left}

    async def retry_counts(self, retry: Retry) -> dict[str, int]:
        """How many sends match `retry`: those that are `safe`, and those that `may_repeat`, that is, arrive twice."""
        safe, may_repeat = await self._journal.retry_counts(retry)
        return {"safe": safe, "may_repeat": may_repeat}

    async def cancel(self, outbox_id: str) -> dict[str, Any] | None:
        """Cancel a send that has not left; None if unknown. Raises CannotMove."""
        job_id = self.job_id(outbox_id)
        if job_id is None or await self._journal.cancel(job_id, self._clock()) is None:
            return None
        return await self._shown(job_id)

    async def costs(self, month: str | None) -> dict[str, Any]:
        """How many messages of a month ("2026-10", UTC; None: this one) Meta charges for, by category."""
        month = month or datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m")
        found = await self._journal.priced(month)
        return {
            "month": month,
            "messages": [asdict(each) for each in found],
            "total": sum(each.count for each in found),
        }

    async def events(self, query: EventQuery) -> list[dict[str, Any]]:
        """The events that match `query`, newest first."""
        return [self._event(event) for event in await self._journal.events(query)]

    async def events_as_jobs(self, query: EventQuery) -> list[dict[str, Any]]:
        """The same, as the outbox shows jobs."""
        return [
            self._explained({"outbox_id": event.pop("id"), "kind": str(Kind.EVENT), **event})
            for event in await self.events(query)
        ]

    async def retry_event(self, event_id: str) -> dict[str, Any] | None:
        """Tell a failed event after all; None if unknown. Raises CannotMove."""
        found, number = None, self.job_id(event_id)
        if number is not None:
            found = await self._journal.retry_event(number, self._clock())
        return None if found is None else self._event(found)

    async def hurry_events(self) -> None:
        """Try all events now that wait for their next try."""
        await self._journal.hurry_events(self._clock())

    def _event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**event, "id": f"{self._journal.name}-{event['id']}"}

    def job_id(self, outbox_id: str) -> int | None:
        """The job id in an outbox id; None if it is not one of this journal."""
        name, _, number = outbox_id.partition("-")
        return int(number) if name == self._journal.name and JOB_ID.fullmatch(number) else None

    async def _shown(self, job_id: int) -> dict[str, Any] | None:
        job = await self._journal.outbox_one(job_id)
        return None if job is None else self._explained(job)

    def _explained(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """A job with why it waits, in plain words."""
        kind = Kind(job["kind"])
        pause = self._lanes[kind].paused if kind in self._lanes else None
        reason = why(
            kind, job["state"], due_at=job["due_at"], now=self._clock(), attempts=job["attempts"],
            error=job["error"], paused=pause.reason if pause else None,
        )  # fmt: skip
        return {**job, "why": reason}

    def _result(self, result: RecipientResult) -> dict[str, Any]:
        outbox = {"outbox_id": f"{self._journal.name}-{result.job_id}"} if result.job_id is not None else {}
        line: dict[str, Any] = {"number": result.number, "success": False, "status": "failed", **outbox}
        if result.duplicate:
            line["duplicate"] = True
        if result.status == QUEUED:
            return {**line, "status": "queued"}
        if result.status == SENT:
            return {**line, "success": True, "status": "sent", "response": result.answer}
        code = result.error_code if result.error_code is not None else str(result.state)
        return {**line, "error": result.error or f"The send is {result.state}", "error_code": code}
