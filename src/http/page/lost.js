// A re-run without an answer: what was asked for is kept for this tab, and looked for in the store.

import * as api from "./api.js";

const KEPT = "bulk_rerun.unanswered";
/** The server tells its time in whole seconds. */
const SLACK_MS = 2000;

let unanswered = null;

/** Remembers a re-run that is about to be sent: not even a reload forgets it. */
export function begin(planned) {
  const tasks = [...new Set(planned.map(({ task_name }) => task_name))];
  unanswered = { since: api.serverNow(), tasks, planned: planned.length };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(unanswered));
  } catch {
    // There is no room for so many tasks: then a reload does forget it.
  }
}

/** What became of it is known. */
export function end() {
  unanswered = null;
  sessionStorage.removeItem(KEPT);
}

/** The re-run whose outcome is not known, if there is one. */
export function pending() {
  const kept = unanswered ?? JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  return kept && { ...kept, since: new Date(kept.since) };
}

/** The runs of its tasks that were created since. */
export async function look({ since, tasks }) {
  const filter = { created_after: new Date(since - SLACK_MS).toISOString() };
  if (tasks.length === 1) filter.task_name = tasks[0];
  const answer = await api.preview({ match_all: true, filter, options: { dry_run: true, unique_by: "run" } });
  const names = new Set(tasks);
  return [
    ...answer.planned.map(({ task_name, rerun_of }) => ({ task_name, run_id: rerun_of })),
    ...(answer.skipped ?? []).filter(({ run_id }) => run_id !== undefined),
  ].filter(({ task_name }) => names.has(task_name));
}
