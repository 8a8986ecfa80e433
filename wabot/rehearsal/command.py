"""The `rehearse` command: plays talks, and prints what was seen and what was not as expected."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wabot.assembly import factories
from wabot.rehearsal.models import Script
from wabot.rehearsal.player import Player
from wabot.rehearsal.stage import Stage, settings_for
from wabot.rehearsal.talk import Talk, read
from wabot.rehearsal.transcript import Transcript
from wabot.rehearsal.virtual_time import VirtualTime
from wabot.settings.loading import Settings

_IN_MEMORY = "/dev/shm"  # noqa: S108
"""Where Linux keeps files in memory: a rehearsal syncs its journal often, and throws it away."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a talk. `faults`: how much was not as expected."""

    talk: Talk
    lines: Sequence[str]
    faults: int


def rehearse(settings: Settings, args: argparse.Namespace) -> int:
    """Play the talks of `args.files`, and print them. Returns 1 if anything was not as a talk expects it.

    Raises TalkError, SettingsError, OSError.
    """
    chosen = settings.of_accounts()[settings.account_named(args.account)]
    talks = [read(file) for file in args.files]
    faults = 0
    for talk in talks:
        played = play(talk, chosen, real=args.model == "real" or not talk.is_scripted)
        faults += played.faults
        _print("\n".join([f"=== {talk.file}: {talk.title}".rstrip(" :"), *played.lines, ""]))
        _print(f"{talk.file}: " + (f"{played.faults} not as expected" if played.faults else "as expected") + "\n")
    return 1 if faults else 0


def play(talk: Talk, settings: Settings, *, real: bool = False) -> Played:
    """Play a talk with these settings, in time that passes by itself. `real`: with the configured models.

    Raises TalkError, SettingsError, OSError.
    """
    memory = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="wabot-rehearsal-", dir=memory) as folder:
        chosen = settings_for(talk, settings, Path(folder))
        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            return runner.run(_play(talk, chosen, real=real))


async def _play(talk: Talk, settings: Settings, *, real: bool) -> Played:
    transcript = Transcript(factories.time_zone(settings))
    stage = Stage(talk, settings, None if real else Script(transcript), transcript)
    transcript.clock = stage.now
    await Player(talk, stage, transcript).play()
    return Played(talk, transcript.lines, transcript.faults)


def _print(text: str) -> None:
    print(text)  # noqa: T201
