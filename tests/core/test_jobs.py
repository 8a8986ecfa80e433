from __future__ import annotations

from itertools import product

import pytest

from wabot.core.jobs import OPEN, TRANSITIONS, Event, IllegalMove, State, move

DRAWN = """
    waiting   promote→queued cancel→cancelled expire→expired park→parked prove→done
    queued    claim→running demote→waiting cancel→cancelled expire→expired park→parked prove→done
    running   succeed→done retry→queued hold→held lose_track→in_doubt give_up→failed expire→expired park→parked
    running   prove→done take_over→cancelled
    in_doubt  prove→done retry→queued hold→held park→parked give_up→failed
    held      release→waiting reopen→waiting cancel→cancelled expire→expired park→parked prove→done
    done      bounce→held give_up→failed park→parked
    failed    reopen→waiting prove→done
    parked    reopen→waiting cancel→cancelled prove→done
    cancelled prove→done
    expired   prove→done
"""
"""Every way between two states, drawn a second time by hand: a change of the table is meant, or it is a mistake."""


def drawn() -> dict[tuple[State, Event], State]:
    ways = {}
    for line in DRAWN.split("\n"):
        for way in line.split()[1:]:
            event, _, after = way.partition("→")
            ways[State(line.split()[0]), Event(event.replace("_", " "))] = State(after)
    return ways


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_a_move_is_in_the_table_or_a_bug(state: State, event: Event) -> None:
    if after := drawn().get((state, event)):
        assert move(state, event) is after
        assert event in TRANSITIONS[state]
    else:
        assert event not in TRANSITIONS[state]
        with pytest.raises(IllegalMove, match=str(state)):
            move(state, event)


def test_every_state_has_its_row_and_every_event_its_place() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


def test_what_is_over_goes_on_only_by_a_receipt_or_a_person() -> None:
    by_receipt, by_hand = {Event.PROVE, Event.BOUNCE, Event.GIVE_UP, Event.PARK}, {Event.REOPEN, Event.CANCEL}
    for state in set(State) - OPEN:
        assert set(TRANSITIONS[state]) <= by_receipt | by_hand


def test_a_receipt_proves_a_send_wherever_it_stands() -> None:
    assert {state for state, events in TRANSITIONS.items() if Event.PROVE in events} == set(State) - {State.DONE}


def test_from_every_open_state_there_is_a_way_to_the_end() -> None:
    for state in OPEN:
        reached, grown = {state}, set[State]()
        while reached != grown:
            grown = set(reached)
            reached |= {after for before in grown for after in TRANSITIONS[before].values()}
        assert State.DONE in reached
        assert State.FAILED in reached
