// A re-run that stays in sight: its new runs, and where each of them stands by now.

import * as api from "./api.js";
import { copy } from "./copy.js";
import * as form from "./form.js";
import { storeOf } from "./handon.js";
import * as rows from "./rows.js";
import * as sections from "./sections.js";
import { $, button, element, foreign, hide, spelled, when } from "./text.js";
import * as token from "./token.js";
import * as view from "./view.js";

const FIRST_MS = 2000;
const SLOWEST_MS = 10_000;

let about = {};
let acts = {};
/** What is on show, if a re-run is. */
let on = null;
let timer = 0;
/** The page's title: the store's name, behind what there is to say of the re-run. */
let name = "";
let words = "";

/** `again` leads back to the plan, `select` to one of these runs; `done` is called when something was taken back. */
export function start(then) {
  acts = then;
  document.addEventListener("visibilitychange", follow);
}

/** What the server says of its store. */
export function introduce(said) {
  about = said;
  name = `Bulk re-run: ${spelled(view.storeName(about))}`;
  entitle(words);
  if (!on?.stood) return;
  tellOfStore(on);
  stand(on, on.stood);
}

/** How its new runs start, and how the store would keep a ledger. */
function tellOfStore(mine) {
  mine.start.replaceChildren(...(about.start ? [foreign(about.start), "."] : []));
  mine.keep.textContent = `bulk-rerun ledger create --store ${storeOf(about)}`;
}

function entitle(said) {
  words = said;
  if (name) document.title = [words, name].filter(Boolean).join(" · ");
}

/** Nothing of it is on show any more. */
export function leave() {
  clearTimeout(timer);
  entitle("");
  on = null;
}

/** A re-run by its answer; `first` is what to do next, if there is more to it than to look. */
export const show = (answer, first = null) =>
  open({ id: answer.operation_id, runs: answer.triggered, skipped: answer.skipped ?? [], answer, first });

/** One that the ledger has. */
export async function look(id) {
  leave();
  const mine = (on = { id });
  sections.result(element("p", { class: "quiet" }, "Looking…"));
  try {
    const operation = await api.operation(id);
    if (mine === on) open({ id, runs: operation.runs, skipped: [], operation });
  } catch (problem) {
    if (mine === on) sections.result(...view.trouble(problem), element("div", { class: "row" }, button("Select runs", acts.again)));
  }
}

/** With another token: what is on show is looked at again. Answers whether there is such a re-run. */
export function retry() {
  if (on?.runs) follow();
  else if (on) look(on.id);
  return on !== null;
}

function open({ id, runs, skipped, answer, operation, first }) {
  leave();
  const mine = (on = { id, runs, pause: FIRST_MS, cells: new Map() });
  for (const run of runs) mine.cells.set(key(run), element("span"));
  const lines = runs.map((run) => [view.text(run.task_name), mine.cells.get(key(run)), view.id(run.run_id, true),
    element("div", {}, view.id(run.rerun_of), rows.parametersOf(run))]);
  const left = view.skippedInWords(skipped);
  const json = answer ?? operation;
  mine.said = element("div", { tabindex: "-1" });
  mine.stands = element("p", { id: "stands", role: "status" });
  mine.start = element("p", { class: "start" });
  mine.keep = element("code");
  mine.again = button("", () => acts.select(mine.failed));
  mine.undo = button("Take back what has not begun", () => takeBack(mine));
  mine.start.hidden = mine.again.hidden = mine.undo.hidden = true;
  sections.result(
    element("div", {},
      element("h2", {}, runs.length ? `${view.count(runs.length, "new run")} spawned` : "Nothing was spawned"),
      mine.stands,
      operation && element("p", { class: "quiet" }, ...line(operation)),
      left.length ? element("p", { class: "quiet" }, `Left alone: ${left.join(", ")}.`) : null),
    mine.said,
    mine.start,
    element("div", { class: "row" },
      first, mine.again, mine.undo,
      runs.length ? button("Copy the new ids", ({ target }) => copy(runs.map((run) => run.run_id).join("\n"), target)) : null,
      button("Copy as JSON", ({ target }) => copy(JSON.stringify(json, null, 2), target)),
      button("Select again", acts.again, first ? "plain" : "primary")),
    runs.length ? view.table("New runs", ["Task", "Stands", "New run", "Source run"], lines) : null,
    view.skippedTable(skipped),
    !id && runs.length ? element("p", { class: "quiet" }, "This store keeps no ledger: a reload forgets these runs, and none can be taken back. To keep one from now on: ",
      mine.keep) : null,
  );
  tellOfStore(mine);
  if (operation) stand(mine, operation.runs);
  else if (runs.length) stand(mine, runs.map((run) => ({ ...run, phase: "pending" })));
  wait(mine);
}

// --- where they stand ---

/** A run is its task and its id together. */
const key = ({ task_name, run_id }) => JSON.stringify([task_name, run_id]);

function wait(mine) {
  clearTimeout(timer);
  if (mine.runs.length && !mine.hasEnded) timer = setTimeout(follow, mine.pause);
}

