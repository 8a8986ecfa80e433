"""Builds wabot from its settings: opens everything in order and closes it in reverse."""
