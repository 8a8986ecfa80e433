#!/usr/bin/env python3
"""Run wabot: python run.py [--config PATH] [--sandbox]; see python run.py --help."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older Python can read this file, and says what it lacks
    sys.exit("wabot: needs Python 3.11 or later; this is " + sys.version.split()[0])

_INSTALL = (
    " run `python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt`, then `.venv/bin/python run.py`"
)

if __name__ == "__main__":
    try:
        from wabot.cli import end, main

        status = main()
    except ModuleNotFoundError as error:
        sys.exit("wabot: " + str(error.name) + " is not installed for " + sys.executable + ":" + _INSTALL)
    end(status)
