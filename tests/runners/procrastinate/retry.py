"""Retries every failed job as procrastinate does it, one by one, and prints how many seconds that took: for the benches."""

import datetime
import time

from app import app

with app.open():
    jobs = [job.id for job in app.job_manager.list_jobs(status="failed")]
    now = datetime.datetime.now(datetime.timezone.utc)
    begun = time.perf_counter()
    for job in jobs:
        app.job_manager.retry_job_by_id(job, retry_at=now)
    print(time.perf_counter() - begun)
