#!/usr/bin/env python3
"""Run wabot: python run.py [--config PATH] [--sandbox]; see python run.py --help."""

import sys

from wabot.cli import main

if __name__ == "__main__":
    sys.exit(main())
