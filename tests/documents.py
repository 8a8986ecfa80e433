"""The README and docs/, as the tests read them that hold them to the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES: Mapping[str, str] = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
"""Path → text, the README first."""

README = PAGES["README.md"]
API = PAGES["docs/api.md"]
HOW_IT_WORKS = PAGES["docs/how-it-works.md"]
OPERATIONS = PAGES["docs/operations.md"]
SETTINGS = PAGES["docs/settings.md"]


def section(text: str, title: str) -> str:
    """What stands below the one title of the second level that is called so."""
    found = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} sections are called {title}"
    return str(found[0])


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks: (language or "", content)."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
