"""Keywords as the request that the library reads."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from .types import Filter, PlanKeywords, RerunKeywords, Selection

_FILTER = frozenset(Filter.__annotations__)
_SELECTION = frozenset(Selection.__annotations__) | _FILTER
_OUTSIDE_OPTIONS = _SELECTION - {"except_tasks"}
# `__annotations__` has what a class inherits, too.
RUNS, PLAN, RERUN = (frozenset(of.__annotations__) for of in (Selection, PlanKeywords, RerunKeywords))


def encode(value: object) -> bytes:
    """As JSON. What it can't hold is told by the json module, and a text that is no Unicode by the library."""
    return json.dumps(value, allow_nan=False, default=_as_json).encode()


def decode(text: bytes) -> Any:
    return json.loads(text)


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, timedelta):
        return f"{value // timedelta(milliseconds=1)}ms"
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{value!r} is no value of JSON's")


def instant(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone: say datetime.now(timezone.utc), or time.astimezone()")
    return time.isoformat()


def request(method: str, known: frozenset[str], keywords: Mapping[str, Any], **options: object) -> bytes:
    """The request of a method's keywords."""
    unknown = next((name for name in keywords if name not in known), None)
    if unknown is not None:
        nearest = difflib.get_close_matches(unknown, known, n=1)
        hint = f". Did you mean {nearest[0]!r}?" if nearest else ""
        raise TypeError(f"{method}() got an unexpected keyword argument {unknown!r}{hint}")
    body = {name: value for name, value in keywords.items() if name in _OUTSIDE_OPTIONS - _FILTER}
    conditions = {name: _condition(name, value) for name, value in keywords.items() if name in _FILTER}
    conditions = {
        name: value for name, value in conditions.items() if not (value is None or value is False or value == "")
    }
    options.update({name: value for name, value in keywords.items() if name not in _OUTSIDE_OPTIONS})
    if options.get("except_groups") is not None:
        options["except_groups"] = [_group(group) for group in keywords["except_groups"]]
    if conditions:
        body["filter"] = conditions
        # Only a condition says that every run is meant which fulfils it: an unset variable must not say "every run".
        if body.get("ids") is None and body.get("match_all") is None:
            body["match_all"] = True
    if options:
        body["options"] = options
    return encode(body)


def _condition(name: str, value: Any) -> Any:
    if name == "status" and value is not None:
        words = value.split(",") if isinstance(value, str) else value
        return ",".join(word for word in map(str.strip, words) if word)
    return value


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    """An item of a plan's `planned` says more than is asked for."""
    return {"task_name": group["task_name"], "rerun_of": group["rerun_of"]}
