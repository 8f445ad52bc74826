"""An application with Absurd's tasks, in one queue: `app.py create|enqueue|work QUEUE [TASK]`. The id of each task that
succeeds goes to the file NOTES."""

import os
import sys

import absurd_sdk
import absurdctl
import psycopg

command, queue, *arguments = sys.argv[1:]
if command == "create":
    with psycopg.connect(os.environ["STORE"], autocommit=True) as connection:
        if not connection.execute("SELECT to_regnamespace('absurd')").fetchone()[0]:
            # What `absurdctl init` hands to psql.
            connection.execute(absurdctl.BUNDLED_SCHEMA_SQL)
app = absurd_sdk.Absurd(os.environ["STORE"], queue_name=queue)


@app.register_task(name="flaky", default_max_attempts=1)
def flaky(params, context):
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")
    with open(os.environ["NOTES"], "a") as notes:
        print(context.task_id, file=notes)


if command == "create":
    app.create_queue()
elif command == "enqueue":
    print(app.spawn(arguments[0], {"note": 'Zoë "1"'}, headers={"from": queue})["task_id"])
elif command == "work":
    app.start_worker()
