"""The rules of the house (tests/house.py), and that what is written about the code agrees with it.

`test_every_rule_can_fail` shows every rule a module that breaks it: a rule that sees nothing would be worse than none.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import house
from tests.documents import HOW_IT_WORKS, SETTINGS
from tests.house import COMES_WITH, LIBRARIES, MODULES, ROOT, TOOLS, Module
from wabot import __version__
from wabot.core.jobs import TRANSITIONS
from wabot.settings.loading import FLAT_NAMES, PLACES, SECTIONS, WABOT_NAMES, Settings

Rule = Callable[[Module], Iterator[str]]

RULES: Mapping[Rule, tuple[Module, ...]] = {
    house.one_library_one_module: (
        Module("wabot.service", "import aiohttp"),
        Module("wabot.web.app", "from somewhere_new import thing"),
        Module("wabot.metrics", "import sqlite3"),
    ),
    house.imports_follow_the_arrows: (
        Module("wabot.core.jobs", "from wabot.log import get_logger"),
        Module("wabot.adapters.openai", "from wabot.adapters import mongo"),
        Module("wabot.work.send", "def f():\n    from wabot.journal import jobs"),
        Module("wabot.newcomer", ""),
    ),
    house.the_core_is_pure: (
        Module("wabot.core.jobs", "import time"),
        Module("wabot.core.jobs", "from datetime import datetime"),
        Module("wabot.core.jobs", "async def f(): ..."),
        Module("wabot.core.jobs", "print('here')"),
    ),
    house.the_sandbox_and_chosen_adapters_are_imported_late: (
        Module("wabot.assembly.start_and_stop", "from wabot.sandbox.meta import Meta"),
        Module("wabot.assembly.start_and_stop", "from wabot.adapters import gemini"),
    ),
    house.modules_and_functions_are_small: (
        Module("wabot.service", "x = 1\n" * 301),
        Module("wabot.service", "def f():\n" + "    x = 1\n" * 45),
    ),
    house.broad_catches_are_in_their_places: (
        Module("wabot.service", "try:\n    pass\nexcept (ValueError, Exception):\n    pass"),
        Module("wabot.service", "try:\n    pass\nexcept:\n    pass"),
        Module("wabot.work.lane", ""),
    ),
    house.nobody_prints: (Module("wabot.service", "print('here')"),),
    house.the_collector_runs_as_python_means_it_to: (
        Module("wabot.cli", "import gc\ngc.set_threshold(50_000, 50, 50)"),
        Module("wabot.cli", "import gc\ngc.disable()"),
    ),
    house.the_environment_is_read_once: (Module("wabot.assembly.start_and_stop", "import os\nos.environ['PORT']"),),
}
"""Every rule, with modules that break it."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    assert [f"{module.name}: {fault}" for module in MODULES for fault in rule(module)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_can_fail(rule: Rule) -> None:
    assert all(list(rule(module)) for module in RULES[rule])


def test_starting_the_service_loads_nothing_that_was_not_chosen() -> None:
    libraries = (
        "google.generativeai",
        "grpc",
        "jinja2",
        "jsonschema",
        "motor",
        "prompt_toolkit",
        "pymongo",
        "pypdf",
        "rich",
    )
    heavy = (*libraries, "wabot.console.serving", "wabot.rehearsal", "wabot.sandbox", "wabot.web.reference")
    code = f"import sys, wabot.cli, wabot.assembly.start_and_stop; print([m for m in {heavy} if m in sys.modules])"

    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


