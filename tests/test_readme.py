"""The README and docs/, tried: their commands, every request that they show, and the names that they give."""

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

from benchmarks import report
from tests.documents import API, HOW_IT_WORKS, OPERATIONS, PAGES, README, ROOT, blocks, prose, section
from wabot import cli
from wabot.rehearsal import messages, talk
from wabot.rehearsal.command import play
from wabot.settings.loading import Settings

HERE = "http://127.0.0.1:8080"
"""Where the examples ask."""

PATIENCE = 30
"""Seconds; nothing here takes one."""


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
    """What a script of these pages prints. Every curl in it must succeed."""
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


PASTED = pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="the examples use these")


@PASTED
def test_every_request_that_is_shown_works_when_pasted_and_answers_as_shown(sandbox: str) -> None:
    shown = [*blocks(section(README, "The API")), *blocks(API)]
    tried = compared = 0

    for (language, text), (next_language, answer) in zip(shown, [*shown[1:], ("", "")], strict=True):
        if language == "sh":
            printed = run(text, sandbox)
            tried += text.count("curl -s ")
            if next_language == "json":
                assert list(differences(json.loads(answer), json.loads(printed))) == []
                compared += 1

    assert tried >= 18
    assert compared >= 4
    everywhere = "".join(text for page in PAGES.values() for language, text in blocks(page) if language == "sh")
    assert tried == everywhere.count("curl -s "), "an example is outside of the pages that are tried"


@PASTED
def test_what_watches_wabot_sees_that_it_is_up(sandbox: str, tmp_path: Path) -> None:
    asks, watches = [text for _, text in blocks(section(OPERATIONS, "Is it up?"))]
    (tmp_path / "api-key").write_text("any", "utf-8")
    backup = tmp_path / "backups" / "20261126-031700"
    backup.mkdir(parents=True)
    here = {
        "/var/lib/wabot-backups": str(backup.parent),
        "/var/lib/wabot/api-key": str(tmp_path / "api-key"),
        "https://hc-ping.com/YOUR-ID": f"{HERE}/healthz",
    }
    watch = watches.partition(" root ")[2]
    for there, place in here.items():
        assert there in watch
        watch = watch.replace(there, place)

    asked = asks.replace("https://bot.example.com", HERE).replace("VERIFY_TOKEN", "sandbox-verify")
    assert run(asked, sandbox) == "alive"
    assert run(f"{watch.strip()} && echo told", sandbox) == "told\n"
    backup.rmdir()
    with pytest.raises(subprocess.CalledProcessError):
        run(watch, sandbox)


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "caddy"))), reason="there is no Caddy")
def test_the_shown_command_makes_a_caddyfile_for_your_name_that_an_older_caddy_takes(tmp_path: Path) -> None:
    (made,) = [text for _, text in blocks(section(OPERATIONS, "With systemd")) if text.startswith("sed ")]
    script = made.replace("sudo tee /etc/caddy/Caddyfile", f"tee {tmp_path}/Caddyfile").replace(
        "bot.example.com/", "x.example.org/"
    )
    script = script.partition("sudo systemctl")[0].replace("deploy/Caddyfile", str(ROOT / "deploy" / "Caddyfile"))

    adapted = run(
        f"{script}\nHOME={tmp_path} caddy adapt --config {tmp_path}/Caddyfile --adapter caddyfile 2>/dev/null", HERE
    )

    assert '"host":["x.example.org"]' in adapted
    assert '"dial":"127.0.0.1:8080"' in adapted


def test_a_difference_between_shown_and_real_is_seen() -> None:
    real = {"a": 1, "b": [{"id": "wamid.x"}], "more": True}

    assert list(differences({"a": 1, "b": [{"id": "wamid.…"}]}, real)) == []
    for wrong in ({"a": "1"}, {"a": 2}, {"c": 1}, {"b": []}, {"b": [{"id": "other.…"}]}, {"more": 1}):
        assert len(list(differences(wrong, real))) == 1


