// An application with Sidequest, on STORE, a file or a URL. `node app.js do '[["Flaky", "note", {"maxAttempts": 1}], …]'`
// enqueues jobs, each with methods of its builder, and prints their ids; `["cancel", 7]` cancels one. `node app.js work`
// is a worker that polls ten times a second, as it does by default.
import { Sidequest } from 'sidequest';
import * as jobs from './jobs.js';

const [command, json] = process.argv.slice(2);
const isUrl = process.env.STORE.startsWith('postgres:');
const config = {
  backend: {
    driver: isUrl ? '@sidequest/postgres-backend' : '@sidequest/sqlite-backend',
    config: isUrl ? { connection: { connectionString: process.env.STORE, application_name: 'app' } } : process.env.STORE,
  },
  dashboard: { enabled: false },
  fork: false,
  runner: 'inline',
  logger: { level: 'error' },
};

if (command === 'do') {
  await Sidequest.configure(config);
  const ids = [];
  for (const [what, first, methods] of JSON.parse(json)) {
    if (what === 'cancel') {
      await Sidequest.job.cancel(first);
      continue;
    }
    const builder = Sidequest.build(jobs[what]).with('soft');
    for (const [method, value] of Object.entries(methods ?? {})) builder[method](value);
    ids.push((await builder.enqueue(first, { note: first })).id);
  }
  console.log(JSON.stringify(ids));
  await Sidequest.stop();
  process.exit(0);
}

await Sidequest.start(config);
console.log('working');
process.on('SIGTERM', async () => {
  await Sidequest.stop();
  process.exit(0);
});
