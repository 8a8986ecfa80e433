"""The media within a prompt: with their contents, or with a note in place of those that the model cannot have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from wabot.core.conversation import Prompt, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.media import Medium

_MAY_BE_REFUSALS = frozenset({400, 404, 413, 415, 422, 500, 501})
"""HTTP statuses with which providers say that a model does not take pictures, audio or PDFs."""
_LASTING = _MAY_BE_REFUSALS - {413, 500}
"""Those that will be the same next time: not a file that was too large, and no accident."""


def media_in(prompt: Prompt) -> tuple[Medium, ...]:
    """All media, oldest first."""
    return tuple(medium for turn in prompt.turns for medium in turn.media)


def senses_in(prompt: Prompt) -> frozenset[str]:
    """What a model needs for the media whose contents are in a prompt."""
    return frozenset(medium.sense for medium in media_in(prompt) if medium.content is not None)


def with_contents(prompt: Prompt, contents: Mapping[str, bytes]) -> Prompt:
    """The prompt with the contents of its media, by id, and a note for each without one that a model could read."""
    return _changed(prompt, lambda medium: replace(medium, content=contents.get(medium.id)))


def without_media(prompt: Prompt) -> Prompt:
    """The prompt with the texts alone."""
    if not media_in(prompt):
        return prompt
    return replace(prompt, turns=tuple(replace(turn, media=()) for turn in prompt.turns))


def without(prompt: Prompt, senses: Set[str]) -> Prompt:
    """The prompt with a note for each of the media that need one of these senses."""
    return _changed(prompt, lambda medium: replace(medium, content=None) if medium.sense in senses else medium)


def _changed(prompt: Prompt, change: Callable[[Medium], Medium]) -> Prompt:
    return replace(prompt, turns=tuple(_turn(turn, change) if turn.media else turn for turn in prompt.turns))


def _turn(turn: Turn, change: Callable[[Medium], Medium]) -> Turn:
    media = [change(medium) for medium in turn.media if medium.sense]
    notes = [medium.note for medium in media if medium.content is None]
    return replace(
        turn,
        text="\n".join([turn.text, *notes]),
        media=tuple(medium for medium in media if medium.content is not None),
    )


class MediaRefusals:
    """Which media one model does not take, as it showed since the start."""

    def __init__(self) -> None:
        self._refused, self._accepted = set[str](), set[str]()

    def shown(self, prompt: Prompt) -> Prompt:
        """The prompt as this model can have it."""
        return without(prompt, self._refused) if self._refused else prompt

    @staticmethod
    def may_be(failure: AssistantFailed, prompt: Prompt) -> bool:
        """Whether the media of a prompt may be why the model failed."""
        return failure.status in _MAY_BE_REFUSALS and bool(senses_in(prompt))

    def accepted(self, prompt: Prompt) -> None:
        """The model answered this."""
        self._accepted |= senses_in(prompt)

    def refused(self, failure: AssistantFailed, prompt: Prompt) -> None:
        """The model failed at this, and answered when it was asked without media.

        Of several senses nobody knows which one it lacks; and if it took such media before, it was this file.
        """
        senses = senses_in(prompt)
        if failure.status in _LASTING and len(senses) == 1:
            self._refused |= senses - self._accepted
