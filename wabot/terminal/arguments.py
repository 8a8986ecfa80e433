"""The arguments of the commands that talk to the service. Apart from them: no other command loads what they need."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

NAMES = ("outbox", "send", "campaign", "conversations", "watch")
"""The commands; each is a function in a module of its name."""

_SEND = """\
examples:
  run.py send +919216598210 --text "Your parcel is here."
  run.py send +919216598210 --template invitation --value 1=Ana
"""
_CAMPAIGN = """\
FILE.csv has the column `number`; the others are the template's parameters, by name or 1, 2, 3 (header and button_0 for
those that are not in the body). The same file is the same campaign, and is not sent twice without --again.

examples:
  run.py campaign guests.csv --template invitation --dry-run
  run.py campaign guests.csv --template invitation
  run.py campaign guests.csv --template invitation --at 2027-03-01T09:00:00+05:30

guests.csv:
  number,1
  +919216598210,Ana
  +919876543210,Ben
"""
_CONVERSATIONS = """\
examples:
  run.py conversations                     the latest talks
  run.py conversations --attention         who waits for a person
  run.py conversations --search ana
  run.py conversations +919216598210       the talk with one person
"""
_WATCH = """\
examples:
  run.py watch
  run.py watch +919216598210
  run.py watch --json | jq -r .body
"""


def add(commands: Commands, *, account: str) -> None:
    """Add the commands. `account`: the help of --account."""
    send = _command(commands, "send", "send one message to one person", _SEND)
    send.add_argument("number", metavar="NUMBER")
    what = send.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", metavar="T", help="a free text; needs an open 24-hour window")
    what.add_argument("--template", metavar="NAME", help="a template")
    send.add_argument("--value", action="append", default=[], metavar="NAME=VALUE", help="a parameter, as 1=Ana")
    send.add_argument("--takeover", action="store_true", help="the assistant of this contact pauses")
    send.add_argument("--wait", type=int, metavar="SECONDS", help="for the outcome; default: api.wait_seconds")
    campaign = _command(commands, "campaign", "send a template to everybody in a CSV file", _CAMPAIGN)
    campaign.add_argument("file", type=Path, metavar="FILE.csv")
    campaign.add_argument("--template", required=True, metavar="NAME")
    campaign.add_argument("--dry-run", action="store_true", help="send nothing; say what would be sent")
    campaign.add_argument("--at", default="", metavar="TIME", help="when, in ISO 8601 with an offset")
    campaign.add_argument("--again", default="", metavar="WORD", help="send the same file once more, with a new WORD")
    for command in (send, campaign):
        command.add_argument("--language", default="", metavar="CODE", help="of the template; default: the only one")
    talks = _command(commands, "conversations", "who talks with us, latest talk first", _CONVERSATIONS)
    talks.add_argument("number", nargs="?", default="", metavar="NUMBER", help="the talk with this person")
    talks.add_argument("--search", default="", metavar="TEXT", help="in names, numbers and the newest texts")
    talks.add_argument("--attention", action="store_true", help="only those who wait for a person")
    talks.add_argument("--limit", type=int, default=50)
    talks.add_argument("--cursor", default="")
    watch = _command(commands, "watch", "what is said, and what becomes of it, as it happens", _WATCH)
    watch.add_argument("number", nargs="?", default="", metavar="NUMBER", help="only with this person")
    for command in (send, campaign, talks, watch):
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("--account", default="", metavar="NAME", help=account)


def _command(commands: Commands, name: str, about: str, examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=about, description=about, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
