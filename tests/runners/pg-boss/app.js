// An application with pg-boss. `node app.js do '[["send","flaky",{…},{…}], …]'` calls pg-boss's methods one after the
// other and prints what they answer; `node app.js retry QUEUE` finds and retries every failed job of a queue at once
// and prints how many seconds that took, for the benches; `node app.js work '{"flaky":{…}, …}'` works on queues, with
// options for each, or a list of them for several workers. The id of each job that succeeds goes to the file NOTES.
// PG_BOSS names the package, of those in package.json.
import { appendFileSync, existsSync } from 'node:fs';

// Before 12 the class is all that the package exports.
const { default: only, PgBoss = only } = await import(process.env.PG_BOSS ?? 'pg-boss');
const [command, json] = process.argv.slice(2);
const boss = new PgBoss({ connectionString: process.env.STORE, schema: process.env.SCHEMA ?? 'pgboss', application_name: 'app', supervise: false, schedule: false, useListenNotify: true });
boss.on('error', console.error);
await boss.start();

if (command === 'do') {
  const answers = [];
  for (const [method, ...parameters] of JSON.parse(json)) answers.push(await boss[method](...parameters));
  console.log(JSON.stringify(answers));
  await boss.stop({ graceful: false });
  process.exit(0);
}

if (command === 'retry') {
  const failed = "SELECT id FROM pgboss.job WHERE name = $1 AND state = 'failed'";
  const begun = performance.now();
  const { rows } = await boss.getDb().executeSql(failed, [json]);
  await boss.retry(json, rows.map((row) => row.id));
  console.log((performance.now() - begun) / 1000);
  await boss.stop({ graceful: false });
  process.exit(0);
}

// Fails as long as what it needs is missing, where it says that it needs it.
async function work(jobs) {
  for (const job of jobs) {
    if (job.data?.needs && !existsSync(process.env.NEEDED)) throw new Error('what I need is missing');
    appendFileSync(process.env.NOTES, `${job.id}\n`);
  }
  return { done: jobs[0].data };
}
for (const [queue, workers] of Object.entries(JSON.parse(json))) {
  for (const options of [workers].flat()) await boss.work(queue, options, work);
}
console.log('working');
process.on('SIGTERM', async () => {
  await boss.stop({ graceful: true, timeout: 5000 });
  process.exit(0);
});
