"""`python run.py doctor`, as somebody at a terminal has it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.business import business
from tests.doctor.test_doctor import WHATSAPP, meta
from tests.house import ROOT
from wabot.core import health_checks


async def doctor(*arguments: str, config: Path) -> tuple[int, str]:
    """Its exit status and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), "--config", str(config), "doctor", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=config.parent,
    )  # fmt: skip
    out, err = await process.communicate()
    assert err == b""
    assert process.returncode is not None
    return process.returncode, out.decode()


def configured(place: Path, **whatsapp: str) -> Path:
    values = "\n".join(f'{name} = "{value}"' for name, value in (WHATSAPP | whatsapp).items())
    file = place / "config.toml"
    file.write_text(f'[whatsapp]\n{values}\n[assistant]\nprovider = "canned"\n', "utf-8")
    return file


async def test_it_says_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    async with business(tmp_path / "data", meta=meta(), whatsapp=WHATSAPP) as b:
        file = configured(tmp_path, graph_api_base=b.settings.whatsapp.graph_api_base)
        status, out = await doctor(config=file)
        assert (status, "BROKEN" in out) == (0, False), out

        b.meta.account.subscribed = False
        status, out = await doctor("--json", config=file)
        told = json.loads(out)
        assert (status, told["ok"]) == (1, False)
        assert [check["name"] for check in told["checks"]] == list(health_checks.NAMES)
        assert [check["name"] for check in told["checks"] if check["state"] == "broken"] == ["subscription"]

        status, out = await doctor("--fix", config=file)
        assert (status, b.meta.account.subscribed) == (0, True), out


async def test_settings_that_cannot_be_read_are_what_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[server]\nprot = 8080\n", "utf-8")

    status, told = await doctor("--json", config=file)
    _, said = await doctor(config=file)

    first, *others = json.loads(told)["checks"]
    assert (status, json.loads(told)["ok"]) == (1, False)
    assert (first["name"], first["state"]) == ("settings", "broken")
    assert first["detail"] == "server.prot: unknown key (did you mean port?)"
    assert [(check["name"], check["state"]) for check in others] == [
        (name, "skipped") for name in health_checks.NAMES[1:]
    ]
    assert said.startswith("BROKEN   settings      server.prot: unknown key")
