// `node app.js PORT FAILURES TASKS [always]`: lets so many jobs of so many names fail in BullMQ's own worker, re-queues all
// of them by `queue.retryJobs()`, and prints how many seconds that took and how many jobs wait. `always`: each of its
// writes is on the disk before it is answered.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [port, failures, tasks, fsync] = process.argv.slice(2);
// Without its server it ends.
const connection = { host: '127.0.0.1', port: Number(port), retryStrategy: () => null };
const redis = new Redis(connection);
await redis.flushall();
const queue = new Queue('mail', { connection });

const FEW = 1000;
for (let first = 0; first < failures; first += FEW) {
  const jobs = Array.from({ length: Math.min(FEW, failures - first) }, (_, index) => (first + index) % tasks);
  await queue.addBulk(jobs.map((task) => ({ name: `task-${task}`, data: { n: task } })));
}
const fail = async () => {
  throw new Error('what I need is missing');
};
const worker = new Worker('mail', fail, { connection, concurrency: 200 });
worker.on('error', console.error);
while ((await queue.getFailedCount()) < failures) await new Promise((resolve) => setTimeout(resolve, 20));
await worker.close();

if (fsync) await redis.config('SET', 'appendfsync', fsync);
const begun = performance.now();
await queue.retryJobs();
const seconds = (performance.now() - begun) / 1000;
if (fsync) await redis.config('SET', 'appendfsync', 'everysec');
console.log(seconds, await queue.getWaitingCount());
await queue.close();
redis.disconnect();
