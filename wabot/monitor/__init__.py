"""Monitoring: what wabot watches, the problems it found, and their remedies."""
