"""The project's tasks. Each gives its note back, and fails unless the file that it needs is there."""

import os

from django.tasks import task


@task()
def steady(note, *, needs):
    return work(note, needs)


@task(priority=7)
def flaky(note, *, needs):
    return work(note, needs)


def work(note, needs):
    if not os.path.exists(needs):
        raise FileNotFoundError(needs)
    return note
