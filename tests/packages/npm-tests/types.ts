// What the types let through, and what not. It is compiled, never run.
import { Client, BulkRerunError, type Answer, type Camel, type Plan, type Request, type Run } from "bulk-rerun";
import { attach, open, type Host, type OwnHost } from "bulk-rerun/library";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

const client = new Client("http://127.0.0.1:9477", { token: "x" });
const camel = new Client(new URL("http://127.0.0.1:9477"), { spelling: "camel" });

async function overHttp(signal: AbortSignal): Promise<void> {
  const plan = await client.plan({ match_all: true, filter: { status: "failed", created_after: new Date() } }, { signal });
  same<typeof plan, Plan>(true);
  const id: string = plan.planned[0]!.rerun_of;

  const answer = await client.rerun({ ids: [id], options: { unique_by: "params", except_groups: [{ task_name: "a", rerun_of: id }] } });
  same<typeof answer, Answer>(true);
  const other = await client.rerun({ matchAll: true, filter: { taskName: "backup" } }, { idempotencyKey: false });
  const started: string[] = other.triggered.map((run) => run.rerunOf);
  const buckets: Record<string, number>[] = (await camel.plan({ matchAll: true, options: { times: 3 } })).times?.buckets ?? [];
  const reason: string | undefined = (await camel.rerun({ ids: [id] })).skipped?.[0]?.taskName;

  const outcome = await client.wait(answer, { timeout: "30m", signal, onStates: (states) => states["pending"]?.toFixed() });
  const late: boolean = outcome.timed_out && !(await camel.wait(id, { timeout: 100 })).timedOut;
  const [operation] = await client.operations({ run_id: id, limit: 10 });
  const seen: string | undefined = operation?.operation_id ?? (await camel.operations({ runId: id }))[0]?.operationId;
  await client.undo(operation ?? seen!);
  const phase: string | undefined = (await camel.operation(other)).runs[0]?.endReason;
  void [started, buckets, reason, late, phase];

  // @ts-expect-error: there is no such field
  await client.rerun({ match_al: true });
  // @ts-expect-error: one spelling in one request
  await client.rerun({ match_all: true, filter: { taskName: "x" } });
  // @ts-expect-error: there is no such way
  await client.plan({ ids: [], options: { unique_by: "run_id" } });
  // @ts-expect-error: an answer is spelled as its request
  answer.operationId;
  // @ts-expect-error: a key is a text
  await client.rerun({ ids: [] }, { idempotencyKey: true });
}

const request: Request = { match_all: true };
const inCamel: Camel<Request> = { matchAll: true, options: { exceptGroups: [{ taskName: "a", rerunOf: "1" }], skipActive: true } };

function inProcess(host: Host): number {
  const answer = host.rerun(request, (run: Run) => run.exit_code !== 137);
  const other = host.rerun(inCamel);
  for (const run of host.runs(request)) void run.task_name.length;
  // @ts-expect-error: a predicate answers true or false
  host.rerun(request, (run) => run.exit_code);
  // @ts-expect-error: the library does not wait
  host.rerun(request, async () => true);
  return answer.triggered.length + other.triggered.filter((run) => run.taskName).length;
}

const own: OwnHost = { runs: () => [{ id: "1", task_name: "backup" }], spawn: (run) => (run.unfit ? { skipped: run.unfit } : "2") };
const host = attach(own);
const spelled: string | undefined = open({ store: "runs.db", wire: "camel", ledger: true }).operations()[0]?.operationId;
inProcess(host);
host[Symbol.dispose]();
// @ts-expect-error: a host starts runs
attach({ runs: () => [] });
// @ts-expect-error: there is no such setting
open({ stroe: "runs.db" });

try {
  void overHttp(AbortSignal.timeout(1));
} catch (error) {
  if (error instanceof BulkRerunError) void [error.status, error.errors[0]?.location, error.idempotencyKey, error.triggered, spelled];
}
