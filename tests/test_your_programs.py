"""docs/your-programs.md, tried: each program prints what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.documents import PAGES, blocks
from tests.test_readme import PATIENCE, sandbox

__all__ = ["sandbox"]

SHOWN = blocks(PAGES["docs/your-programs.md"])
RUNS = {"python": [sys.executable, "-c"], "js": ["node", "--input-type=module", "-e"], "sh": ["bash", "-c"]}
NEEDS = {"python": (), "js": ("node",), "sh": ("bash", "curl")}


def test_there_is_a_program_in_each_language() -> None:
    assert [language for language, _ in SHOWN] == ["python", "text", "js", "text", "sh", "text"]


@pytest.mark.parametrize("language", RUNS)
def test_a_program_prints_what_the_page_says(sandbox: str, language: str) -> None:
    if not all(map(shutil.which, NEEDS[language])):
        pytest.skip(f"this needs {', '.join(NEEDS[language])}")
    place = [name for name, _ in SHOWN].index(language)
    program, printed = SHOWN[place][1], SHOWN[place + 1][1].strip()

    run = subprocess.run(
        [*RUNS[language], program],
        env={"PATH": os.environ["PATH"], "BOT_URL": sandbox},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(re.escape(printed).replace("…", ".+"), run.stdout.strip()), run.stdout
