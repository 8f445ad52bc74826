// What was re-run: the last operations of the store's ledger, and which of them touch a plan.

import * as api from "./api.js";
import * as operation from "./operation.js";
import { $, ago, element, foreign, put, renew } from "./text.js";
import * as view from "./view.js";

const LAST = 20;
/** A plan is told of so many of the last operations, if they are not older than this. */
const RECENT = 5;
const RECENT_MS = 12 * 3600e3;

let latest = null;
const list = element("ul");
/** What has become of each, as it was told last. */
let became = new Map();
/** The recent ones with their runs, by id and whether they were undone. */
const known = new Map();

const link = ({ operation_id }, ...words) => element("a", { href: `#operation=${encodeURIComponent(operation_id)}` }, ...words);

export const start = () => $("history").addEventListener("toggle", refresh);

/** What the server says of its store: whether there is a ledger. */
export function introduce({ ledger }) {
  $("history").hidden = $("recent").hidden = !ledger;
  refresh();
}

function lineOf(one) {
  const named = link(one, ...operation.line(one));
  // By that it keeps the focus, where the line is another one by now.
  named.id = `operation-${one.operation_id}`;
  return element("li", {}, named, element("span", { class: "became" }, became.get(one.operation_id)));
}

/** There may be more to list, if the list is on show. */
export async function refresh() {
  const mine = (latest = {});
  const isOff = () => mine !== latest || $("history").hidden || !$("history").open;
  if (isOff()) return;
  const operations = await api.operations(LAST).catch((problem) => void (isOff() || put($("operations"), view.trouble(problem))));
  if (!operations || isOff()) return;
  const before = became;
  became = new Map(operations.map(({ operation_id: id }) => [id, before.get(id) ?? ""]));
  renew(list, operations.map(lineOf));
  put($("operations"), [operations.length ? list : element("p", { class: "quiet" }, "Nothing yet.")]);
  // What became of each: one after the other.
  for (const [index, { operation_id: id, triggered }] of operations.entries()) {
    const states = triggered ? (await api.operation(id).catch(() => null))?.states : null;
    if (isOff()) return;
    if (!states) continue;
    became.set(id, operation.inWords(Object.entries(states)));
    list.children[index].lastChild.textContent = became.get(id);
  }
}

/** What of a dry run was re-run not long ago, in words: null where nothing was, or nothing tells. */
export async function touching({ planned, skipped = [] }, uniqueBy) {
  if ($("history").hidden) return null;
  const since = api.serverNow() - RECENT_MS;
  const key = uniqueBy === "task" ? (task) => task : (task, run) => JSON.stringify([task, run]);
  const groups = [...planned, ...skipped.filter(({ reason }) => ["active", "superseded"].includes(reason))];
  const wanted = new Set(groups.map(({ task_name, rerun_of, run_id }) => key(task_name, rerun_of ?? run_id)));
  for (const one of await api.operations(RECENT)) {
    if (!one.triggered || Date.parse(one.created_at) < since) continue;
    const state = `${one.operation_id} ${one.undone_at}`;
    if (!known.has(state)) known.set(state, (await api.operation(one.operation_id)).runs);
    const left = known.get(state).filter(({ phase }) => phase !== "undone");
    const touched = new Set(left.flatMap((run) => [key(run.task_name, run.rerun_of), key(run.task_name, run.run_id)]).filter((key) => wanted.has(key)));
    if (!touched.size) continue;
    const some = touched.size < wanted.size ? `${touched.size.toLocaleString("en")} of these` : wanted.size > 1 ? "All of these" : "This";
    return element("p", { class: "recent" }, `${some} ${touched.size === 1 ? "was" : "were"} re-run ${ago(one.created_at, api.serverNow())}, by `,
      foreign(one.actor ?? one.door), ": ", link(one, "what became of it"));
  }
  return null;
}
