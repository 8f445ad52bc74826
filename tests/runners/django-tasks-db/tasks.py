"""The project's tasks. Each gives its note back, and fails unless the file that it needs is there. The id of each run
that succeeds goes to the file NOTES, as the table spells it."""

import os

from django.tasks import task


@task(takes_context=True)
def steady(context, note, *, needs):
    return work(context, note, needs)


@task(priority=7, takes_context=True)
def flaky(context, note, *, needs):
    return work(context, note, needs)


def work(context, note, needs):
    if not os.path.exists(needs):
        raise FileNotFoundError(needs)
    with open(os.environ["NOTES"], "a") as notes:
        print(context.task_result.id.replace("-", ""), file=notes)
    return note
