"""Adapters are tested against real servers."""

from tests.mongo_fixtures import database, mongo_uri

__all__ = ["database", "mongo_uri"]
