"""Handlers are tested with a real journal and a real archive."""

from tests.journal.conftest import scene
from tests.mongo_fixtures import database, mongo_uri

__all__ = ["database", "mongo_uri", "scene"]