/** Looks again: gently, the less the longer nothing has changed, and not where nobody sees it. */
async function follow() {
  const mine = on;
  if (!mine?.runs?.length || mine.hasEnded || document.hidden) return;
  const turn = (mine.turn = {});
  const isOld = () => mine !== on || mine.turn !== turn;
  try {
    const runs = mine.id ? (await api.operation(mine.id)).runs : await standings(mine.runs);
    if (isOld()) return;
    mine.pause = stand(mine, runs) ? FIRST_MS : Math.min(mine.pause * 1.5, SLOWEST_MS);
  } catch (problem) {
    if (isOld()) return;
    mine.pause = SLOWEST_MS;
    mine.stands.textContent = `Where they stand can't be told just now: ${spelled(problem.detail)}`;
    if (problem.status === 401) token.refused();
  }
  wait(mine);
}

/** Where runs stand in a store without a ledger: as a dry run of their ids has them. */
async function standings(runs) {
  const { planned, skipped = [] } = await api.preview({
    ids: runs.map(({ run_id }) => run_id),
    options: { dry_run: true, unique_by: "run", with_runs: true },
  });
  const found = new Map([...planned, ...skipped].filter(({ run }) => run).map(({ run }) => [key({ ...run, run_id: run.id }), run]));
  return runs.map((run) => ({ ...run, phase: "gone", ...found.get(key(run)) }));
}

const word = ({ phase, end_reason }) => end_reason ?? phase;
const hasFailed = (run) => run.phase === "ended" && !view.isSuccess(run.end_reason);

/** Shows where they stand; answers whether that is news. */
function stand(mine, runs) {
  const words = inWords(Object.entries(Object.groupBy(runs, word)).map(([word, { length }]) => [word, length]), runs.length);
  const isNews = mine.stands.textContent !== words;
  for (const run of runs) {
    const cell = mine.cells.get(key(run));
    const ending = view.ending(run);
    if (cell && cell.textContent !== ending.textContent) cell.replaceChildren(ending);
  }
  if (isNews) mine.stands.textContent = words;
  entitle(words);
  mine.stood = runs;
  mine.failed = runs.filter(hasFailed);
  hide(mine.again, !mine.failed.length || !mine.failed.every(({ run_id }) => form.holdsId(run_id)));
  mine.again.textContent = `Re-run the ${mine.failed.length === 1 ? "one" : mine.failed.length.toLocaleString("en")} that failed again`;
  mine.pending = runs.filter(({ phase }) => phase === "pending").length;
  mine.start.hidden = !mine.pending || !about.start;
  hide(mine.undo, !(mine.id && mine.pending && about.writable && about.may_spawn));
  mine.hasEnded = runs.every(({ phase }) => !["pending", "running"].includes(phase));
  return isNews;
}

/** "3 of 8 succeeded, 1 failed, 4 pending". */
export function inWords(states, all = states.reduce((sum, [, number]) => sum + number, 0)) {
  const succeeded = states.filter(([word]) => view.isSuccess(word)).reduce((sum, [, number]) => sum + number, 0);
  const others = states.filter(([word]) => !view.isSuccess(word)).map(([word, number]) => `${number.toLocaleString("en")} ${spelled(word)}`);
  return [`${succeeded.toLocaleString("en")} of ${all.toLocaleString("en")} succeeded`, ...others.sort()].join(", ");
}

/** When, who (or through which door), how many, and why. */
export function line({ created_at, actor, door, triggered, reason, undone_at }) {
  const parts = [when(created_at), foreign(actor ?? door), element("span", {}, view.count(triggered, "new run"))];
  if (undone_at) parts.push(element("span", {}, "undone"));
  if (reason) parts.push(foreign(reason, "bdi", { class: "quiet" }));
  return parts.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

// --- taking back ---

async function takeBack(mine) {
  if (!(await isMeant(mine.pending))) return;
  mine.undo.disabled = true;
  const said = await api.undo(mine.id).then((answer) => [element("strong", {}, outcome(answer))], view.trouble);
  mine.undo.disabled = false;
  if (mine !== on) return;
  mine.said.replaceChildren(...said);
  mine.said.focus();
  follow();
  acts.done();
}

/** Answers the question that was asked last. */
let settle = () => {};

function isMeant(pending) {
  settle(false);
  const dialog = $("undo-dialog");
  $("undo-words").textContent = `${view.count(pending, "run")} pending. What a worker has begun meanwhile is kept.`;
  dialog.returnValue = "";
  dialog.showModal();
  // A browser tells late that one was closed: the next may be open by then.
  dialog.onclose = () => dialog.open || settle(dialog.returnValue === "undo");
  return new Promise((resolve) => (settle = resolve));
}

/** A browser may have sent it twice: then the second answer has nothing left, and where the runs stand tells the rest. */
function outcome({ undone, kept }) {
  const words = undone.length ? `${view.count(undone.length, "run")} taken back` : "Nothing was left to take back";
  return kept.length ? `${words}, ${kept.length.toLocaleString("en")} kept.` : `${words}.`;
}
