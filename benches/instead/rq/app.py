"""`python app.py PORT FAILURES TASKS` puts so many jobs of so many tasks among RQ's failed ones, by its own classes,
requeues all of them as `rq requeue --all` does, and prints how many seconds that took and how many jobs wait."""

import sys
import time

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry

FEW = 1000

port, failures, tasks = map(int, sys.argv[1:])
redis = Redis("127.0.0.1", port)
redis.flushall()
queue = Queue("mail", connection=redis)
registry = FailedJobRegistry(queue=queue)

for first in range(0, failures, FEW):
    pipeline = redis.pipeline()
    for number in range(first, min(first + FEW, failures)):
        job = Job.create("app.steady", kwargs={"n": number % tasks}, origin=queue.name, connection=redis)
        job.set_status(JobStatus.FAILED, pipeline=pipeline)
        registry.add(job, exc_string="RuntimeError: what I need is missing", pipeline=pipeline)
    pipeline.execute()
assert registry.count == failures

begun = time.perf_counter()
for job_id in registry.get_job_ids():
    registry.requeue(job_id)
print(time.perf_counter() - begun, queue.count)
