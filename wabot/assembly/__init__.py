"""Putting wabot together: what the settings come to, opened in order and closed in reverse."""
