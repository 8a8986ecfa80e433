"""The image that deploy/Dockerfile describes. No Docker is needed: its rules are read, and what it copies is run."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.business import KEY, SECTIONS
from tests.process import PATIENCE, ROOT, environment, eventually, free_port, toml

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments), with continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.splitlines())]


def last_stage() -> list[tuple[str, str]]:
    """The instructions of what is run, not of what builds it."""
    all_of_them = instructions()
    start = max(index for index, (word, _) in enumerate(all_of_them) if word == "FROM")
    return all_of_them[start:]


def said(word: str) -> list[str]:
    return [rest for name, rest in last_stage() if name == word]


def set_in_the_image() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(said("ENV"))))


def copied() -> Iterator[tuple[str, str]]:
    """(path in the repository, path in the image) of all that the last stage takes from here."""
    for rest in said("COPY"):
        if not rest.startswith("--from="):
            source, target = rest.split()
            yield source, target


def healthcheck() -> list[str]:
    command: list[str] = json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2])
    return command


def test_the_image_is_of_the_python_that_the_checks_are_for_and_of_no_moving_tag() -> None:
    python = re.findall(r'^python_version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    stages = [rest.partition(" ")[0] for word, rest in instructions() if word == "FROM"]

    assert set(stages) == {f"python:{python[0]}-slim-bookworm"}


def test_wabot_runs_as_nobody_in_particular_and_writes_one_volume_alone() -> None:
    user, volume = said("USER"), json.loads(said("VOLUME")[0])

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user[0])  # a number, so that "must not be root" can be checked
    assert len(user) == len(said("VOLUME")) == 1
    assert volume == [set_in_the_image()["WABOT_SERVER__DATA_DIR"]]
    assert set_in_the_image()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_nothing_is_compiled_fetched_or_secret() -> None:
    text = DOCKERFILE.read_text("utf-8")
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip" in rest]

    assert not re.search(r"^ADD|\bcurl\b|\bwget\b|apt-get|sudo", text, re.MULTILINE)
    assert all("--no-cache-dir" in line and "--only-binary :all:" in line for line in installs)
    assert not [name for name in set_in_the_image() if re.search("TOKEN|SECRET|API_KEY|URI", name)]
    assert [
        word for word, rest in last_stage() if word in ("ENTRYPOINT", "CMD", "HEALTHCHECK") and "[" not in rest
    ] == []


def let_through(path: str) -> bool:
    """Whether .dockerignore, in which the last line that fits decides, lets this file into the build."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fits(path, pattern):
            ignored = not line.startswith("!")
    return not ignored


def fits(path: str, pattern: str) -> bool:
    parts = path.split("/")
    starts = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    if pattern.startswith("**/"):
        return pattern[3:] in parts
    return any(start.count("/") == pattern.count("/") and fnmatch.fnmatch(start, pattern) for start in starts)


def test_the_build_gets_what_it_copies_and_nothing_of_the_owners() -> None:
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]

    assert all((ROOT / source).exists() and let_through(source) for source in sources)
    assert let_through("wabot/journal/schema.sql")
    for private in (".env", "config.toml", "data/wabot.db", ".git/config", "deploy/.env", "deploy/config/config.toml"):
        assert not let_through(private), private
    assert not let_through("wabot/core/__pycache__/jobs.pyc")


def laid_out(root: Path) -> None:
    """What the image has of ours, below `root`."""
    for source, target in copied():
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, place)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def links() -> dict[str, str]:
    """Commands of the image: name → the file that it is."""
    made = re.findall(r"ln -s (\S+) /usr/local/bin/(\S+)", " ".join(said("RUN")))
    return {name: target for target, name in made}


async def test_what_the_image_holds_starts_is_healthy_writes_nothing_beside_its_volume_and_stops(
    tmp_path: Path,
) -> None:
    root, port = tmp_path / "root", free_port()
    laid_out(root)
    settings = {name: dict(values) for name, values in SECTIONS.items()}
    settings["server"] = {"api_keys": [KEY]}  # host, port and data directory are the image's
    folder = root / said("WORKDIR")[0].lstrip("/")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(toml(settings), "utf-8")
    data = set_in_the_image()["WABOT_SERVER__DATA_DIR"]
    env = environment(**set_in_the_image() | {"PORT": str(port), "WABOT_SERVER__DATA_DIR": str(tmp_path / "volume")})
    env["PATH"] = os.environ["PATH"]
    before = files(root)

    async def healthy() -> bool:
        program, *arguments = healthcheck()
        assert program == "python"
        # Docker sets the proxy of its own settings in every container: it cannot reach this one's loopback.
        proxied = env | {"http_proxy": f"http://127.0.0.1:{free_port()}"}
        check = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=proxied, stderr=asyncio.subprocess.DEVNULL
        )
        return await check.wait() == 0

    assert [name for name, target in links().items() if not (root / target.lstrip("/")).is_file()] == []
    assert not await healthy()
    (command,) = json.loads(said("ENTRYPOINT")[0])
    program = root / links()[command].lstrip("/")
    assert os.access(program, os.X_OK)
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, cwd=folder, env=env, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(healthy)
        assert files(root) == before, f"it wrote beside {data}"
        assert (tmp_path / "volume" / "wabot.db").exists()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
async def test_hadolint_finds_nothing() -> None:
    linter = await asyncio.create_subprocess_exec("hadolint", DOCKERFILE, stdout=asyncio.subprocess.PIPE)

    assert (await linter.communicate())[0].decode() == ""
