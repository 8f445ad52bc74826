"""What JSON Schema can't say of a good request: one bound lies above the other, and a limit is not too small."""

import schemathesis

# Each pair in both spellings: the lower bound, the upper one.
BOUNDS = [
    ("exit_code_min", "exit_code_max"),
    ("exitCodeMin", "exitCodeMax"),
    ("created_after", "created_before"),
    ("createdAfter", "createdBefore"),
]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Mends good requests only: a bad one must stay as bad as it was made."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    search = case.body.get("filter")
    if isinstance(search, dict):
        for low, high in BOUNDS:
            if search.get(low) and search.get(high) or search.get(low) == 0 or search.get(high) == 0:
                search.pop(high, None)
    options = case.body.get("options")
    if isinstance(options, dict) and isinstance(options.get("limit"), int):
        options["limit"] = max(options["limit"], 1_000_000)
