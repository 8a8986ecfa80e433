from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.journal.machine import JournalMachine
from tests.journal.machine_of_talks import TalksMachine
from wabot.journal import batches


@pytest.mark.parametrize("machine", [JournalMachine, TalksMachine])
def test_the_journal_does_what_a_small_model_of_it_does(
    machine: type[JournalMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SLICE", 1)  # a batch for two is queued in slices, one for one is not
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # what fails is shown as it was drawn: shrinking fifty steps takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
