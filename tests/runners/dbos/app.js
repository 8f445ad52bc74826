// The same application with DBOS for TypeScript: `node app.js start NAME ARGUMENT` enqueues a workflow, and then runs
// what is enqueued; `node app.js work` does only that.
import { appendFileSync, existsSync } from 'node:fs';
import { DBOS } from '@dbos-inc/dbos-sdk';

const note = () => appendFileSync(process.env.NOTES, `${DBOS.workflowID}\n`);

// Fails as long as what it needs is missing.
async function look() {
  if (!existsSync(process.env.NEEDED)) throw new Error('what I need is missing');
}

const workflows = {
  flaky: async (order) => {
    await DBOS.runStep(look, { name: 'look' });
    note();
    return order;
  },
  steady: async (order) => {
    note();
    return order;
  },
};
for (const [name, workflow] of Object.entries(workflows)) workflows[name] = DBOS.registerWorkflow(workflow, { name });

const [command, name, argument] = process.argv.slice(2);
DBOS.setConfig({ name: 'shop', systemDatabaseUrl: process.env.STORE, applicationVersion: '1', logLevel: 'error' });
await DBOS.launch();
await DBOS.registerQueue('mail', { minPollingIntervalMs: 50 });
if (command === 'start') await DBOS.startWorkflow(workflows[name], { queueName: 'mail' })(JSON.parse(argument));
console.log('working');
process.on('SIGTERM', async () => {
  await DBOS.shutdown();
  process.exit(0);
});
