// Which run it is that keeps a group from being started.

import * as api from "./api.js";
import { element, foreign } from "./text.js";

/** What there is to add to each group that is active: it comes when the store has told. */
export function which(skipped, uniqueBy) {
  const groups = skipped.filter(({ reason }) => reason === "active");
  const places = new Map(groups.map((group) => [group, element("span")]));
  // It is only more detail of what is on show.
  if (groups.length) tell(places, uniqueBy === "task").catch(() => {});
  return (group) => places.get(group) ?? null;
}

async function tell(places, isByTask) {
  const tasks = new Set([...places.keys()].map(({ task_name }) => task_name));
  const filter = { status: "pending,running", ...(tasks.size === 1 ? { task_name: [...tasks][0] } : {}) };
  const options = { dry_run: true, with_runs: true, unique_by: isByTask ? "task" : "params" };
  const { planned, skipped = [] } = await api.preview({ match_all: true, filter, options });
  const key = ({ task_name, params }) => JSON.stringify([task_name, isByTask ? null : params]);
  const found = new Map([...planned, ...skipped].filter(({ run }) => run).map((group) => [key(group.run), group]));
  for (const [{ run }, place] of places) {
    const active = run && found.get(key(run));
    if (active) place.append(" as ", foreign(active.run.id, "code"), active.matched > 1 ? ` and ${(active.matched - 1).toLocaleString("en")} more` : "");
  }
}
