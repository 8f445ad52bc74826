"""An application with PgQueuer's entrypoints. `python app.py install`, `python app.py work`, or `python app.py
ENTRYPOINT PAYLOAD OPTIONS`, which enqueues a job (the options are JSON). The id of each job that succeeds goes to the file
NOTES."""

import asyncio
import datetime
import json
import os
import signal
import sys

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.errors import RetryRequested
from pgqueuer.queries import Queries


def note(job):
    with open(os.environ["NOTES"], "a") as notes:
        print(job.id, file=notes)


async def flaky(job):
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")
    note(job)


async def persistent(job):
    """Fails, and PgQueuer tries it again, later."""
    raise RetryRequested(delay=datetime.timedelta(hours=1))


async def steady(job):
    """Always succeeds."""
    note(job)


async def main(command, *arguments):
    settings = {"search_path": os.environ.get("SCHEMA", "public")}
    connection = await asyncpg.connect(os.environ["STORE"], server_settings=settings)
    queries = Queries(AsyncpgDriver(connection))
    if command == "install":
        return await queries.install()
    if command != "work":
        payload, options = arguments
        return print(*await queries.enqueue(command, payload.encode(), **json.loads(options)))
    runner = PgQueuer.from_asyncpg_connection(connection)
    runner.entrypoint("flaky", on_failure="hold")(flaky)
    runner.entrypoint("forgotten")(flaky)
    runner.entrypoint("persistent")(persistent)
    runner.entrypoint("steady")(steady)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.shutdown.set)
    print("working", flush=True)
    await runner.run()


asyncio.run(main(*sys.argv[1:]))
