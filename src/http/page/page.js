// The page at work: form → preview → plan. What a click on it does is in rerun.js.

import { which } from "./active.js";
import * as api from "./api.js";
import * as form from "./form.js";
import * as handon from "./handon.js";
import * as ledger from "./history.js";
import * as lost from "./lost.js";
import * as operation from "./operation.js";
import * as rerun from "./rerun.js";
import * as rows from "./rows.js";
import * as sections from "./sections.js";
import { $, button, element, foreign, put, renew, spelled, timeOfDay } from "./text.js";
import * as times from "./times.js";
import * as token from "./token.js";
import * as view from "./view.js";

const PAUSE_MS = 300;

/** The plan on show, if there is something to re-run: its digest, the request that carries it out, what it starts, and how far that is above the limit. */
let plan = null;
/** The dry run on show. */
let shown = null;
let search = null;
/** What would not run. */
const alone = view.skippedList();
let timer = 0;
let about = { writable: true, may_spawn: true };
/** The digest of the plan that a link is of, until the form is edited. */
let sent = null;

// --- preview ---

function changed(pause = PAUSE_MS) {
  clearTimeout(timer);
  search?.abort();
  form.refresh();
  setPlan(null);
  $("really").checked = false;
  operation.leave();
  sections.show("plan");
  document.body.classList.add("searching");
  timer = setTimeout(preview, pause);
}

/** The address says what is on show, so that a reload shows it again. */
function keep(name, value) {
  const more = value ? `&${name}=${encodeURIComponent(value)}` : "";
  history.replaceState(null, "", `#${form.toFragment()}${more}`);
}

/** Makes the plan of the form as it is now; answers the dry run, if there is one. */
async function preview() {
  const wrong = form.problems();
  if (wrong.length) return showProblem({ status: 422, title: "This can't be searched for", detail: wrong[0].message, errors: wrong });
  keep("plan", sent);
  if (form.isEmpty()) {
    put($("lists"), []);
    return showEmpty("Which runs?", "Paste the ids of the runs to re-run.");
  }
  document.body.classList.add("searching");
  // A newer search takes this one's place; the server then stops it.
  const mine = (search = new AbortController());
  try {
    const asked = api.preview(form.request(true), mine.signal);
    times.look(form.around(times.SPANS), form.times(), asked, mine.signal);
    const answer = await asked;
    if (mine.signal.aborted) return;
    showPlan(answer);
    tellOfRecent(answer);
    return answer;
  } catch (error) {
    if (!mine.signal.aborted) showProblem(error);
  }
}

function showPlan(answer) {
  const planned = answer.planned.length;
  const limit = form.limit();
  const over = limit === null ? 0 : Math.max(planned - limit, 0);
  form.showViolations(over ? [{ location: "limit", message: `${view.count(planned, "new run")}: ${over.toLocaleString("en")} more than the limit` }] : []);
  const skipped = view.skippedInWords(answer.skipped);
  const sums = [`${view.count(answer.matched, "run")} selected.`, skipped.length ? `Left alone: ${skipped.join(", ")}.` : ""].join(" ").trim();
  if (!planned) {
    const nothing = answer.matched || skipped.length ? "Nothing to re-run" : "No run matches";
    const hint = answer.matched || skipped.length ? sums : "Widen the filter: another time window, or other words.";
    showEmpty(nothing, hint);
  } else {
    summary(view.count(planned, "new run"), sums);
    const request = form.request();
    request.options.expect_plan = answer.plan;
    setPlan({ digest: answer.plan, request, over, planned: answer.planned, label: `Re-run ${view.count(planned, view.nounFor(request.options.unique_by))}` });
  }
  asSent(answer);
  form.completeTasks(answer);
  showLists(answer);
}

/** What of it was re-run not long ago, once the ledger has told. */
async function tellOfRecent(answer) {
  shown = answer;
  const words = answer && (await ledger.touching(answer, form.request().options.unique_by).catch(() => null));
  if (shown === answer) renew($("recent"), [words].filter(Boolean));
}

