"""Calls that a signal may interrupt, and calls in which the library calls functions of the program's."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import _library
from ._errors import Started, error_of
from ._library import Cancel, Plugin, Text


class _Calls(threading.local):
    """The calls at work on a thread, the innermost last."""

    def __init__(self) -> None:
        self.at_work: list[_Call] = []


_here = _Calls()


class _Call:
    """A call in which the library calls functions of the program's.

    ctypes drops an exception that leaves such a function, and returns whatever is in memory, so none may. Python raises
    the exception of a signal's handler (Ctrl-C) between any two lines, though; the first one is where the function
    begins, before its `try`. So handlers run only where what they raise is caught.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None
        self._handlers: dict[int, Any] = {}
        self._pending: list[tuple[int, FrameType | None]] = []
        self._is_open = True

    def begin(self) -> None:
        _here.at_work.append(self)
        # Handlers run on the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._receive)
        self._is_open = False

    def end(self) -> None:
        if _here.at_work and _here.at_work[-1] is self:
            _here.at_work.pop()
        # As soon as one is in its place again, it may raise: the others must come to theirs all the same.
        numbers = list(self._handlers)
        while numbers:
            try:
                while numbers:
                    signal.signal(numbers[-1], self._handlers[numbers[-1]])
                    numbers.pop()
            except BaseException as error:
                self.keep(error)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._is_open:
            self._handlers[number](number, frame)
        else:
            self._pending.append((number, frame))

    def run(self, function: Callable[..., int], arguments: tuple[Any, ...]) -> int:
        """A function of the program's, and what the library is told: -1 if it raises."""
        try:
            try:
                self._is_open = True
                self.handle_signals()
                return function(*arguments)
            finally:
                self._is_open = False
        except BaseException as error:
            self._is_open = False
            self.keep(error)
            return -1

    def handle_signals(self) -> None:
        while self._pending:
            number, frame = self._pending.pop(0)
            self._handlers[number](number, frame)

    def keep(self, error: BaseException) -> None:
        """As Python itself does where, say, a rollback raises, too."""
        if self.raised is not None and error is not self.raised and error.__context__ is None:
            error.__context__ = self.raised
        self.raised = error


def callback(function: Callable[..., int]) -> Callable[..., int]:
    """What the library may call. It does on the thread that has called it, so the innermost call is meant."""
    return lambda _context, *arguments: _here.at_work[-1].run(function, arguments)


#: Asked where the plugin is handed to the library, and nowhere kept: a frame lives on in an exception's traceback, and
#: what it has would keep a host open that was closed.
PluginOf = Callable[[], Plugin]


def calling_back(function: Callable[..., Any], plugin: PluginOf, *arguments: Any) -> tuple[Any, BaseException | None]:
    """Calls a function of the library that calls callbacks: what it returns, and what they have raised."""
    answer = None
    call = _Call()
    _make_sure_of(_FRAMES)
    try:
        try:
            call.begin()
            answer = function(plugin(), *arguments)
        finally:
            call.end()
        call.handle_signals()
    except BaseException as error:
        call.keep(error)
    raised, call.raised = call.raised, None
    if answer is None and raised is not None:
        raise raised
    return answer, raised


#: As many as a callback needs before it can catch what is raised, and a few more.
_FRAMES = 10


def _make_sure_of(frames: int) -> None:
    """Raises RecursionError here, where so many calls within each other are too many, and not in a callback."""
    if frames:
        _make_sure_of(frames - 1)


def interruptible(plugin: PluginOf, request: bytes) -> Any:
    """A call without callbacks. What a signal's handler raises (Ctrl-C) stops it as long as it only searches.

    The main thread handles no signal within the library, so there the call is another thread's, and this one waits.
    """
    # From within a callback it has to be this thread: the library tells by it that a host is called again.
    if _here.at_work or threading.current_thread() is not threading.main_thread():
        return conclude(_library.call(plugin(), request))
    cancel: Cancel = _library.cancel_new()
    results: list[Text | BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            results.append(_library.call_unless(plugin(), request, cancel))
        except BaseException as error:
            results.append(error)
        done.set()

    worker = threading.Thread(target=work, name="bulk_rerun", daemon=True)
    try:
        worker.start()
    except BaseException as error:
        if isinstance(error, RuntimeError) and not worker.is_alive():
            # No thread is to be had: the interpreter is about to end.
            return conclude(_library.call(plugin(), request))
        _library.cancel_now(cancel)
        raise
    raised = None
    try:
        done.wait()
    except BaseException as error:
        raised = error
        _library.cancel_now(cancel)
        # Whoever interrupts once more does not want to know what has become of it.
        done.wait()
    worker.join()
    result = results.pop()
    if isinstance(result, BaseException):
        raise result
    return conclude(result, raised)


def conclude(text: Text, raised: BaseException | None = None) -> Any:
    """The answer; else what was raised meanwhile, or the library's own error."""
    answer = text.json()
    if raised is not None:
        _note(raised, answer.get("triggered"))
        raise raised
    if _library.is_error(text):
        raise error_of(answer)
    return answer


def _note(raised: BaseException, triggered: object) -> None:
    """Tells what was started all the same, where a traceback shows it."""
    if isinstance(triggered, list) and triggered:
        while raised.__cause__ is not None:
            raised = raised.__cause__
        raised.__cause__ = Started(triggered)
