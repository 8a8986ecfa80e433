"""The key that is made where none is configured."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from wabot import api_keys
from wabot.settings.sections import Server


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_with_no_keys_configured_one_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    server = Server(data_dir=tmp_path)

    assert api_keys.of_terminal(server) is None
    made = api_keys.of_service(server)

    assert len(made) == 1
    assert re.fullmatch(r"[\w-]{43}", made[0])
    assert api_keys.of_service(server) == made
    assert api_keys.of_terminal(server) == made[0]
    assert [path.name for path in tmp_path.iterdir()] == [api_keys.FILE]
    assert mode(tmp_path / api_keys.FILE) == 0o600


def test_a_configured_key_is_the_key_and_none_is_made(tmp_path: Path) -> None:
    server = Server(data_dir=tmp_path, api_keys=("  the-first-of-two-keys ", "the-second-of-two-keys"))  # type: ignore[arg-type]

    assert api_keys.of_service(server) == ("the-first-of-two-keys", "the-second-of-two-keys")
    assert api_keys.of_terminal(server) == "the-first-of-two-keys"
    assert list(tmp_path.iterdir()) == []


def test_a_kept_key_that_others_may_read_is_ours_alone_from_then_on(tmp_path: Path) -> None:
    (tmp_path / api_keys.FILE).write_text("a-key-that-somebody-wrote\n")
    (tmp_path / api_keys.FILE).chmod(0o644)

    assert api_keys.of_service(Server(data_dir=tmp_path)) == ("a-key-that-somebody-wrote",)
    assert mode(tmp_path / api_keys.FILE) == 0o600


@pytest.mark.parametrize("text", ["", "\n", "short\n", "sixteen with spaces in it", "\xe9" * 16, "a" * 15, "a\0" * 16])
def test_a_file_without_a_key_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / api_keys.FILE).write_bytes(text.encode("latin-1"))

    with pytest.raises(api_keys.UnusableKey, match="delete it, and the next start makes one"):
        api_keys.of_service(Server(data_dir=tmp_path))


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a-key-of-somebody-else\n")
    path = tmp_path / api_keys.FILE
    for make in (lambda: path.symlink_to(tmp_path / "elsewhere"), lambda: os.mkfifo(path), path.mkdir):
        make()
        with pytest.raises(api_keys.UnusableKey, match=re.escape(str(path))):
            api_keys.of_service(Server(data_dir=tmp_path))
        path.rmdir() if path.is_dir() else path.unlink()


def test_the_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / api_keys.FILE).write_text("a-key-of-somebody-else\n")
    (tmp_path / api_keys.FILE).chmod(0o600)
    owner = (tmp_path / api_keys.FILE).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1000 or 1)
    if owner == 0:
        os.chown(tmp_path / api_keys.FILE, 4711, 4711)

    with pytest.raises(api_keys.UnusableKey, match="must be a file of wabot's user"):
        api_keys.of_service(Server(data_dir=tmp_path))


def test_what_a_crash_left_of_the_making_is_no_key_and_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f"{api_keys.FILE}.new").write_text("half a k")

    (made,) = api_keys.of_service(Server(data_dir=tmp_path))

    assert len(made) == 43
    assert [path.name for path in tmp_path.iterdir()] == [api_keys.FILE]