def _required(name: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def _distributions(libraries: set[str]) -> set[str]:
    return {COMES_WITH.get(library, library).replace("_", "-") for library in libraries}


def test_every_requirement_is_pinned_exactly_and_used_and_nothing_else_is() -> None:
    service, testing = _required("requirements.txt"), _required("tests/requirements.txt")
    unpinned = [line for line in service + testing if not re.fullmatch(r"[\w-]+==[\w.]+(; sys_platform .*)?", line)]
    runtime, tools = ({line.partition("==")[0] for line in lines} for lines in (service, testing))
    used = {library for module in MODULES for library in module.third_party()}
    beside = [file for folder in ("tests", "benchmarks", "simulation") for file in (ROOT / folder).rglob("*.py")]
    tested = set().union(*(Module(file.stem, file.read_text("utf-8")).third_party() for file in beside))

    assert unpinned == []
    assert used == set(LIBRARIES)
    assert _distributions(used) | {"tzdata"} == runtime, "zoneinfo's data, where the system has none"
    assert _distributions(tested - {"tests", "benchmarks", "simulation"}) - runtime - TOOLS == tools - TOOLS
    assert tools >= TOOLS


def _brought(names: Iterable[str]) -> set[str]:
    """All that these distributions need, and what that needs, and so on; without themselves."""
    direct = {canonicalize_name(name) for name in names}
    seen, left = set[tuple[str, str]](), [(name, "") for name in direct]
    while left:
        name, extra = here = left.pop()
        if here not in seen:
            seen.add(here)
            for needed in map(Requirement, importlib.metadata.requires(name) or ()):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    left += [(canonicalize_name(needed.name), wanted) for wanted in ("", *needed.extras)]
    return {name for name, _ in seen} - direct


def _names(file: str) -> set[str]:
    return {line.partition("==")[0] for line in _required(file)}


def test_what_requirements_bring_along_is_pinned_too() -> None:
    """A fresh installation next year is the one that was tested."""
    pinned = {canonicalize_name(name) for name in _names("constraints.txt")}

    assert _brought(_names("requirements.txt") | _names("tests/requirements.txt")) <= pinned
    assert "-c constraints.txt" in (ROOT / "requirements.txt").read_text("utf-8").splitlines()


def test_nothing_large_is_installed_for_nothing() -> None:
    """Google's package brought 100 MB of descriptions of services, and phonenumbers 40 MB of names of places."""
    service = _names("requirements.txt")
    sizes = {
        name: sum(file.size or 0 for file in importlib.metadata.files(name) or ())
        for name in service | _brought(service)
    }

    assert {name for name, size in sizes.items() if size > 20_000_000} == set()
    assert sum(sizes.values()) < 120_000_000


def test_the_version_stands_in_one_place() -> None:
    mentions = [path for path in _ours() if path.suffix in (".py", ".toml") and __version__ in path.read_text("utf-8")]
    assert [str(path.relative_to(ROOT)) for path in mentions] == ["wabot/__init__.py"]


def _ours() -> Iterator[Path]:
    """Every text of the repository; what a person keeps beside it (.env, config.toml, data) is theirs."""
    kinds = {
        ".py",
        ".md",
        ".toml",
        ".txt",
        ".example",
        ".sql",
        ".json",
        ".csv",
        ".service",
        ".timer",
        ".conf",
        ".sh",
        ".yaml",
        "",
    }
    folders = ("wabot", "tests", "benchmarks", "simulation", "deploy", "docs", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    files += [
        file for pattern in ("[A-Z]*", "*.py", "*.txt", "*.example", "pyproject.toml") for file in ROOT.glob(pattern)
    ]
    return (file for file in files if file.is_file() and file.suffix in kinds)


def test_nothing_of_ours_is_unfinished_or_tied_to_one_machine() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", r"(?<![\w.])/(?:ro" + "ot|ho" + "me|wo" + r"rk)/\w")
    words = re.compile("|".join(marks))
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in _ours()
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1)
        if words.search(line)
    ]

    assert found == []


def test_one_version_of_graph_is_meant_everywhere() -> None:
    """A version that Meta switched off answers as the oldest that is left; two in one place is one too many."""
    default = Settings().whatsapp.graph_api_base.rpartition("/")[2]
    named = {version for file in _ours() for version in re.findall(r"(?<=/)v\d\d\.\d\b", file.read_text("utf-8"))}

    assert default == "v26.0"
    assert named == {default}


def _table_of_settings() -> dict[str, tuple[str, str]]:
    """The table of docs/settings.md: setting → (default, names in the environment), as written there."""
    row = re.compile(r"^\| `(\w+\.\w+)` \| (.*?) \| (.*?) \|", re.MULTILINE)
    return {key: (default, names) for key, default, names in row.findall(SETTINGS)}


def _shown(section: str, key: str) -> str:
    default = getattr(getattr(Settings(), section), key)
    value = getattr(default, "get_secret_value", lambda: default)()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    plain = list(value) if isinstance(value, tuple) else str(value or "") if isinstance(value, Path | None) else value
    return f"`{json.dumps(plain, ensure_ascii=False)}`"


def test_the_documents_name_every_setting_with_its_default_and_its_names_in_the_environment() -> None:
    flat = {place: name for name, place in FLAT_NAMES.items()}
    wabot = {place: name for name, place in WABOT_NAMES.items()}
    expected = {
        f"{section}.{key}": (
            _shown(section, key),
            f"`{flat[section, key]}` `{name}`" if (section, key) in flat else f"`{name}`",
        )
        for (section, key), name in wabot.items()
    }

    assert _table_of_settings() == expected


def test_the_example_names_every_setting() -> None:
    text = (ROOT / "config.toml.example").read_text("utf-8")
    table = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))

    assert {(section, key) for section, keys in table.items() for key in keys} == set(PLACES)
    assert list(table) == list(SECTIONS)


def test_the_documents_draw_the_state_machine_as_it_is() -> None:
    arrow = re.compile(r"^    (\w+) --> (\w+): (.+)$", re.MULTILINE)
    drawn = [(start, event, end) for start, end, events in arrow.findall(_diagram()) for event in events.split(" · ")]
    table = {(start.name, event.value, end.name) for start, row in TRANSITIONS.items() for event, end in row.items()}

    assert set(drawn) == table
    assert len(drawn) == len(table)


def _diagram() -> str:
    found = re.findall(r"^```mermaid\nstateDiagram-v2\n(.*?)^```", HOW_IT_WORKS, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])
