"""The systemd units of deploy/: what they promise about starting, stopping and bounds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import ROOT
from wabot import cli
from wabot.assembly import start_and_stop

DEPLOY = ROOT / "deploy"


def unit(name: str) -> dict[str, str]:
    """The settings of a unit; of those that stand there several times the last."""
    return dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / name).read_text("utf-8"), re.MULTILINE))


def test_systemd_waits_for_longer_than_we_take_to_stop() -> None:
    longest = start_and_stop.ANSWER_SECONDS + start_and_stop.DRAIN_SECONDS

    assert longest <= 10 < int(unit("wabot.service")["TimeoutStopSec"])


def test_systemd_gives_up_on_refused_settings_alone_and_tries_everything_else_ever_more_slowly() -> None:
    set_to = unit("wabot.service")

    assert (set_to["Restart"], set_to["RestartPreventExitStatus"]) == ("always", str(cli.MISUSED))
    assert set_to["StartLimitIntervalSec"] == "0"
    assert int(set_to["RestartSec"]) < int(set_to["RestartMaxDelaySec"]) == 60
    assert int(set_to["RestartSteps"]) > 0


def test_the_unit_bounds_what_wabot_may_take_of_the_machine() -> None:
    set_to = unit("wabot.service")

    assert re.fullmatch(r"\d+[MG]", set_to["MemoryMax"])
    assert set_to["TasksMax"].isdigit()


def test_the_timer_starts_the_backup_every_night_also_after_one_that_was_slept_through() -> None:
    timer, service = unit("wabot-backup.timer"), unit("wabot-backup.service")

    assert timer["OnCalendar"] == "*-*-* 03:17:00"
    assert (timer["Persistent"], timer["WantedBy"]) == ("yes", "timers.target")
    assert service["ExecStart"] == "/opt/wabot/deploy/backup.sh /var/lib/wabot-backups"
    assert service["Environment"].endswith("WABOT_SERVER__DATA_DIR=/var/lib/wabot")
    assert unit("wabot.service")["StateDirectory"] == "wabot"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    names = ("wabot.service", "wabot-backup.service", "wabot-backup.timer")
    for name in names:
        text = (DEPLOY / name).read_text("utf-8").replace("/opt/wabot/.venv/bin/python", sys.executable)
        (tmp_path / name).write_text(text.replace("/opt/wabot", str(ROOT)), "utf-8")

    checked = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / name for name in names)], capture_output=True, text=True, check=False
    )

    newer = re.compile(r"Unknown key '(RestartSteps|RestartMaxDelaySec)'")  # systemd before 254 passes over them
    assert [line for line in checked.stderr.splitlines() if not newer.search(line)] == []
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("name", "opens", "paths"),
    [
        ("Caddyfile", r"^\s*(?:handle|@meta path) (?!@meta|\{)(.+)$", "/webhook /webhook/*"),
        ("nginx.conf", r"location (?!/ )(.+) \{", "~ ^/webhook(/[0-9]+)?$"),
    ],
)
def test_the_proxies_let_nothing_but_the_webhook_through(name: str, opens: str, paths: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")

    assert re.findall(opens, text, re.MULTILINE) == [paths]
    assert len(re.findall(r"(?:proxy_pass\s+http://|reverse_proxy (?:\{\$WABOT:)?)127\.0\.0\.1:8080", text)) == 1
    assert "404" in text
