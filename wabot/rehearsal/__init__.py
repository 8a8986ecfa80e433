"""Plays scripted talks against the real service, with Meta's stand-in, in time that passes by itself."""
