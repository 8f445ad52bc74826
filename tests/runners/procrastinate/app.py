"""An application with procrastinate's tasks, for its own command line: `procrastinate --app app.app`. The id of each
job that succeeds goes to the file NOTES."""

import os

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["STORE"]))


def note(job):
    with open(os.environ["NOTES"], "a") as notes:
        print(job.id, file=notes)


@app.task(name="flaky", queue="mail", pass_context=True)
def flaky(context, **arguments):
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")
    note(context.job)


@app.task(name="persistent", queue="mail", retry=procrastinate.RetryStrategy(max_attempts=5, wait=3600))
def persistent(**arguments):
    """Fails, and procrastinate tries it again by itself, much later."""
    raise RuntimeError("not yet")


@app.task(name="steady", queue="mail", pass_context=True)
def steady(context, **arguments):
    """Always succeeds."""
    note(context.job)
