// Which run it is that keeps a group from being started.

import * as api from "./api.js";
import { element, foreign } from "./text.js";

/** Where it is said of each group, by its name. */
let places = new Map();

const nameOf = ({ task_name, run_id }) => JSON.stringify([task_name, run_id]);

/** What there is to add to each group that is active: it comes when the store has told, and is there until then as it was. */
export function which(skipped, uniqueBy) {
  const groups = skipped.filter(({ reason }) => reason === "active");
  const before = places;
  places = new Map(groups.map((group) => [nameOf(group), before.get(nameOf(group)) ?? element("span")]));
  // It is only more detail of what is on show.
  if (groups.length) tell(groups, uniqueBy === "task").catch(() => {});
  return (group) => places.get(nameOf(group)) ?? null;
}

async function tell(groups, isByTask) {
  const mine = places;
  const tasks = new Set(groups.map(({ task_name }) => task_name));
  const filter = { status: "pending,running", ...(tasks.size === 1 ? { task_name: [...tasks][0] } : {}) };
  const options = { dry_run: true, with_runs: true, unique_by: isByTask ? "task" : "params" };
  const { planned, skipped = [] } = await api.preview({ match_all: true, filter, options });
  const key = ({ task_name, params }) => JSON.stringify([task_name, isByTask ? null : params]);
  const found = new Map([...planned, ...skipped].filter(({ run }) => run).map((group) => [key(group.run), group]));
  if (mine !== places) return;
  for (const group of groups) {
    const active = group.run && found.get(key(group.run));
    const words = active ? [" as ", foreign(active.run.id, "code"), active.matched > 1 ? ` and ${(active.matched - 1).toLocaleString("en")} more` : ""] : [];
    places.get(nameOf(group)).replaceChildren(...words);
  }
}
