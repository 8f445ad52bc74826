"""What JSON Schema can't say of a good request: one bound lies above the other, a limit is not too small, and this host has
neither a due time nor a ledger."""

import schemathesis

# Each pair in both spellings: the lower bound, the upper one.
BOUNDS = [
    ("exit_code_min", "exit_code_max"),
    ("exitCodeMin", "exitCodeMax"),
    ("created_after", "created_before"),
    ("createdAfter", "createdBefore"),
]
NOT_HERE = ["start_at", "startAt", "spread", "idempotency_key", "idempotencyKey", "reason", "actor"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Mends good requests only: a bad one must stay as bad as it was made."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    if case.headers:
        case.headers.pop("Idempotency-Key", None)
    search = case.body.get("filter")
    if isinstance(search, dict):
        for low, high in BOUNDS:
            if search.get(low) and search.get(high) or search.get(low) == 0 or search.get(high) == 0:
                search.pop(high, None)
    options = case.body.get("options")
    if isinstance(options, dict):
        for name in NOT_HERE:
            options.pop(name, None)
        if isinstance(options.get("limit"), int):
            options["limit"] = max(options["limit"], 1_000_000)
