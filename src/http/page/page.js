// The page at work: form → preview → re-run → result.

import * as api from "./api.js";
import { copy } from "./copy.js";
import * as form from "./form.js";
import * as ledger from "./history.js";
import * as lost from "./lost.js";
import * as rows from "./rows.js";
import { element, foreign, spelled, timeOfDay } from "./text.js";
import * as times from "./times.js";
import * as token from "./token.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const PAUSE_MS = 300;
const PATIENCE_MS = 30_000;

/** The plan on show: the request that carries it out, what it starts, and whether that is too much. */
let plan = null;
let search = null;
let timer = 0;
let about = { writable: true, may_spawn: true };

// --- preview ---

function changed(pause = PAUSE_MS) {
  clearTimeout(timer);
  search?.abort();
  form.refresh();
  setPlan(null);
  $("really").checked = false;
  showSection("plan");
  document.body.classList.add("searching");
  timer = setTimeout(preview, pause);
}

async function preview() {
  const wrong = form.problems();
  if (wrong.length) return showProblem({ status: 422, title: "This can't be searched for", detail: wrong[0].message, errors: wrong });
  history.replaceState(null, "", `#${form.toFragment()}`);
  if (form.isEmpty()) return showEmpty("Which runs?", "Paste the ids of the runs to re-run.");
  document.body.classList.add("searching");
  // A newer search takes this one's place; the server then stops it.
  const mine = (search = new AbortController());
  try {
    const answer = await api.preview(form.request(true), mine.signal);
    if (mine.signal.aborted) return;
    showPlan(answer);
    times.look(form.around(times.SPANS), form.times(), answer);
  } catch (error) {
    if (!mine.signal.aborted) showProblem(error);
  }
}

function showPlan(answer) {
  const planned = answer.planned.length;
  const limit = form.limit();
  const isOver = limit !== null && planned > limit;
  form.showViolations(isOver ? [{ location: "limit", message: `${view.count(planned, "new run")}: more than the limit` }] : []);
  notice();
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
    setPlan({ request, isOver, planned: answer.planned, label: `Re-run ${view.count(planned, view.nounFor(request.options.unique_by))}` });
  }
  showLists(answer);
}

/** What would run, and what would not; the focus stays where it is in them. */
function showLists(answer) {
  const focused = document.activeElement?.id;
  const each = () => {
    form.runEachSet();
    edited(0);
  };
  const others = (answer.skipped ?? []).filter(({ reason }) => reason !== "left_out");
  const lists = [rows.list(answer, ticked, each), view.skippedTable(others, (group) => rows.sets(group, each))];
  $("lists").replaceChildren(...lists.filter(Boolean));
  if (document.activeElement === document.body && focused) $(focused)?.focus({ preventScroll: true });
}

/** Another plan of the same runs: the button keeps its place and waits for it. */
function ticked() {
  const { hidden } = $("action");
  changed();
  $("action").hidden = hidden;
  updateGo();
}

function setPlan(next) {
  plan = next;
  $("action").hidden = !plan;
  $("curl").hidden = !plan;
  if (!plan) return;
  $("go").textContent = plan.label;
  $("curl").querySelector("pre").textContent = view.curl(api.endpoint, plan.request, api.token.get() !== null);
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
  $("go").disabled = !plan || plan.isOver || Boolean(obstacle()) || (confirm !== null && !$("really").checked);
  $("binding").textContent = plan?.isOver ? "More than the limit." : obstacle() ? `${obstacle()[1]}.` : "Exactly what is listed here, or nothing.";
}

function summary(title, detail) {
  document.body.classList.remove("searching");
  $("summary").replaceChildren(element("h2", {}, title), element("p", { class: "quiet" }, detail));
}

function showEmpty(title, detail) {
  form.showViolations();
  notice();
  setPlan(null);
  $("lists").replaceChildren();
  summary(title, detail);
}

// --- problems ---

function notice(children = [], kind = "bad") {
  $("notice").hidden = !children.length;
  $("notice").className = `notice ${kind}`;
  $("notice").replaceChildren(...children);
}

function showProblem(problem) {
  setPlan(null);
  $("lists").replaceChildren();
  document.body.classList.remove("searching");
  if (problem.status === 401) {
    notice();
    summary("A token is needed", "");
    $("summary").append(button("Enter a token", () => token.ask()));
    return token.refused();
  }
  const rest = form.showViolations(problem.errors);
  const isAllAtFields = problem.errors?.length && !rest.length;
  summary("No preview", isAllAtFields ? "Correct the marked fields." : "");
  if (isAllAtFields) return notice();
  const children = view.problem(problem, rest);
  if (problem.status === 0 || problem.status >= 500) children.push(button("Try again", () => changed(0)));
  notice(children);
}

/** What stays true whatever is searched. */
function standing() {
  const unknown = lost.pending();
  const [title, words] = obstacle() ?? [];
  $("standing").replaceChildren(
    ...(title ? [element("div", { class: "notice warn" },
      element("strong", {}, title), element("p", {}, `${words}: previews work, re-runs don't.`))] : []),
    ...(unknown ? [element("div", { class: "notice warn" },
      element("strong", {}, `What became of the re-run at ${timeOfDay(unknown.since)} is not known`),
      button("Look for its runs", () => showLost()))] : []),
  );
}

// --- re-run ---

async function go() {
  const { request, planned } = plan;
  const waiting = new AbortController();
  $("go").disabled = true;
  $("go").classList.add("busy");
  $("go").textContent = "Re-running…";
  $("selection").inert = true;
  const impatient = setTimeout(() => notice([element("strong", {}, "No answer yet"),
    button("Stop waiting, and look for the new runs", () => waiting.abort())], "warn"), PATIENCE_MS);
  lost.begin(planned);
  try {
    const result = await api.rerun(request, waiting.signal);
    lost.end();
    showResult(result);
  } catch (problem) {
    if (api.isRefusal(problem)) {
      lost.end();
      await refused(problem);
    } else await showLost(problem);
  } finally {
    clearTimeout(impatient);
    $("go").classList.remove("busy");
    $("selection").inert = false;
    standing();
    ledger.refresh();
  }
}

