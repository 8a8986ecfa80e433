"""What a log line shows, what it never shows, and what it costs."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from wabot import log as wabot_log
from wabot import log_format
from wabot.log import configure, get_logger, hide, quiet_warnings
from wabot.settings.sections import Log

LOG = get_logger()


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    hide([])
    configure(Log())
    for handler in list(logging.getLogger().handlers):
        if type(handler).__module__ == wabot_log.__name__:
            logging.getLogger().removeHandler(handler)


def one_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_a_line_for_people_has_time_level_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log())

    LOG.info("send.settled", outbox_id="o1", seconds=0.25, reason="too late", ok=True, empty="")

    line = capsys.readouterr().out
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info     send\.settled "
        r"outbox_id=o1 seconds=0\.25 reason='too late' ok=True empty=''\n",
        line,
    )


@pytest.mark.parametrize(
    "value", ["", "a b", "=", "a=", "x= ", "\n", " ", "[1, 2]", [1, 2], {}, "\u2028", "Grüße", None, 1.5]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_values_are_quoted_where_they_need_it_wherever_they_stand(
    value: object, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Log())
    values: list[object] = ["plain", 7, "x="]
    values[place] = value

    LOG.info("a.b", **dict(zip(("one", "two", "three"), values, strict=True)))

    one, two, three = (log_format.word(value) for value in values)
    assert capsys.readouterr().out.endswith(f"info     a.b one={one} two={two} three={three}\n")


def test_a_line_for_machines_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"))

    LOG.bind(lane="send").warning("lane.paused", reason="Grüße\n", seconds=3)

    line = one_json(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "warning", "event": "lane.paused", "lane": "send", "reason": "Grüße\n", "seconds": 3}


def test_the_level_decides_and_a_later_configure_reaches_loggers_already_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Log(level="warning"))
    LOG.info("first.seen")
    configure(Log(level="debug"))
    LOG.debug("second.seen")

    out = capsys.readouterr().out
    assert "first.seen" not in out
    assert "second.seen" in out


def test_a_logger_works_before_anything_is_configured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wabot_log, "_logger", wabot_log._Logger())
    log = get_logger()

    log.debug("too.quiet")
    log.info("webhook.accepted", number="919216598210")

    assert capsys.readouterr().out.endswith("webhook.accepted number=91…10\n")


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize("key", ["number", "contact", "from", "to", "wa_id", "bsuid"])
def test_who_somebody_is_stays_masked(key: str, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log.model_validate({"format": style, "bodies": True}))

    LOG.info("message.seen", **{key: "919216598210"})
    LOG.info("message.seen", **{key: ["919216598210"]})

    out = capsys.readouterr().out
    assert "91…10" in out
    assert "9216598" not in out


def test_the_journals_own_id_of_a_contact_is_shown_but_a_number_as_integer_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Log())

    LOG.info("message.seen", contact=4711, number=919216598210, to=None)

    assert capsys.readouterr().out.endswith("contact=4711 number=91…10 to=?\n")


def test_what_people_write_is_left_out_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"body": "private", "text": "private", "raw": "private"}
    configure(Log())
    LOG.info("message.seen", **said, type="text")
    assert capsys.readouterr().out.endswith("message.seen type=text\n")

    configure(Log(bodies=True))
    LOG.info("message.seen", **said)
    assert capsys.readouterr().out.count("private") == 3


def test_a_value_can_neither_forge_a_line_nor_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log())

    LOG.info("contact.met", name="Eve\n2026 info send.settled \x1b[2J", names=["\x9b1m"])

    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert "\x1b" not in out
    assert "\x9b" not in out


UNSEEN = "\x1b \x7f \x85 \x9b \xad \u061c \u200b \u200f \u2028 \u2029 \u202e \u2066 \u2069 \ufeff \U000e0041"
"""Controls of both kinds, line ends, what turns the direction, what has no width, a tag."""


@pytest.mark.parametrize("style", ["console", "json"])
def test_what_nobody_can_see_is_escaped(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log.model_validate({"format": style}))

    try:
        raise RuntimeError(f"a{UNSEEN}b")
    except RuntimeError:
        LOG.exception("contact.met", name=f"a{UNSEEN}b", names=[UNSEEN], more={UNSEEN: UNSEEN})
    logging.getLogger("some.library").error("met a%sb", UNSEEN)

    out = capsys.readouterr().out
    assert [char for char in out if not char.isprintable() and char != "\n"] == []
    assert "u2028" in out
    if style == "json":
        assert [json.loads(line).get("name") for line in out.splitlines()] == [f"a{UNSEEN}b", None]


def test_broken_unicode_does_not_break_the_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    configure(Log(format="json"))

    LOG.info("contact.met", name="\ud83d")

    assert b"contact.met" in capsysbinary.readouterr().out


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_is_shown_without_the_secrets_in_it(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log.model_validate({"format": style}))
    hide(["hush-hush", 'qu"ote\\d-secret', "short"])

    try:
        raise RuntimeError('token hush-hush and qu"ote\\d-secret\x1b[2J\nnot short')
    except RuntimeError as error:
        LOG.exception("lane.broken", url="https://x/?t=hush-hush", why=str(error))

    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "RuntimeError: token *** and ***" in out
    assert "hush" not in out
    assert "-secret" not in out
    assert "short" in out
    assert "\x1b" not in out
    assert all(line.startswith("    ") for line in out.splitlines()[1:])


def test_what_is_hidden_is_replaced_by_the_next_hide(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log())
    hide(["first-secret"])
    hide(["second/secret"])

    LOG.info("a.b", one="first-secret", two="second/secret", three="second%2Fsecret")

    assert capsys.readouterr().out.endswith("one=first-secret two=*** three=***\n")


def test_libraries_are_heard_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json", level="debug"))
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)

    library.debug("chatter")
    library.info("chatter")
    library.warning("slow %s", "disk")

    assert (
        one_json(capsys).items()
        >= {
            "event": "library.logged",
            "level": "warning",
            "logger": "some.library",
            "message": "slow disk",
        }.items()
    )


def test_a_librarys_traceback_and_its_odd_level_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"))
    configure(Log(format="json"))  # a second time adds no second line

    try:
        raise KeyError("gone")
    except KeyError:
        logging.getLogger("odd").log(45, "broken", exc_info=True)

    line = one_json(capsys)
    assert (line["level"], line["message"]) == ("error", "broken")
    assert "KeyError: 'gone'" in line["exception"]


def test_a_library_whose_arguments_do_not_fit_is_heard_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"))
    record = logging.LogRecord("odd", logging.ERROR, __file__, 1, "broken %d", ("text",), None)

    logging.getLogger().handlers[-1].handle(record)  # ours alone: pytest's own would raise

    assert one_json(capsys)["message"] == "broken %d"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the disk that is always full is Linux's")
def test_a_full_disk_silences_the_log_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(Log())
    with open("/dev/full", "wb", buffering=0) as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", SimpleNamespace(buffer=full))
        LOG.info("webhook.accepted")
        patch.setattr(sys, "stdout", None)
        LOG.info("webhook.accepted")


def test_no_colours_without_a_terminal_and_some_with_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(Log())
    LOG.error("lane.broken")
    assert "\x1b" not in capsys.readouterr().out

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    configure(Log())
    LOG.error("lane.broken")
    assert "\x1b[31merror" in capsys.readouterr().out


def test_deprecations_are_no_news_for_whoever_runs_this() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        quiet_warnings()
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("older", FutureWarning, stacklevel=1)
        warnings.warn("listen", UserWarning, stacklevel=1)

    assert [str(warning.message) for warning in seen] == ["listen"]


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_line_costs_microseconds(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log.model_validate({"format": style}))
    hide([f"secret-number-{n}" for n in range(8)])

    def seconds_for_a_thousand() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            LOG.info("webhook.accepted", received=1, stored=1, number="919216598210")
        return time.perf_counter() - start

    # About 7 µs a line on a quiet machine; the bound only catches a logger that is built anew for each line.
    assert min(seconds_for_a_thousand() for _ in range(7)) < 0.05
