// What was re-run: the last operations of the store's ledger, where their new runs stand, and how one is undone.

import * as api from "./api.js";
import { element, foreign, local } from "./text.js";
import * as token from "./token.js";
import * as view from "./view.js";

const LAST = 20;

const $ = (id) => document.getElementById(id);

let mayUndo = false;
let undone = () => {};
let latest = null;

/** `then` is called when something was undone. */
export function start(then) {
  undone = then;
  $("history").addEventListener("toggle", refresh);
}

/** What the server says of its store: whether there is a ledger, and whether we may change anything. */
export function introduce({ ledger, writable, may_spawn }) {
  mayUndo = writable && may_spawn;
  $("history").hidden = !ledger;
  refresh();
}

/** There may be more to list, if the list is on show. */
export async function refresh() {
  if ($("history").hidden || !$("history").open) return;
  const mine = (latest = {});
  const shown = await api.operations(LAST).then(list, trouble);
  if (mine === latest) $("operations").replaceChildren(...shown);
}

function list(operations) {
  if (!operations.length) return [element("p", { class: "quiet" }, "Nothing yet.")];
  return [element("ul", {}, ...operations.map((operation) => element("li", {}, folded(operation))))];
}

/** One operation: a line, and all of it once it is opened. */
function folded(operation) {
  const place = element("details", {}, element("summary", {}, ...line(operation)), element("div", { class: "operation" }));
  place.addEventListener("toggle", () => place.open && look(place, operation.operation_id));
  return place;
}

/** When, who (or through which door), how many, and why. */
function line({ created_at, actor, door, triggered, reason, undone_at }) {
  const at = element("time", { datetime: created_at, title: created_at }, local(new Date(created_at)).slice(0, 19).replace("T", " "));
  const parts = [at, foreign(actor ?? door), element("span", {}, view.count(triggered, "new run"))];
  if (undone_at) parts.push(element("span", {}, "undone"));
  if (reason) parts.push(foreign(reason, "bdi", { class: "quiet" }));
  return parts.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

/** Shows where an operation's new runs stand now, below what there is to say of it. */
async function look(place, id, said = []) {
  const body = place.lastElementChild;
  try {
    const operation = await api.operation(id);
    place.firstElementChild.replaceChildren(...line(operation));
    body.replaceChildren(...said, inWords(operation), ...undoing(place, operation), ...runs(operation));
  } catch (problem) {
    body.replaceChildren(...said, ...trouble(problem));
  }
}

function inWords({ states }) {
  const words = Object.entries(states).flatMap(([word, count], index) => [index ? ", " : "", `${count.toLocaleString("en")} `, foreign(word)]);
  return element("p", {}, ...(words.length ? words : ["No new run came of it."]));
}

function runs({ runs }) {
  const rows = runs.map(({ task_name, run_id, phase, end_reason, exit_code }) => [
    view.text(task_name),
    view.id(run_id, true),
    element("span", {}, foreign(end_reason ?? phase), exit_code ? ` (exit code ${exit_code})` : null),
  ]);
  return rows.length ? [view.table("New runs", ["Task", "New run", "Stands"], rows)] : [];
}

/** The button, where there is something left to undo, and who may. */
function undoing(place, { operation_id, states }) {
  if (!mayUndo || !states.pending) return [];
  const made = element("button", { type: "button", class: "plain" }, "Undo…");
  made.addEventListener("click", async () => {
    if (!(await isMeant(states.pending))) return;
    made.disabled = true;
    await undo(place, operation_id);
  });
  return [made];
}

function isMeant(pending) {
  const dialog = $("undo-dialog");
  $("undo-words").textContent = `${view.count(pending, "run")} pending. What a worker has begun meanwhile is kept.`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "undo"), { once: true }));
}

async function undo(place, id) {
  const said = await api.undo(id).then((answer) => [element("strong", {}, outcome(answer))], trouble);
  // A list that has come meanwhile has this operation in another place.
  if (!place.isConnected) return;
  await look(place, id, [element("div", { tabindex: "-1" }, ...said)]);
  place.querySelector(".operation > [tabindex]").focus();
  undone();
}

/** A browser may have sent it twice: then the second answer has nothing left, and where the runs stand tells the rest. */
function outcome({ undone, kept }) {
  const words = undone.length ? `${view.count(undone.length, "run")} taken back` : "Nothing was left to take back";
  return kept.length ? `${words}, ${kept.length.toLocaleString("en")} kept.` : `${words}.`;
}

function trouble(problem) {
  if (problem.status === 401) token.refused();
  return [element("div", { class: "notice bad", role: "alert" }, ...view.problem(problem))];
}
