"""The README, tried: its commands, every request that it shows, and the names that it gives."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from wabot.rehearsal import messages, talk
from wabot.rehearsal.command import play
from wabot.settings.loading import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
HERE = "http://127.0.0.1:8080"
"""Where the README's examples ask."""

PATIENCE = 30
"""Seconds; nothing here takes one."""


def section(title: str) -> str:
    found = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} sections are called {title}"
    return str(found[0])


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of `text`: (language, content)."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def command(end: str) -> str:
    """The one command of the README that makes a virtual environment and ends so."""
    found = [line for line in README.splitlines() if line.startswith("python3 -m venv") and line.endswith(end)]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The README's first command without the installation, on a free port: the address of its wabot."""
    words = shlex.split(command("--sandbox").rpartition("&&")[2])
    assert words[0] == ".venv/bin/python"
    mine = {name: value for name, value in os.environ.items() if not name.startswith("WABOT_")}
    with subprocess.Popen(
        [sys.executable, ROOT / words[1], *words[2:]],
        cwd=tmp_path_factory.mktemp("readme"),
        env=mine | {"PORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            said: list[str] = []
            while not (found := re.search(r"^  wabot +(http://\S+)", "".join(said), re.MULTILINE)):
                said.append(lines.get(timeout=PATIENCE))
                assert said[-1], f"it ended with {process.wait(PATIENCE)}: {''.join(said)}"
            yield found[1]
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            reader.join(PATIENCE)


def _pump(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Every line as it comes, so that nobody ever waits for a full pipe; "" at the end."""
    for line in stream:
        lines.put(line)
    lines.put("")


def run(script: str, address: str) -> str:
    """What a script of the README prints. Every curl in it must succeed."""
    strict = 'set -euo pipefail; curl() { command curl --fail --show-error --max-time 20 "$@"; }; export -f curl\n'
    return subprocess.run(
        ["bash", "-c", strict + script.replace(HERE, address)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout


def differences(shown: Any, real: Any, place: str = "") -> Iterator[str]:
    """Where `real` is not as `shown`: objects may have more fields, and "…" in a text stands for anything."""
    if isinstance(shown, dict) and isinstance(real, dict):
        yield from (f"{place}.{key} is missing" for key in shown.keys() - real.keys())
        for key in shown.keys() & real.keys():
            yield from differences(shown[key], real[key], f"{place}.{key}")
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        for index, (left, right) in enumerate(zip(shown, real, strict=True)):
            yield from differences(left, right, f"{place}[{index}]")
    elif isinstance(shown, str) and isinstance(real, str):
        if not re.fullmatch(re.escape(shown).replace("…", ".+"), real):
            yield f"{place} is {real!r}"
    elif shown != real or type(shown) is not type(real):
        yield f"{place} is {real!r}"


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="the examples use these")
def test_every_request_of_the_readme_works_when_pasted_and_answers_as_shown(sandbox: str) -> None:
    shown = blocks(section("The API"))
    tried = compared = 0

    for (language, text), (next_language, answer) in zip(shown, [*shown[1:], ("", "")], strict=True):
        if language == "sh":
            printed = run(text, sandbox)
            tried += text.count("curl ")
            if next_language == "json":
                assert list(differences(json.loads(answer), json.loads(printed))) == []
                compared += 1

    assert tried >= 12
    assert compared >= 4
    assert tried == README.count("curl -s"), "an example is outside of the section that is tried"


def test_a_difference_between_shown_and_real_is_seen() -> None:
    real = {"a": 1, "b": [{"id": "wamid.x"}], "more": True}

    assert list(differences({"a": 1, "b": [{"id": "wamid.…"}]}, real)) == []
    for wrong in ({"a": "1"}, {"a": 2}, {"c": 1}, {"b": []}, {"b": [{"id": "other.…"}]}, {"more": 1}):
        assert len(list(differences(wrong, real))) == 1


def test_every_metric_is_named_in_the_readme_and_no_other(sandbox: str) -> None:
    served = run(f"curl -s {HERE}/metrics", sandbox)
    families = {
        f"{name}_total" if kind == "counter" and not name.endswith("_total") else name
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", served, re.MULTILINE)
        if not name.endswith("_created")
    }

    assert set(re.findall(r"`(wabot_\w+)`", README)) == families


def promises() -> list[tuple[str, list[str]]]:
    rows = re.findall(r"^\| (\d\. .+?) \| (.+?) \|$", section("Promises, and what holds them"), re.MULTILINE)
    return [(promise, re.findall(r"`([tT]est\w+)`", tests)) for promise, tests in rows]


def test_every_promise_is_held_by_tests_that_exist() -> None:
    here = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async def |def |class |)([tT]est\w+)", file.read_text("utf-8"), re.MULTILINE)
    }

    assert [promise[0] for promise, _ in promises()] == list("1234567")
    assert [promise for promise, tests in promises() if not tests] == []
    assert [(promise, name) for promise, tests in promises() for name in tests if name not in here] == []


def test_the_talk_of_the_readme_goes_as_written(tmp_path: Path) -> None:
    (text,) = [content for language, content in blocks(section("Rehearse a conversation")) if language == "toml"]
    (tmp_path / "talk.toml").write_text(text, encoding="utf-8")

    played = play(talk.read(tmp_path / "talk.toml"), Settings())

    assert not played.faults, "\n".join(["", *played.lines])


def test_every_key_of_a_talk_is_in_the_readme() -> None:
    source = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (talk, messages))
    keys = set(re.findall(r"\w+\.(?:text|texts|word|flag|count|number|seconds|any|mapping|tables?)\(\"(\w+)\"", source))

    assert {*keys, *messages.KINDS} - set(re.findall(r"\w+", section("Rehearse a conversation"))) == set()
    assert len(keys) > 40


def test_the_command_of_ci_is_the_one_that_the_readme_shows() -> None:
    pattern = re.findall(r"grep -E '(.+?)' README\.md", (ROOT / ".ci" / "run").read_text("utf-8"))

    assert [line for line in README.splitlines() if re.search(pattern[0], line)] == [command("-m pytest")]


def test_files_and_headings_that_the_readme_points_to_exist() -> None:
    paths = set(re.findall(r"`((?:wabot|tests|deploy|benchmarks)/[\w./]+)`", README))
    links = set(re.findall(r"\]\(([^)#:]+)\)", README))
    anchors = set(re.findall(r"\]\(#([\w-]+)\)", README))
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.M)
    }

    assert [path for path in paths | links if not (ROOT / path).exists()] == []
    assert anchors - headings == set()


def test_the_table_of_the_benchmarks_has_its_place() -> None:
    assert re.search(r"^<!-- bench:start -->\n.+\n<!-- bench:end -->$", README, re.DOTALL | re.MULTILINE)
