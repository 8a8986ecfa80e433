from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journal.scene import ANA, Scene
from wabot.core.jobs import Event, IllegalMove, State
from wabot.journal import transitions
from wabot.journal.transitions import Moved, apply_event

WRITES_A_STATE = re.compile(r"UPDATE jobs SET (?:(?!WHERE)[^;])*?\bstate = ", re.DOTALL)


async def test_an_event_moves_a_job_once_and_only_out_of_the_state_it_was_meant_for(scene: Scene) -> None:
    await scene.batch(ANA)
    (job,) = scene.rows("SELECT id, contact_id FROM jobs")
    write = scene.journal.writer
    cancelled = await write(apply_event, job["id"], State.QUEUED, Event.CANCEL, scene.now, also="error = :why", why="x")
    assert cancelled == Moved(State.CANCELLED, job["contact_id"], merges_wait=False)
    assert await write(apply_event, job["id"], State.QUEUED, Event.CANCEL, scene.now + 1, also="error = 'y'") is None
    row = scene.job(job["id"])
    assert (row["state"], row["settled_at"], row["error"]) == ("cancelled", scene.now, "x")


async def test_an_event_with_a_token_moves_only_the_claim_that_it_belongs_to(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    write = scene.journal.writer
    assert await write(apply_event, job.id, State.RUNNING, Event.RETRY, scene.now, token=job.token + 1) is None
    assert await write(apply_event, job.id, State.RUNNING, Event.RETRY, scene.now, token=job.token) is not None


async def test_an_event_that_cannot_happen_is_a_bug_and_changes_nothing(scene: Scene) -> None:
    await scene.batch(ANA)
    (job,) = scene.rows("SELECT id FROM jobs")
    with pytest.raises(IllegalMove):
        await scene.journal.writer(apply_event, job["id"], State.QUEUED, Event.BOUNCE, scene.now)
    assert scene.job(job["id"])["state"] == "queued"


def test_no_other_module_of_the_journal_changes_the_state_of_a_job() -> None:
    modules = Path(transitions.__file__).parent.glob("*.py")
    sources = {module.stem: re.sub(r'"\s+f?"', "", module.read_text()) for module in modules}
    assert [name for name, source in sources.items() if WRITES_A_STATE.search(source)] == ["transitions"]
