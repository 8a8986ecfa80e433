"""Handlers are tested with a real journal and a real archive."""

from tests.journal.conftest import scene

__all__ = ["scene"]
