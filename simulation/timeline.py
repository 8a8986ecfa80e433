"""Virtual time, and lives: the tasks of one process of wabot, which end all at once in a crash."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

START = 1_700_000_000.0
"""Unix seconds at which every run begins."""

_ROUNDS = 200
"""How often the tasks of a life are cancelled until all have ended: some are busy tidying up at first."""


class Stuck(Exception):
    """Everybody waits for somebody else, so that time would stand still for ever."""


class _Skipping(selectors.BaseSelector):
    """Instead of waiting, moves the clock to when the wait would end. There are no files to wait for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.on_turn: Callable[[], None] | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.now += timeout
        if self.on_turn is not None:
            self.on_turn()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return {}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)


class Timeline(asyncio.SelectorEventLoop):
    """An event loop on virtual time. What others do in threads is done inline, so that its order is always the same."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)
        self.set_task_factory(_of_a_life)
        self.set_exception_handler(lambda _loop, _context: None)  # what ends with a life need not be retrieved
        self.broken: list[BaseException] = []

    def time(self) -> float:
        return self._skipping.now

    def on_turn(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` at each turn of the loop, that is between any two awaits that wait for anything."""
        self._skipping.on_turn = callback

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whatever it raises belongs to its caller
            future.set_exception(error)
        return future


class Dead(asyncio.CancelledError):
    """What a task of a life that is over gets from everything outside."""


class Life:
    """One process of wabot, from its start to its crash or stop: all tasks that it made, and those that these made."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.over = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._context = copy_context()
        self._context.run(_LIFE.set, self)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a task of this life, and of nothing else's."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    async def end(self) -> None:
        """The crash: nothing of it does anything any more."""
        self.over = True
        begun: dict[asyncio.Task[Any], None] = {}
        for _ in range(_ROUNDS):
            if not self.tasks:
                return
            if all(task in begun for task in self.tasks):  # cancelled before its first step, one would never tidy up
                for task in list(self.tasks):
                    task.cancel()
            begun = dict.fromkeys(self.tasks)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        raise RuntimeError(f"these do not end: {[task.get_coro() for task in self.tasks]}")


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
_OUTSIDE = copy_context()


def current_life() -> Life | None:
    """The life whose task runs; None outside of wabot."""
    return _LIFE.get()


def alive() -> None:
    """Raises Dead in a task of a life that is over."""
    life = _LIFE.get()
    if life is not None and life.over:
        raise Dead


def outside(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the world, which goes on when the life that caused it ends."""
    return asyncio.get_running_loop().create_task(work, context=_OUTSIDE.copy())


def must_not_fail(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """If this task fails, the simulation itself is broken."""
    task.add_done_callback(_notice)
    return task


def actor(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the world that must not fail: then the simulation itself is broken."""
    return must_not_fail(outside(work))


def _notice(task: asyncio.Task[Any]) -> None:
    loop = task.get_loop()
    if not task.cancelled() and (error := task.exception()) is not None and isinstance(loop, Timeline):
        loop.broken.append(error)
        loop.stop()


def _of_a_life(
    loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None, **more: Any
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **more)
    life = _LIFE.get() if context is None else context.get(_LIFE)
    if life is not None:
        life.tasks[task] = None
        task.add_done_callback(lambda ended: life.tasks.pop(ended, None))
    return task


def run_to_its_end(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `main`, on virtual time; whatever else goes on then is given up."""
    loop = Timeline()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    except RuntimeError:
        if loop.broken:
            raise loop.broken[0] from None
        raise
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with contextlib.suppress(Stuck):
            loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()
