"""An application with procrastinate's tasks, for its own command line: `procrastinate --app app.app`."""

import os

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["STORE"]))


@app.task(name="flaky", queue="mail")
def flaky(**arguments):
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")


@app.task(name="persistent", queue="mail", retry=procrastinate.RetryStrategy(max_attempts=5, wait=3600))
def persistent(**arguments):
    """Fails, and procrastinate tries it again by itself, much later."""
    raise RuntimeError("not yet")


@app.task(name="steady", queue="mail")
def steady(**arguments):
    """Always succeeds."""
