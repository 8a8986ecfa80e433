"""One line per event on stdout, for a person (`console`) or a machine (`json`); cheap enough for every request.

Events are `noun.past` with ids. Phone numbers and BSUIDs are masked, message texts are left out (unless `log.bodies`),
and known secrets are replaced by `***`. Invisible characters (control characters, line separators, bidirectional marks)
are escaped, since they could forge lines or control the reader's terminal. Library logs are included from WARNING up.
Loggers are made at import and bound at the first line, so that a later `configure` affects all of them; this is the
only global state in wabot.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Protocol, cast
from urllib.parse import quote

from wabot.core.phone_numbers import mask
from wabot.lean_imports import without
from wabot.log_format import PRIORITIES, console, for_journald, json_lines, to_json
from wabot.log_output import Output

with without("rich"):  # 5 MB for a way to show tracebacks that is not ours
    import structlog
    from structlog.typing import EventDict, FilteringBoundLogger

IDENTITIES = frozenset({"number", "contact", "from", "to", "wa_id", "bsuid"})
BODIES = frozenset({"body", "text", "raw"})
SHORTEST_SECRET = 6
"""Characters; replacing shorter ones would garble lines and hide nothing."""


_labels: ContextVar[Mapping[str, str]] = ContextVar("labels", default=MappingProxyType({}))


class labelled:  # noqa: N801  it is used as a function, like contextlib.suppress
    """Add these fields to the lines of this task, and of the tasks that it starts meanwhile."""

    __slots__ = ("_before", "_fields")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._before = _labels.set(self._fields)

    def __exit__(self, *_: object) -> None:
        _labels.reset(self._before)


def label(labels: Mapping[str, str]) -> None:
    """Add these fields to the lines of the innermost `labelled` block from now on, in place of its own."""
    _labels.set(labels)


class LogSettings(Protocol):
    """The [log] section."""

    @property
    def format(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def bodies(self) -> bool: ...


_output = Output()
atexit.register(_output.flush)


class _Logger:
    """A structlog logger that can be used before `configure`, and changes with each."""

    def __init__(self) -> None:
        self.bound: FilteringBoundLogger | None = None

    def bind_to(self, logger: FilteringBoundLogger) -> None:
        self.bound = logger
        for name in (*PRIORITIES, "exception"):  # __getattr__ would find them too, but not as fast
            setattr(self, name, getattr(logger, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bound or _bind("console", "info", bodies=False), name)


_logger = _Logger()


def get_logger() -> FilteringBoundLogger:
    """The logger of all modules. Before `configure` it writes the console format, from INFO up."""
    return cast(FilteringBoundLogger, _logger)


def configure(settings: LogSettings, *, journald: bool = False) -> None:
    """Apply `settings` to all loggers of this process.

    `journald`: systemd's journal reads the lines: each starts with its priority (sd-daemon(3)) and has no time.
    """
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(line_buffering=True)  # keeps printed lines in order with those written by log_output
    _bind(settings.format, settings.level, bodies=settings.bodies, journald=journald)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Libraries)]:
        root.removeHandler(handler)
    root.addHandler(_Libraries(logging.WARNING))


def hide(secrets: Iterable[str]) -> None:
    """Replace these values, instead of those given before, by `***` in every line, also in escaped and URL form."""
    known = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
    spelled = {spelling for secret in known for spelling in (secret, repr(secret)[1:-1], quote(secret, safe=""))}
    spelled |= {to_json(spelling)[1:-1] for spelling in spelled}
    _output.hide(tuple(sorted(spelled, key=len, reverse=True)))


def flush() -> None:
    """Write at once what waits for the end of the event loop's turn (see `log_output.Output`)."""
    _output.flush()


def quiet_warnings() -> None:
    """Suppress the deprecation warnings of libraries; call it before importing them."""
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)


def _bind(style: str, level: str, *, bodies: bool, journald: bool = False) -> FilteringBoundLogger:
    tty = sys.stdout is not None and sys.stdout.isatty() and os.name == "posix"
    logger = structlog.wrap_logger(
        _output,
        processors=[
            _redact(bodies=bodies),
            _trace,
            for_journald(style) if journald else json_lines() if style == "json" else console(colours=tty),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
    )
    bound = cast(FilteringBoundLogger, logger.bind())
    _logger.bind_to(bound)
    return bound


def _redact(*, bodies: bool) -> structlog.typing.Processor:
    dropped = frozenset() if bodies else BODIES
    private = IDENTITIES | dropped

    def redact(_: Any, __: str, event: EventDict) -> EventDict:
        if labels := _labels.get():
            event.update(labels)
        if private.isdisjoint(event):
            return event
        for key in IDENTITIES.intersection(event):
            value = event[key]
            if not (key == "contact" and isinstance(value, int)):  # the internal id is not personal
                event[key] = mask(None if value is None else str(value))
        for key in dropped.intersection(event):
            del event[key]
        return event

    return redact


def _trace(logger: Any, method: str, event: EventDict) -> EventDict:
    return structlog.processors.format_exc_info(logger, method, event) if "exc_info" in event else event


class _Libraries(logging.Handler):
    """Logs the lines of libraries as `library.logged`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its format
            message = str(record.msg)
        log = get_logger()
        details = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(_level(record.levelno), "library.logged", logger=record.name, message=message, **details)


def _level(number: int) -> int:
    """The standard level at or below `number`, since libraries define their own."""
    return max(level for level in (logging.WARNING, logging.ERROR, logging.CRITICAL) if level <= number)