def test_every_metric_is_named_in_the_documents_and_no_other(sandbox: str) -> None:
    served = run(f"curl -s {HERE}/metrics", sandbox)
    families = {
        f"{name}_total" if kind == "counter" and not name.endswith("_total") else name
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", served, re.MULTILINE)
        if not name.endswith("_created")
    }

    assert set(re.findall(r"`(wabot_\w+)`", "".join(PAGES.values()))) == families


def promises() -> list[tuple[str, list[str]]]:
    rows = re.findall(
        r"^\| (\d\. .+?) \| (.+?) \|$", section(HOW_IT_WORKS, "Promises, and what holds them"), re.MULTILINE
    )
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


def test_the_talk_of_the_documents_goes_as_written(tmp_path: Path) -> None:
    (text,) = [content for language, content in blocks(PAGES["docs/rehearsing.md"]) if language == "toml"]
    (tmp_path / "talk.toml").write_text(text, encoding="utf-8")

    played = play(talk.read(tmp_path / "talk.toml"), Settings())

    assert not played.faults, "\n".join(["", *played.lines])


def test_every_key_of_a_talk_is_documented() -> None:
    source = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (talk, messages))
    keys = set(re.findall(r"\w+\.(?:text|texts|word|flag|count|number|seconds|any|mapping|tables?)\(\"(\w+)\"", source))

    assert {*keys, *messages.KINDS} - set(re.findall(r"\w+", PAGES["docs/rehearsing.md"])) == set()
    assert len(keys) > 40


def test_the_command_of_ci_is_the_one_that_the_readme_shows() -> None:
    pattern = re.findall(r"grep -E '(.+?)' README\.md", (ROOT / ".ci" / "run").read_text("utf-8"))

    assert [line for line in README.splitlines() if re.search(pattern[0], line)] == [command("-m pytest")]


def anchors(page: str) -> set[str]:
    """Of all titles of a page, as GitHub makes them."""
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    }


@pytest.mark.parametrize("name", PAGES)
def test_files_and_headings_that_a_page_points_to_exist(name: str) -> None:
    page, folder = PAGES[name], (ROOT / name).parent
    paths = set(re.findall(r"`((?:wabot|tests|deploy|docs|benchmarks|simulation)/[\w./]+)`", page))
    links = [link.partition("#") for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page)]
    targets = [((folder / path).resolve() if path else ROOT / name, anchor) for path, _, anchor in links]

    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path, _ in targets if not path.exists()] == []
    assert [
        (path, anchor) for path, anchor in targets if anchor and anchor not in anchors(path.read_text("utf-8"))
    ] == []


def test_the_readme_can_be_read_to_its_end_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 165
    assert {name for name in PAGES if f"]({name})" not in README} == {"README.md"}


def test_nothing_is_said_twice() -> None:
    said: dict[str, str] = {}
    twice = []
    for name, page in PAGES.items():
        for sentence in re.split(r"(?<=[.:;])\s|\n\n|\n- |\n\d\. |\|", prose(page)):
            words = " ".join(sentence.split())
            if len(words) > 60 and said.setdefault(words, name) != name:
                twice.append((words, said[words], name))
    assert twice == []


def test_the_table_of_the_benchmarks_has_its_place() -> None:
    figures = report.FIGURES.read_text("utf-8")
    assert re.search(rf"^{report.START}\n.+\n{report.END}$", figures, re.DOTALL | re.MULTILINE)


def commands() -> set[str]:
    """The arguments of every `run.py …` that the pages show, in text and in blocks, and in the container."""
    pieces = [line for page in PAGES.values() for _, text in blocks(page) for line in text.splitlines()]
    pieces += [code for page in PAGES.values() for code in re.findall(r"`([^`]+)`", prose(page))]
    start = r"(?:\brun\.py|\bexec (?:-T )?wabot wabot|\brun --rm wabot) ([^|&#→`]+)"
    return {" ".join(found.split()) for piece in pieces for found in re.findall(start, piece)}


@pytest.mark.parametrize("line", sorted(commands()))
def test_every_command_that_is_shown_is_understood(line: str) -> None:
    cli._arguments(shlex.split(line))
