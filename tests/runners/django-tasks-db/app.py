"""What the project's own code does: app.py enqueue TASK NOTE NEEDS, and app.py result ID (as JSON)."""

import json
import sys

import django

django.setup()

import tasks  # noqa: E402
from django.tasks import default_task_backend  # noqa: E402

match sys.argv[1:]:
    case ["enqueue", name, note, needs]:
        print(getattr(tasks, name).enqueue(note, needs=needs).id)
    case ["result", run_id]:
        result = default_task_backend.get_result(run_id)
        found = {"status": result.status, "task": result.task.module_path, "args": result.args, "kwargs": result.kwargs}
        found["value"] = result.return_value if result.status == "SUCCESSFUL" else None
        found["enqueued_at"] = result.enqueued_at.isoformat()
        print(json.dumps(found))
    case _:
        sys.exit(__doc__)