/** A link says which plan it was made of. */
function asSent(answer) {
  if (!sent) return sections.notice();
  const words = sent === answer.plan ? "This is the plan that was sent to you." : "This is no longer the plan that was sent to you.";
  sections.notice([element("strong", {}, words)], sent === answer.plan ? "good" : "warn");
}

/** What would run, and what would not. */
function showLists(answer) {
  const others = (answer.skipped ?? []).filter(({ reason }) => reason !== "left_out");
  const run = which(others, form.request().options.unique_by);
  alone.show(others, (group) => [run(group), rows.sets(group)]);
  put($("lists"), [rows.list(answer), others.length ? alone.place : null].filter(Boolean));
}

/** Each set of parameters gets a run of its own; what was clicked goes. */
function runEachSet() {
  form.runEachSet();
  edited(0);
  $("plan").focus({ preventScroll: true });
}

/** Another plan of the same runs: the button keeps its place and waits for it. */
function ticked() {
  const { hidden } = $("action");
  sent = null;
  changed();
  $("action").hidden = hidden;
  updateGo();
}

function setPlan(next) {
  plan = next;
  $("action").hidden = !plan;
  handon.offer(plan, about);
  tellOfRecent(null);
  if (!plan) return;
  $("go").textContent = plan.label;
  updateGo();
}

/** What the operator has to say yes to, in words; null where it is clear. */
function toConfirm() {
  const unknown = lost.pending();
  const words = [
    form.meansEverything() && "Yes, from every run in the store: nothing is filtered",
    unknown && `Yes, though what became of the re-run at ${timeOfDay(unknown.since)} is not known`,
  ].filter(Boolean);
  return words.length ? words.join(". ") : null;
}

/** Why nothing can be re-run from here, if so. */
function obstacle() {
  if (!about.writable) return ["Read-only", "This store can't be written"];
  if (!about.may_spawn) return ["Previews only", "Your token may only preview"];
  return null;
}

function updateGo() {
  const confirm = toConfirm();
  $("confirm").hidden = confirm === null;
  $("confirm").querySelector("span").textContent = confirm ?? "";
  const isBarred = !plan || Boolean(obstacle()) || (confirm !== null && !$("really").checked);
  $("go").disabled = isBarred || plan.over > 0;
  $("one").disabled = isBarred;
  $("one").hidden = !plan || plan.planned.length < 2;
  $("binding").textContent = plan?.over ? `${plan.over.toLocaleString("en")} more than the limit.` : obstacle() ? `${obstacle()[1]}.` : "Exactly what is listed here, or nothing.";
}

function summary(title, detail) {
  document.body.classList.remove("searching");
  put($("summary"), [element("h2", {}, title), element("p", { class: "quiet" }, detail)]);
}

function showEmpty(title, detail) {
  form.showViolations();
  sections.notice();
  setPlan(null);
  summary(title, detail);
}

// --- problems ---

function showProblem(problem) {
  setPlan(null);
  put($("lists"), []);
  document.body.classList.remove("searching");
  if (problem.status === 401) {
    sections.notice();
    summary("A token is needed", "");
    $("summary").append(button("Enter a token", () => token.ask()));
    return token.refused();
  }
  const rest = form.showViolations(problem.errors);
  const isAllAtFields = problem.errors?.length && !rest.length;
  summary("No preview", isAllAtFields ? "Correct the marked fields." : "");
  if (isAllAtFields) return sections.notice();
  const children = view.problem(problem, rest);
  if (problem.status === 0 || problem.status >= 500) children.push(button("Try again", () => changed(0)));
  sections.notice(children);
}

