// The page at work: form → preview → re-run → result.

import * as api from "./api.js";
import * as form from "./form.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const PAUSE_MS = 300;

/** The plan on show: the request that carries it out, and how many it starts. */
let plan = null;
let search = null;
let timer = 0;
let result = null;

// --- preview ---

function changed(pause = PAUSE_MS) {
  clearTimeout(timer);
  search?.abort();
  form.refresh();
  setPlan(null);
  $("really").checked = false;
  document.body.classList.add("searching");
  timer = setTimeout(preview, pause);
}

async function preview() {
  history.replaceState(null, "", `#${form.toFragment()}`);
  if (form.isEmpty()) return showEmpty("Which runs?", "Paste the ids of the runs to re-run.");
  // A newer search takes this one's place; the server then stops it.
  const mine = (search = new AbortController());
  const request = form.request(true);
  try {
    const answer = await api.rerun(request, mine.signal);
    if (mine.signal.aborted) return;
    showPlan(answer);
  } catch (error) {
    if (!mine.signal.aborted) showProblem(error);
  }
}

function showPlan(answer) {
  form.showViolations();
  notice();
  const planned = answer.planned.length;
  const uniqueBy = form.request().options.unique_by;
  const noun = view.nounFor(uniqueBy);
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
    setPlan({ request, label: `Re-run ${view.count(planned, noun)}` });
  }
  $("lists").replaceChildren(...view.planLists(answer));
}

function setPlan(next) {
  plan = next;
  $("action").hidden = !plan;
  $("curl").hidden = !plan;
  if (!plan) return;
  $("everything").hidden = !form.meansEverything();
  $("go").textContent = plan.label;
  $("binding").textContent = "Exactly what is listed here, or nothing.";
  $("curl").querySelector("pre").textContent = view.curl(api.endpoint, plan.request, api.token.get() !== null);
  updateGo();
}

function updateGo() {
  $("go").disabled = !plan || (form.meansEverything() && !$("really").checked);
}

function summary(title, detail) {
  document.body.classList.remove("searching");
  $("summary").replaceChildren(view.element("h2", {}, title), view.element("p", { class: "quiet" }, detail));
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
  $("notice").className = kind;
  $("notice").replaceChildren(...children);
}

function showProblem(problem) {
  setPlan(null);
  $("lists").replaceChildren();
  document.body.classList.remove("searching");
  if (problem.status === 401) return askForToken(api.token.get() ? "The token was not accepted." : "");
  const rest = form.showViolations(problem.errors);
  const isAllAtFields = problem.errors?.length && !rest.length;
  summary("No preview", isAllAtFields ? "Correct the marked fields." : "");
  if (isAllAtFields) return notice();
  const children = view.problem(problem, rest);
  if (problem.status === 0 || problem.status >= 500) children.push(button("Try again", () => changed(0)));
  notice(children);
}

// --- re-run ---

async function go() {
  const { request } = plan;
  $("go").disabled = true;
  $("go").classList.add("busy");
  $("go").textContent = "Re-running…";
  try {
    result = await api.rerun(request);
    showResult();
  } catch (problem) {
    await changedMeanwhile(problem);
  } finally {
    $("go").classList.remove("busy");
  }
}

/** Nothing was spawned. If the plan has changed, the new one is shown beside the word of it. */
async function changedMeanwhile(problem) {
  if (problem.status !== 409) return showProblem(problem);
  await preview();
  const words = "The store has changed since the preview, so nothing was spawned. This is the plan as it is now.";
  notice([view.element("strong", {}, "The plan has changed"), view.element("p", {}, words)], "warn");
}

function showResult() {
  const started = result.triggered.length;
  const skipped = view.skippedInWords(result.skipped);
  const ids = () => result.triggered.map((run) => run.run_id).join("\n");
  $("result").replaceChildren(
    view.element("div", {},
      view.element("h2", {}, started ? `${view.count(started, "new run")} spawned` : "Nothing was spawned"),
      view.element("p", { class: "quiet" }, skipped.length ? `Left alone: ${skipped.join(", ")}.` : "")),
    started && about.start ? view.element("p", { class: "start" }, `${about.start}.`) : "",
    view.element("div", { class: "row" },
      started ? button("Copy the new ids", (event) => copy(ids(), event.target)) : null,
      button("Copy as JSON", (event) => copy(JSON.stringify(result, null, 2), event.target)),
      button("Select again", again, "primary")),
    ...view.resultLists(result),
  );
  $("plan").hidden = true;
  $("result").hidden = false;
  document.body.classList.add("done");
  scrollTo(0, 0);
  $("result").focus({ preventScroll: true });
}

function again() {
  $("result").hidden = true;
  $("plan").hidden = false;
  document.body.classList.remove("done");
  changed(0);
  $("plan").focus({ preventScroll: true });
}

// --- small things ---

function button(text, act, kind = "plain") {
  const made = view.element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}

async function copy(text, from) {
  const before = from.textContent;
  try {
    await navigator.clipboard.writeText(text);
    from.textContent = "Copied";
  } catch {
    // Without a secure context there is no clipboard: leave the text selected for the keyboard.
    const range = document.createRange();
    range.selectNodeContents(from.closest("section, details").querySelector("pre, tbody"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    from.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (from.textContent = before), 2000);
}

function askForToken(message) {
  summary("A token is needed", "");
  $("token-error").textContent = message;
  $("token-button").hidden = false;
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

let about = {};

async function introduce() {
  try {
    about = await api.store();
  } catch {
    return;
  }
  const name = about.store.split("/").slice(-2).join("/");
  document.title = `Bulk re-run: ${name}`;
  $("store").replaceChildren(view.element("span", { title: about.store }, name), view.element("span", {}, about.runner));
  $("token-button").hidden = api.token.get() === null;
  if (!about.writable) notice([view.element("strong", {}, "Read-only"), view.element("p", {}, "This store can't be written: previews work, re-runs don't.")], "warn");
}

function start() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $("zone").textContent = `(${zone})`;
  form.fromFragment(location.hash.slice(1));
  $("selection").addEventListener("input", (event) => changed(event.target.type === "radio" ? 0 : PAUSE_MS));
  $("selection").addEventListener("submit", (event) => {
    event.preventDefault();
    changed(0);
  });
  $("selection").addEventListener("click", ({ target }) => {
    if (target.dataset.word) form.toggleWord(target.dataset.word);
    else if (target.dataset.hours !== undefined) form.setWindow(Number(target.dataset.hours));
    else return;
    changed(0);
  });
  $("really").addEventListener("change", updateGo);
  $("go").addEventListener("click", go);
  $("curl").querySelector("button").addEventListener("click", ({ target }) => copy($("curl").querySelector("pre").textContent, target));
  $("token-button").addEventListener("click", () => askForToken(""));
  $("token-dialog").addEventListener("close", () => {
    if ($("token-dialog").returnValue === "use") api.token.set($("token").value.trim());
    $("token").value = "";
    introduce();
    changed(0);
  });
  addEventListener("hashchange", () => {
    form.fromFragment(location.hash.slice(1));
    changed(0);
  });
  introduce();
  changed(0);
}

start();
