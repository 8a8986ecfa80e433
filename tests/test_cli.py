"""The terminal: its arguments, what it needs to be told, and how it says what is wrong with a file or an address."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.business import business
from tests.process import RUN, environment
from wabot import cli, running_address
from wabot.log import configure, get_logger
from wabot.settings.journald import is_journald
from wabot.settings.loading import SettingsError, load
from wabot.settings.sections import Log


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty directory, in which nothing is set up."""
    monkeypatch.chdir(tmp_path)
    yield
    configure(Log())


@pytest.mark.parametrize(
    "argv",
    [["--config", "c.toml", "--sandbox", "doctor", "--json"], ["doctor", "--json", "--sandbox", "--config", "c.toml"]],
)
def test_options_stand_before_or_after_the_command(argv: list[str]) -> None:
    args = cli._arguments(argv)
    assert (args.command, str(args.config), args.sandbox, args.json) == ("doctor", "c.toml", True, True)


def test_a_command_needs_neither_token_nor_secret() -> None:
    assert load(None, environ={"PORT": "9999"}, whole=False).server.port == 9999
    with pytest.raises(SettingsError, match="access_token"):
        load(None, environ={"PORT": "9999"})


@pytest.mark.parametrize("arguments", [["--keep"], ["--sandbox", "--keep", "doctor"]])
def test_a_journal_is_kept_only_for_the_sandbox_itself(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli._arguments(arguments)
    assert "--keep goes with --sandbox" in capsys.readouterr().err


async def test_where_nothing_is_set_up_a_command_finds_the_sandbox_that_runs(tmp_path: Path) -> None:
    async with business(tmp_path / "data" / "sandbox", sandbox=True) as wabot:
        args = cli._arguments(["outbox", "list"])
        settings = cli._settings(args)
        assert args.sandbox
        assert settings.whatsapp.graph_api_base == wabot.settings.whatsapp.graph_api_base
        assert running_address.of_running(settings.server.data_dir)["wabot"] == wabot.url
    assert not cli._settings(cli._arguments(["outbox", "list"])).whatsapp.access_token


async def test_beside_a_sandbox_a_question_is_asked_with_the_assistant_of_config_toml(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[server]\nport = 1\n[assistant]\nprompt_file = "p.txt"\nprovider = "gemini"\n'
    )
    async with business(tmp_path / "data" / "sandbox", sandbox=True) as wabot:
        settings = cli._settings(cli._arguments(["ask", "How much is a haircut?"]))
        assert (settings.assistant.provider, str(settings.assistant.prompt_file)) == ("gemini", "p.txt")
        assert running_address.of_running(settings.server.data_dir)["wabot"] == wabot.url


def started(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    env = environment(WABOT_ASSISTANT__PROVIDER="canned")
    return subprocess.run(
        [sys.executable, *command], env=env, stderr=subprocess.PIPE, text=True, check=False, **options
    )


def test_without_its_packages_it_says_how_to_install_them() -> None:
    bare = started("-S", RUN, "--sandbox")  # -S: without site-packages

    assert bare.returncode == 1
    (said,) = bare.stderr.splitlines()
    assert said.startswith("wabot: phonenumbers is not installed for ")
    assert ".venv/bin/pip install -q -r requirements.txt" in said


def test_an_older_python_is_told_what_is_needed() -> None:
    pretend = f"import runpy, sys; sys.version_info = (3, 8); runpy.run_path({str(RUN)!r}, run_name='__main__')"
    old = started("-c", pretend)

    assert (old.returncode, old.stderr.partition(";")[0]) == (1, "wabot: needs Python 3.11 or later")
    assert ast.parse(RUN.read_text("utf-8"), feature_version=(3, 4))


def test_who_has_read_enough_of_the_output_ends_it_in_silence() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        cut = started(RUN, "ask", "Hello", stdout=gone)

    assert (cut.returncode, cut.stderr) == (128 + signal.SIGPIPE, "")


def test_a_closed_standard_stream_is_no_error() -> None:
    closed = started(RUN, "ask", "Hello", preexec_fn=partial(os.closerange, 0, 2))

    assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named_with_its_owner_and_who_asks(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "config.toml").chmod(0)
    with pytest.raises(SettingsError, match=r"config\.toml \(it belongs to .*, mode 000; this runs as .*\): cannot be"):
        load(None)


def test_a_file_that_is_not_there_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_journald_is_told_priorities_and_keeps_the_time_itself(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(), journald=True)
    get_logger().warning("problem.began", problem="disk")
    get_logger().info("wabot.started")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        get_logger().exception("bug.found")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["<4>warning  problem.began problem=disk", "<6>info     wabot.started"]
    assert len(lines) > 4
    assert all(line.startswith("<3>") for line in lines[2:])
    configure(Log(format="json"), journald=True)
    get_logger().warning("problem.began")
    line = capsys.readouterr().out
    assert json.loads(line.removeprefix("<4>")) == {"level": "warning", "event": "problem.began"}


def test_journald_is_known_by_what_systemd_says_of_the_stream(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert is_journald(stream.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journald(stream.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journald(stream.fileno(), {})


def test_a_right_that_is_missing_is_said_with_who_has_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/var/lib/wabot/wabot.db")

    monkeypatch.setattr(cli, "_command", refused)
    assert cli.main(["backup", "x.db"]) == cli.FAILED
    assert capsys.readouterr().err.endswith("wabot.db: Permission denied: run this as wabot's user, or as root\n")
