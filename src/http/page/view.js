// What the page shows of an answer. Every text from the server is set as text, never as markup.

import { element, foreign } from "./text.js";
import * as token from "./token.js";

/** So many rows are shown at first: a browser is slow with ten thousand. */
const ROWS_AT_FIRST = 200;

/** Each reason in a list of sums ("4 succeeded since"), and as an answer to "why?". */
const REASONS = {
  not_found: ["unknown", "there is no such run"],
  service: ["long-running", "a long-running service"],
  unknown_task: ["not in the catalogue", "the catalogue does not have the task"],
  trigger_disabled: ["not to be started by hand", "the task may not be started by hand"],
  active: ["pending or running", "pending or running"],
  superseded: ["succeeded since", "succeeded since"],
  left_out: ["left out by hand", "left out by hand"],
  not_taken: ["left for later", "left for later"],
  gone: ["gone", "the run has vanished"],
  refused: ["declined by the runner", "the runner declined"],
};

export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export const isSuccess = (word) => word === "success" || word === "succeeded";

/** How a run has ended, or how far it has come. */
export function ending(run) {
  const word = run?.end_reason ?? run?.phase;
  if (!word) return "–";
  const code = run.exit_code === null || run.exit_code === undefined ? "" : ` (${run.exit_code})`;
  const kind = isSuccess(word) ? "ok" : run.phase === "ended" ? "failed" : "";
  return element("span", { class: kind, title: code ? `exit code ${run.exit_code}` : "" }, foreign(word), code);
}

/** What the button re-runs. */
export const nounFor = (uniqueBy) => (uniqueBy === "task" ? "task" : "run");

/** The runs that were found where an answer was lost. */
export function foundList(runs) {
  return runs.length ? table("Created since", ["Task", "Run"], runs.map(({ task_name, run_id }) => [text(task_name), id(run_id, true)])) : null;
}

/** What got no new run; `more` is what else there is to say of each. */
export function skippedTable(skipped, more = () => []) {
  if (!skipped.length) return null;
  const rows = skipped.map((group) => [
    group.task_name === undefined ? element("span", { class: "name" }, "–") : text(group.task_name),
    id(group.run_id),
    element("div", {}, why(group), ...more(group)),
  ]);
  return table("Left alone", ["Task", "Run", "Why"], rows, "skipped");
}

/** Why a group got no new run. */
export function why({ reason, detail }) {
  const words = REASONS[reason]?.[1];
  // "succeeded since as …" says it all.
  if (detail && (!words || detail.startsWith(words))) return foreign(detail);
  return element("span", {}, words ?? foreign(reason), detail ? ": " : null, detail ? foreign(detail) : null);
}

export const text = (value) => foreign(value, "bdi", { class: "name" });
export const number = (value) => element("span", { class: "number" }, value.toLocaleString("en"));
export const id = (value, isNew = false) => (value === undefined ? "–" : foreign(value, "code", isNew ? { class: "new" } : {}));

/** A list; a row is its cells, or what makes them once they are shown. */
export function table(title, columns, rows, kind = "", sum = rows.length) {
  const body = element("tbody");
  const made = (row) => (typeof row === "function" ? row() : row);
  const line = (row) => element("tr", {}, ...made(row).map((cell, index) => element("td", { "data-label": columns[index] }, cell)));
  const more = element("button", { type: "button", class: "plain more" }, `Show all ${rows.length.toLocaleString("en")}`);
  body.append(...rows.slice(0, ROWS_AT_FIRST).map(line));
  more.addEventListener("click", () => {
    const rest = rows.slice(ROWS_AT_FIRST).map(line);
    body.append(...rest);
    more.remove();
    // Where reading goes on.
    rest[0].tabIndex = -1;
    rest[0].focus();
  });
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  const caption = element("caption", {}, title, element("span", { class: "badge" }, sum.toLocaleString("en")));
  const whole = element("table", { class: kind }, caption, element("thead", {}, head), body);
  return element("div", { class: "list" }, whole, rows.length > ROWS_AT_FIRST ? more : null);
}

/** The sums of a skipped list by reason: "4 succeeded since". */
export function skippedInWords(skipped = []) {
  const sums = new Map();
  for (const { reason } of skipped) sums.set(reason, (sums.get(reason) ?? 0) + 1);
  return [...sums].map(([reason, sum]) => `${sum.toLocaleString("en")} ${REASONS[reason]?.[0] ?? reason}`);
}

/** A problem that belongs to no field. */
export function problem({ title, detail }, violations = []) {
  const list = violations.map(({ location, message }) => element("li", {}, foreign(location, "code"), " ", foreign(message)));
  return [element("strong", {}, foreign(title)), element("p", {}, foreign(detail)), list.length > 1 ? element("ul", {}, ...list) : null].filter(Boolean);
}

/** The same of what the page has asked for by itself. */
export function trouble(asked) {
  if (asked.status === 401) token.refused();
  return [element("div", { class: "notice bad", role: "alert" }, ...problem(asked))];
}

/** A store's name, as far as there is room for it. */
export const storeName = ({ store }) => store.split("/").slice(-2).join("/");
