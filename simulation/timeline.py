"""Virtual time, and lives: the tasks of one process of wabot, which end all at once in a crash."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

START = 1_700_000_000.0
"""Unix seconds at which every run begins."""

_ROUNDS = 200
"""How often the tasks of a life are cancelled until all have ended: some are busy tidying up at first."""


class Stuck(Exception):
    """Everybody waits for somebody else, so that time would stand still for ever."""


class _Call:
    """A callback that is to be called."""

    __slots__ = ("args", "callback", "context", "over")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback, self.args = callback, args
        self.context = copy_context() if context is None else context  # an empty one is false
        self.over = False

    def cancel(self) -> None:
        """Call it no more."""
        self.over = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.over


class Timeline(asyncio.BaseEventLoop):
    """An event loop on virtual time: instead of waiting it moves its clock to when the wait would end.

    There are no files to wait for. What others do in threads is done inline, so that its order is always the same. It
    does what asyncio's own loop does, in the same order, in half the time: most of a run is spent here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._soon: deque[_Call] = deque()
        self._later: list[tuple[float, int, _Call]] = []
        self._calls = itertools.count()
        self._on_turn: Callable[[], None] | None = None
        self.set_exception_handler(lambda _loop, _context: None)  # what ends with a life need not be retrieved
        self.broken: list[BaseException] = []

    def time(self) -> float:
        return self._now

    def on_turn(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` at each turn of the loop, that is between any two awaits that wait for anything."""
        self._on_turn = callback

    def breaks(self, error: BaseException) -> None:
        """The simulation itself is broken."""
        self.broken.append(error)
        self.stop()

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> Any:
        call = _Call(callback, args, context)
        self._soon.append(call)
        return call

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Any:
        call = _Call(callback, args, context)
        heappush(self._later, (when, next(self._calls), call))
        return call

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        life = _LIFE.get() if context is None else context.get(_LIFE)
        if life is not None:
            life.has(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whatever it raises belongs to its caller
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        """One turn: what is due by now is called, but not what is to be called only since then."""
        soon, later = self._soon, self._later
        while later and later[0][2].over:
            heappop(later)
        if not soon and not self._stopping:  # type: ignore[attr-defined]
            if not later:
                raise Stuck
            self._now = max(self._now, later[0][0])
        if self._on_turn is not None:
            self._on_turn()
        while later and later[0][0] <= self._now:
            soon.append(heappop(later)[2])
        for _ in range(len(soon)):
            call = soon.popleft()
            if not call.over:
                try:
                    call.context.run(call.callback, *call.args)
                except Exception as error:  # noqa: BLE001  asyncio would log it, and nobody would see it
                    self.breaks(error)


class Dead(asyncio.CancelledError):
    """What a task of a life that is over gets from everything outside."""


class Life:
    """One process of wabot, from its start to its crash or stop: all tasks that it made, and those that these made."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.over = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._sweep_at = 64
        self._context = copy_context()
        self._context.run(_LIFE.set, self)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a task of this life, and of nothing else's."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def has(self, task: asyncio.Task[Any]) -> None:
        """It made a task."""
        if len(self._tasks) >= self._sweep_at:
            self._sweep_at = 64 + 2 * len(self._open())
        self._tasks.append(task)

    def _open(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return self._tasks

    async def end(self) -> None:
        """The crash: nothing of it does anything any more."""
        self.over = True
        begun: set[asyncio.Task[Any]] = set()
        for _ in range(_ROUNDS):
            if not self._open():
                return
            if begun.issuperset(self._tasks):  # cancelled before its first step, one would never tidy up
                for task in self._open():
                    task.cancel()
            begun = set(self._tasks)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        raise RuntimeError(f"these do not end: {[task.get_coro() for task in self._open()]}")


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
        loop.breaks(error)


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
