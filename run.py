#!/usr/bin/env python3
"""Run wabot: python run.py [--config PATH] [--sandbox]; see python run.py --help."""

from wabot.cli import end, main

if __name__ == "__main__":
    end(main())
