"""The settings: sections and defaults, loading, and start-up checks."""