/** What stays true whatever is searched. */
function standing() {
  const unknown = lost.pending();
  const [title, words] = obstacle() ?? [];
  renew($("standing"), [
    ...(title ? [element("div", { class: "notice warn" },
      element("strong", {}, title), element("p", {}, `${words}: previews work, re-runs don't.`))] : []),
    ...(unknown ? [element("div", { class: "notice warn" },
      element("strong", {}, `What became of the re-run at ${timeOfDay(unknown.since)} is not known`),
      button("Look for its runs", () => rerun.showLost()))] : []),
  ]);
}

function again() {
  changed(0);
  $("plan").focus({ preventScroll: true });
}

/** To these runs: each once more. */
function select(runs) {
  form.select(runs.map(({ run_id }) => run_id));
  sent = null;
  again();
}

async function introduce() {
  try {
    about = await api.store();
  } catch {
    return;
  }
  $("store").replaceChildren(foreign(view.storeName(about), "bdi", { title: spelled(about.store) }), foreign(about.runner));
  $("runner").hidden = about.runner_state === "seen";
  $("runner").replaceChildren(foreign(about.runner), about.runner_state === "unknown" ? ": " : " is not running, as far as can be seen: ", foreign(about.start), ".");
  operation.introduce(about);
  handon.offer(plan, about);
  standing();
  updateGo();
  ledger.introduce(about);
  tellOfRecent(shown);
}

function edited(pause) {
  form.edited();
  for (const list of [rows, alone]) list.fold();
  sent = null;
  changed(pause);
}

function start() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $("zone").textContent = `(${zone})`;
  $("selection").addEventListener("input", (event) => edited(event.target.type === "radio" ? 0 : PAUSE_MS));
  // Half a date is no input to a browser, and says nothing when it comes or goes.
  for (const event of ["keyup", "focusout"]) $("selection").addEventListener(event, () => form.hasTurned() && changed());
  $("selection").addEventListener("submit", (event) => {
    event.preventDefault();
    changed(0);
  });
  $("selection").addEventListener("click", ({ target }) => {
    if (target.dataset.word) form.toggleWord(target.dataset.word);
    else if (target.dataset.hours !== undefined) form.setWindow(Number(target.dataset.hours));
    else return;
    edited(0);
  });
  rows.start({ changed: ticked, each: runEachSet });
  times.start((...ends) => {
    form.setTimes(...ends);
    edited(PAUSE_MS);
    return times.stateOf(form.around(times.SPANS), form.times());
  });
  $("really").addEventListener("change", updateGo);
  $("go").addEventListener("click", () => rerun.all(plan, $("go")));
  $("one").addEventListener("click", () => rerun.one(plan, $("one")));
  handon.start();
  const done = () => {
    standing();
    updateGo();
    ledger.refresh();
  };
  operation.start({ again, select, done });
  rerun.start({ again, preview, done, problem: showProblem, keep: (id) => keep("operation", id) });
  document.querySelector(".skip").addEventListener("click", (event) => {
    // Not by the address: that is the form's.
    event.preventDefault();
    document.querySelector("#plan:not([hidden]), #result:not([hidden])").focus();
  });
  ledger.start();
  token.start(() => {
    introduce();
    if (!operation.retry()) changed(0);
  });
  addEventListener("hashchange", () => open(location.hash.slice(1)));
  introduce();
  open(location.hash.slice(1), true);
  if (lost.pending()) rerun.showLost();
}

/** Shows what an address names: a form, the plan that was sent with it, a re-run. Another fragment is a place on the page. */
function open(fragment, isFirst = false) {
  const state = new URLSearchParams(fragment);
  const id = state.get("operation");
  const digest = state.get("plan") || null;
  for (const name of ["operation", "plan"]) state.delete(name);
  if (isFirst || form.isState(state)) {
    form.fromFragment(state);
    sent = digest;
    if (!id) return changed(0);
  }
  if (!id) return;
  // No plan is on its way any more, which would take the address for itself.
  clearTimeout(timer);
  search?.abort();
  document.body.classList.remove("searching");
  form.refresh();
  operation.look(id);
}

start();
