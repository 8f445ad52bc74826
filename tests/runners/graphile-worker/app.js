// An application with Graphile Worker. `node app.js do '[["addJob","flaky",{…},{…}], …]'` calls its utilities one after
// the other and prints the new jobs' ids; `node app.js work` works. The id of each job that succeeds goes to the file
// NOTES.
import { appendFileSync, existsSync } from 'node:fs';
import { makeWorkerUtils, run } from 'graphile-worker';

const [command, json] = process.argv.slice(2);
const options = { connectionString: process.env.STORE, schema: process.env.SCHEMA ?? 'graphile_worker' };

if (command === 'do') {
  const utils = await makeWorkerUtils(options);
  await utils.migrate();
  const ids = [];
  for (const [method, ...parameters] of JSON.parse(json)) ids.push((await utils[method](...parameters))?.id);
  console.log(JSON.stringify(ids));
  await utils.release();
} else {
  async function steady(payload, { job }) {
    appendFileSync(process.env.NOTES, `${job.id}\n`);
  }
  // Fails as long as what it needs is missing.
  async function flaky(payload, helpers) {
    if (!existsSync(process.env.NEEDED)) throw new Error('what I need is missing');
    await steady(payload, helpers);
  }
  const runner = await run({ ...options, concurrency: 1, pollInterval: 500, taskList: { flaky, steady } });
  console.log('working');
  await runner.promise;
}
