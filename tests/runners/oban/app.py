"""An application with Oban's workers. `python app.py install`, `python app.py work`, or `python app.py WORKER ARGUMENTS
OPTIONS`, which enqueues a job (both JSON). The id of each job that succeeds goes to the file NOTES."""

import asyncio
import json
import os
import signal
import sys

from oban import Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

PREFIX = os.environ.get("PREFIX", "public")


def note(job):
    with open(os.environ["NOTES"], "a") as notes:
        print(job.id, file=notes)


@worker(queue="mail", max_attempts=1)
class Flaky:
    """Fails as long as what it needs is missing."""

    async def process(self, job):
        if not os.path.exists(os.environ["NEEDED"]):
            raise RuntimeError("what I need is missing")
        note(job)


@worker(queue="mail", max_attempts=5)
class Persistent:
    """Fails, and Oban tries it again by itself, later."""

    async def process(self, job):
        raise RuntimeError("not yet")

    def backoff(self, job):
        return 3600


@worker(queue="mail")
class Steady:
    """Always succeeds."""

    async def process(self, job):
        note(job)


async def main(command, *arguments):
    async with AsyncConnectionPool(os.environ["STORE"], min_size=1, open=False) as pool:
        if command == "install":
            return await install(pool, prefix=PREFIX)
        if command == "work":
            stopped = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
            async with Oban(pool=pool, prefix=PREFIX, queues={"mail": 2}):
                print("working", flush=True)
                await stopped.wait()
            return None
        async with Oban(pool=pool, prefix=PREFIX):
            job = await globals()[command].enqueue(json.loads(arguments[0]), **json.loads(arguments[1]))
            print(job.id)


asyncio.run(main(*sys.argv[1:]))
