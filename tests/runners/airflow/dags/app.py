"""Two DAGs that are started by hand. The name of each run that succeeds goes to the file NOTES, with what it was told."""

import os
from datetime import timedelta

from airflow.sdk import DAG, BaseOperator


class Note(BaseOperator):
    """Fails in the flaky DAG as long as what it needs is missing."""

    template_fields = ("told",)
    told = "{{ params.note }}"

    def execute(self, context):
        run = context["dag_run"]
        if run.dag_id == "flaky" and not os.path.exists(os.environ["NEEDED"]):
            raise RuntimeError("what I need is missing")
        with open(os.environ["NOTES"], "a") as notes:
            print(run.run_id, self.told, file=notes)


for name in ("flaky", "steady"):
    with DAG(name, schedule=None, params={"note": "nothing"}, is_paused_upon_creation=False) as dag:
        # On a busy machine some processes of its executor end before the task begins.
        Note(task_id="note", retries=9 if name == "steady" else 0, retry_delay=timedelta(seconds=1))
    globals()[name] = dag
