"""The shared library: its functions, and what it hands over, which goes back to it with the object that has it."""

from __future__ import annotations

import ctypes
import json
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int32, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

try:
    # The library uses the copy of SQLite that the process has. So it is the one of Python's own module.
    import sqlite3  # noqa: F401
except ImportError:
    pass

ABI_VERSION = 1
HEEDS_DUE = 1

_FOLDER = Path(__file__).parent
#: The folder that `bulk_rerun.h` is in.
INCLUDE = str(_FOLDER / "include")


def _find() -> str:
    # In the same order in every language's package: who sets the variable means it.
    named = os.environ.get("BULK_RERUN_LIB")
    packaged = _FOLDER / "libbulk_rerun.so"
    # Without both: a distribution's own package.
    return named or (str(packaged) if packaged.exists() else "libbulk_rerun.so.1")


#: The shared library, which is an extension of SQLite as well.
LIBRARY = _find()

try:
    _library = ctypes.CDLL(LIBRARY)
except OSError as error:
    raise ImportError(
        f"bulk_rerun's library can't be loaded: {error}. Say in BULK_RERUN_LIB where libbulk_rerun.so is, or unset it and "
        "install the package again (pip install --force-reinstall bulk-rerun)"
    ) from error

RUNS = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p)
REPLY = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p)
STEP = CFUNCTYPE(c_int32, c_void_p)
KEEP = CFUNCTYPE(c_int32, c_void_p, c_char_p)


class HostTable(Structure):
    """`bulk_rerun_host`: a host's callbacks."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("abi_version", c_uint32),
        ("flags", c_uint32),
        ("context", c_void_p),
        ("runs", RUNS),
        ("spawn", REPLY),
        ("begin", STEP),
        ("commit", STEP),
        ("rollback", STEP),
        ("undo", REPLY),
        ("find_operation", REPLY),
        ("record_operation", REPLY),
    ]


def _declare(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


def _finalizer(name: str) -> Any:
    """A `__del__` that is no Python code: in such code a signal's handler may raise, and from there that would be lost."""
    method = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(("PyInstanceMethod_New", ctypes.pythonapi))
    return method(_declare(name, None, c_void_p))


# What the library hands over is an object and no address, so nothing is lost where a signal's handler raises between two
# lines. And a call's arguments live as long as the call: what another thread is at work on is closed after that.
class Text(c_void_p):
    __del__ = _finalizer("bulk_rerun_string_free")

    def json(self) -> Any:
        return json.loads(ctypes.string_at(self))


class Plugin(c_void_p):
    __del__ = _finalizer("bulk_rerun_close")
    #: A host's callbacks, which must live as long as the plugin.
    callbacks: object = None


class Cursor(c_void_p):
    __del__ = _finalizer("bulk_rerun_cursor_close")


class Cancel(c_void_p):
    __del__ = _finalizer("bulk_rerun_cancel_free")


version = _declare("bulk_rerun_version", c_char_p)
abi_version = _declare("bulk_rerun_abi_version", c_uint32)
is_error = _declare("bulk_rerun_is_error", c_int32, c_void_p)
open_plugin = _declare("bulk_rerun_open", Plugin, c_char_p, POINTER(Text))
attach_plugin = _declare("bulk_rerun_attach", Plugin, POINTER(HostTable), c_char_p, POINTER(Text))
call = _declare("bulk_rerun_call", Text, c_void_p, c_char_p)
call_where = _declare("bulk_rerun_call_where", Text, c_void_p, c_char_p, KEEP, c_void_p)
call_unless = _declare("bulk_rerun_call_unless", Text, c_void_p, c_char_p, c_void_p)
cancel_new = _declare("bulk_rerun_cancel_new", Cancel)
cancel_now = _declare("bulk_rerun_cancel_now", None, c_void_p)
select = _declare("bulk_rerun_select", Cursor, c_void_p, c_char_p, POINTER(Text))
cursor_next = _declare("bulk_rerun_cursor_next", Text, c_void_p, POINTER(Text))
operations = _declare("bulk_rerun_operations", Text, c_void_p, c_char_p)
undo = _declare("bulk_rerun_undo", Text, c_void_p, c_char_p)
emit = _declare("bulk_rerun_emit", c_int32, c_void_p, c_char_p)
reply_set = _declare("bulk_rerun_reply_set", c_int32, c_void_p, c_char_p)

if abi_version() != ABI_VERSION:
    raise ImportError(
        f"{LIBRARY} has version {abi_version()} of the ABI, and this package needs {ABI_VERSION}: install a newer "
        "bulk-rerun"
    )