/** Nothing was spawned. If the plan has changed, the new one is shown beside the word of it. */
async function refused(problem) {
  if (problem.status === 409) {
    await preview();
    const words = "The store has changed since the preview, so nothing was spawned. Here is what there is now.";
    notice([element("strong", {}, "The plan has changed"), element("p", {}, words), ...$("notice").childNodes], "warn");
  } else showProblem(problem);
  if (!document.querySelector("dialog[open]")) $("plan").focus();
}

function showResult(result) {
  const started = result.triggered.length;
  const skipped = view.skippedInWords(result.skipped);
  const ids = () => result.triggered.map((run) => run.run_id).join("\n");
  $("result").replaceChildren(
    element("div", {},
      element("h2", {}, started ? `${view.count(started, "new run")} spawned` : "Nothing was spawned"),
      element("p", { class: "quiet" }, skipped.length ? `Left alone: ${skipped.join(", ")}.` : "")),
    started && about.start ? element("p", { class: "start" }, foreign(about.start), ".") : "",
    element("div", { class: "row" },
      started ? button("Copy the new ids", (event) => copy(ids(), event.target)) : null,
      button("Copy as JSON", (event) => copy(JSON.stringify(result, null, 2), event.target)),
      button("Select again", again, "primary")),
    ...view.resultLists(result),
  );
  focusResult();
}

/** A re-run without an answer: what the store has of it. Never is it offered again as if nothing had happened. */
async function showLost(problem, unknown = lost.pending()) {
  const { since, tasks, planned } = unknown;
  const at = timeOfDay(since);
  const why = problem?.status ? element("p", {}, foreign(`${problem.title}: ${problem.detail}`)) : "";
  const show = (title, words, runs = []) => {
    $("result").replaceChildren(...[
      element("div", { class: "unknown" }, element("h2", {}, title), why, element("p", {}, words)),
      element("div", { class: "row" },
        button("Look again", () => showLost(problem, unknown), "primary"),
        runs.length ? button("Copy the ids", (event) => copy(runs.map((run) => run.run_id).join("\n"), event.target)) : null,
        button("Select again", again)),
      view.foundList(runs),
    ].filter(Boolean));
    focusResult();
  };
  const lostAnswer = `The answer to the re-run at ${at} was lost, so its new runs may be there or not.`;
  show("The outcome is not known", `${lostAnswer} Looking…`);
  try {
    const runs = await lost.look(unknown);
    const found = `${view.count(runs.length, "run")} of ${tasks.length === 1 ? "this task was" : "these tasks were"} created since`;
    if (!runs.length) {
      show("The outcome is not known", `${lostAnswer} No run of its ${view.count(tasks.length, "task")} was created since. It may still be under way: look again before you re-run.`);
    } else if (runs.length === planned) {
      // Whose they are can't be told: they are as many as were asked for, of the same tasks, since then.
      lost.end();
      show(`${view.count(runs.length, "new run")} found`, `The answer to the re-run at ${at} was lost. ${found}: as many as were asked for.`, runs);
    } else {
      show("The outcome is not known", `${lostAnswer} ${found}, and ${planned.toLocaleString("en")} were asked for.`, runs);
    }
  } catch (error) {
    show("The outcome is not known", `${lostAnswer} The store can't be looked at just now: ${spelled(error.detail)}`);
    if (error.status === 401) token.refused();
  }
  standing();
}

function focusResult() {
  showSection("result");
  scrollTo(0, 0);
  $("result").focus({ preventScroll: true });
}

function showSection(name) {
  $("plan").hidden = name !== "plan";
  $("result").hidden = name !== "result";
  document.body.classList.toggle("done", name === "result");
}

function again() {
  changed(0);
  $("plan").focus({ preventScroll: true });
}

// --- small things ---

function button(text, act, kind = "plain") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}

async function introduce() {
  try {
    about = await api.store();
  } catch {
    return;
  }
  const name = about.store.split("/").slice(-2).join("/");
  document.title = `Bulk re-run: ${spelled(name)}`;
  $("store").replaceChildren(foreign(name, "bdi", { title: spelled(about.store) }), foreign(about.runner));
  standing();
  updateGo();
  ledger.introduce(about);
}

function edited(pause) {
  form.edited();
  changed(pause);
}

function start() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $("zone").textContent = `(${zone})`;
  form.fromFragment(location.hash.slice(1));
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
  times.start((...ends) => {
    form.setTimes(...ends);
    edited(PAUSE_MS);
    return times.stateOf(form.around(times.SPANS), form.times());
  });
  $("really").addEventListener("change", updateGo);
  $("go").addEventListener("click", go);
  $("curl").querySelector("button").addEventListener("click", ({ target }) => copy($("curl").querySelector("pre").textContent, target));
  document.querySelector(".skip").addEventListener("click", (event) => {
    // Not by the address: that is the form's.
    event.preventDefault();
    document.querySelector("#plan:not([hidden]), #result:not([hidden])").focus();
  });
  // What is pending no longer may be re-run.
  ledger.start(() => !$("plan").hidden && changed(0));
  token.start(() => {
    introduce();
    changed(0);
  });
  addEventListener("hashchange", () => {
    if (!form.isState(location.hash.slice(1))) return;
    form.fromFragment(location.hash.slice(1));
    changed(0);
  });
  introduce();
  changed(0);
  if (lost.pending()) showLost();
}

start();
