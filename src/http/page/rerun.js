// The click: what it sends, and what came of it.

import * as api from "./api.js";
import { copy } from "./copy.js";
import * as form from "./form.js";
import * as lost from "./lost.js";
import * as operation from "./operation.js";
import * as rows from "./rows.js";
import * as sections from "./sections.js";
import { $, button, element, foreign, spelled, timeOfDay } from "./text.js";
import * as token from "./token.js";
import * as view from "./view.js";

const PATIENCE_MS = 30_000;
/** So many tasks are named where a plan has changed. */
const NAMED = 5;

/** What the page does then: `preview` makes the plan anew, `problem` shows one, `done` looks at the store again. */
let page = {};

export const start = (then) => (page = then);

/** Re-runs what is on show. */
export const all = (plan, clicked) => send(clicked, plan.planned, async () => plan.request, operation.show);

/** Re-runs the first row alone; then the others are one more click. */
export function one(plan, clicked) {
  const [first, ...rest] = plan.planned;
  send(clicked, [first], () => exactly([first], { take: 1 }), (answer) => {
    const tried = answer.triggered.flatMap(({ task_name, rerun_of, run_id }) => [{ task_name, rerun_of }, { task_name, rerun_of: run_id }]);
    // Neither it nor its new run is among the rest, whatever has become of them by then.
    rows.leaveOut(tried);
    const next = button(`Re-run the rest (${rest.length.toLocaleString("en")})`, () => others(rest, tried, next), "primary");
    next.id = "rest";
    operation.show(without(answer, ({ reason }) => reason === "not_taken"), tried.length ? next : null);
  }, plan.planned);
}

function others(rest, tried, clicked) {
  const ids = new Set(tried.map(({ rerun_of }) => rerun_of));
  send(clicked, rest, () => exactly(rest), (answer) => operation.show(without(answer, ({ run_id }) => ids.has(run_id))));
}

/** An answer without what its reader knows to be left alone. */
const without = (answer, isKnown) => ({ ...answer, skipped: (answer.skipped ?? []).filter((group) => !isKnown(group)) });

/** The request of the form as it is now, bound to what it starts: nothing but these rows, as they were on show. */
async function exactly(shown, options = {}) {
  const asked = form.request(true);
  Object.assign(asked.options, options);
  const { planned, plan } = await api.preview(asked);
  const name = ({ task_name, rerun_of, run }) => JSON.stringify([task_name, rerun_of, run?.params]);
  const names = new Set(shown.map(name));
  if (!planned.length || !planned.every((row) => names.has(name(row)))) throw { status: 409 };
  const request = form.request();
  Object.assign(request.options, options, { expect_plan: plan });
  return request;
}

/** Sends a re-run of these rows. Where nothing was sent, or it was refused, nothing was spawned. */
async function send(clicked, planned, prepare, show, before = planned) {
  const waiting = new AbortController();
  const busy = (is) => {
    for (const each of document.querySelectorAll("#go, #one, #rest")) each.disabled = is;
    $("selection").inert = is;
  };
  const label = clicked.textContent;
  busy(true);
  clicked.classList.add("busy");
  clicked.textContent = "Re-running…";
  let impatient = 0;
  try {
    const request = await prepare();
    impatient = setTimeout(() => {
      const words = [element("strong", {}, "No answer yet"), button("Stop waiting, and look for the new runs", () => waiting.abort())];
      if ($("plan").hidden) clicked.parentElement.after(element("div", { class: "notice warn", role: "alert" }, ...words));
      else sections.notice(words, "warn");
    }, PATIENCE_MS);
    lost.begin(planned);
    const answer = await api.rerun(request, waiting.signal).catch(async (problem) => {
      if (api.isRefusal(problem)) {
        lost.end();
        throw problem;
      }
      await showLost(problem);
    });
    if (answer) {
      lost.end();
      show(answer);
      page.keep(answer.operation_id);
    }
  } catch (problem) {
    await refused(problem, before);
  } finally {
    clearTimeout(impatient);
    clicked.classList.remove("busy");
    if (clicked.textContent === "Re-running…") clicked.textContent = label;
    busy(false);
    page.done();
  }
}

/** Nothing was spawned. If the plan has changed, the new one is shown beside the word of it. */
async function refused(problem, shown) {
  operation.leave();
  sections.show("plan");
  if (problem.status === 409) {
    const now = await page.preview();
    const words = "The store has changed since the preview, so nothing was spawned. Here is what there is now.";
    sections.notice([element("strong", {}, "The plan has changed"), element("p", {}, words), ...(now ? changes(shown, now) : []), ...$("notice").childNodes], "warn");
  } else page.problem(problem);
  if (!document.querySelector("dialog[open]")) $("plan").focus();
}

/** Which rows came to a plan and which went, and why. */
function changes(shown, { planned, skipped = [] }) {
  const key = ({ task_name, rerun_of, run_id }) => JSON.stringify([task_name, rerun_of ?? run_id]);
  const others = (rows, known) => {
    const keys = new Set(known.map(key));
    return rows.filter((row) => !keys.has(key(row)));
  };
  const isByTask = form.request().options.unique_by === "task";
  const why = (row) => skipped.find((group) => key(group) === key(row) || (isByTask && group.task_name === row.task_name));
  const list = (title, rows, tell) => {
    if (!rows.length) return [];
    const named = rows.slice(0, NAMED).flatMap((row, index) => [index ? ", " : " ", foreign(row.task_name), tell(row)]);
    const more = rows.length > NAMED ? ` and ${(rows.length - NAMED).toLocaleString("en")} more` : "";
    return [element("p", {}, element("strong", {}, title), ...named, more)];
  };
  return [
    ...list("Came:", others(planned, shown), ({ rerun_of }) => element("span", {}, " (", foreign(rerun_of, "code"), ")")),
    ...list("Went:", others(shown, planned), (row) => (why(row) ? element("span", {}, " (", view.why(why(row)), ")") : null)),
  ];
}

/** A re-run without an answer: what the store has of it. Never is it offered again as if nothing had happened. */
export async function showLost(problem, unknown = lost.pending()) {
  const { since, tasks, planned } = unknown;
  const at = timeOfDay(since);
  const why = problem?.status ? element("p", {}, foreign(`${problem.title}: ${problem.detail}`)) : "";
  let shown;
  const show = (title, words, runs = []) => {
    operation.leave();
    shown = element("div", { class: "unknown" }, element("h2", {}, title), why, element("p", {}, words));
    sections.result(
      shown,
      element("div", { class: "row" },
        button("Look again", () => showLost(problem, unknown), "primary"),
        runs.length ? button("Copy the ids", ({ target }) => copy(runs.map((run) => run.run_id).join("\n"), target)) : null,
        button("Select again", page.again)),
      view.foundList(runs),
    );
  };
  const lostAnswer = `The answer to the re-run at ${at} was lost, so its new runs may be there or not.`;
  show("The outcome is not known", `${lostAnswer} Looking…`);
  // Whoever has gone on meanwhile is not called back.
  const isLeft = () => !shown.checkVisibility();
  try {
    const runs = await lost.look(unknown);
    if (isLeft()) return;
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
    if (isLeft()) return;
    show("The outcome is not known", `${lostAnswer} The store can't be looked at just now: ${spelled(error.detail)}`);
    if (error.status === 401) token.refused();
  }
  page.done();
}
