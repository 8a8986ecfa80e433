from __future__ import annotations

import pytest

from wabot.monitor.problem_list import Problems


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []

    class Log:
        def warning(self, event: str, **_: object) -> None:
            seen.append(("warning", event))

        def info(self, event: str, **_: object) -> None:
            seen.append(("info", event))

    monkeypatch.setattr("wabot.monitor.problem_list.log", Log())
    return seen


def test_a_problem_that_shows_again_and_again_is_logged_once_and_keeps_its_beginning(
    clock: Clock, lines: list[tuple[str, str]]
) -> None:
    problems = Problems(clock)
    began = clock.now
    problems.begin("model", "The model refuses the key", "Put a new key into assistant.api_key.")
    clock.now += 60
    problems.begin("model", "The model knows no such model", "See assistant.model.", next_probe=clock.now + 5)
    assert problems.documents() == [
        {
            "what": "The model knows no such model",
            "since": began,
            "remedy": "See assistant.model.",
            "next_probe": clock.now + 5,
        }
    ]
    assert lines == [("warning", "problem.began")]


def test_one_that_ends_is_gone_and_said_so_once(clock: Clock, lines: list[tuple[str, str]]) -> None:
    problems = Problems(clock)
    problems.end("disk")
    problems.begin("disk", "The disk is full", "Make room.")
    assert problems
    problems.end("disk")
    problems.end("disk")
    assert (bool(problems), problems.documents()) == (False, [])
    assert lines == [("warning", "problem.began"), ("info", "problem.ended")]


def test_the_oldest_is_told_first(clock: Clock) -> None:
    problems = Problems(clock)
    for name in ("b", "a"):
        problems.begin(name, name, "do it")
        clock.now += 1
    assert [problem["what"] for problem in problems.documents()] == ["b", "a"]
