"""An application with Prefect flows. `python app.py server PORT` is a Prefect server; `python app.py serve` makes the flows'
deployments and runs what is scheduled; `python app.py run FLOW PARAMETERS` schedules a run of one, as the server's clients
do. The id of each flow run that succeeds goes to the file NOTES."""

import json
import os
import sys
import urllib.request

API = os.environ["PREFECT_API_URL"]


def post(path, body):
    """Prefect's own client takes seconds to be loaded."""
    request = urllib.request.Request(f"{API}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


if sys.argv[1:2] == ["run"]:
    _, _, name, parameters = sys.argv
    (deployment,) = post("deployments/filter", {"flows": {"name": {"any_": [name]}}})
    run = post(f"deployments/{deployment['id']}/create_flow_run", {"parameters": json.loads(parameters)})
    sys.exit(print(run["id"]))

from prefect import flow, serve
from prefect.runner import Runner
from prefect.runtime import flow_run


def look():
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")


def note():
    with open(os.environ["NOTES"], "a") as notes:
        print(flow_run.id, file=notes)


@flow
def flaky(order: dict):
    look()
    note()


@flow
def steady(order: dict):
    note()


@flow
def parent(order: dict):
    """Has a part of it done by another flow."""
    flaky(order)
    note()


if sys.argv[1:2] == ["server"]:
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
if sys.argv[1:2] == ["serve"]:
    # Once it has run something, its own way to stop may take minutes.
    Runner.handle_sigterm = lambda *_: os._exit(0)
    deployments = [each.to_deployment("daily", tags=["a"]) for each in (flaky, steady, parent)]
    serve(*deployments, limit=3, pause_on_shutdown=False, print_starting_message=True)
