"""How much one answer over HTTP can hold."""

from __future__ import annotations

from dataclasses import dataclass

from wabot.core.exceptions import InvalidInput


class TooLong(InvalidInput):
    """The messages do not fit into one answer."""


@dataclass(slots=True)
class Room:
    """The space left in an answer: messages, and characters of their texts."""

    messages: int = 100_000
    size: int = 64 << 20

    def take(self, messages: int, size: int) -> None:
        """Use some of the space. Raises TooLong if there is not enough."""
        self.messages -= messages
        self.size -= size
        if min(self.messages, self.size) < 0:
            raise TooLong("this is more than one answer can hold (100 000 messages, 64 MiB): give a smaller limit")
