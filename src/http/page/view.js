// What the page shows of an answer. Every text from the server is set as text, never as markup.

import { button, element, foreign, hide, put } from "./text.js";
import * as token from "./token.js";

/** So many rows are shown at first: a browser is slow with ten thousand. */
const ROWS_AT_FIRST = 200;
/** So many are made at once for who is typing: more than a screen has room for. The others come in the next pause. */
const ROWS_AT_ONCE = 40;
const PAUSE_MS = 100;

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

const LEFT_ALONE = ["Task", "Run", "Why"];

/** What got no new run: `show` takes the groups, and what else there is to say of each. Whose words are the same stays as it is. */
export function skippedList() {
  const { place, show, fold } = list("Left alone", LEFT_ALONE, "skipped");
  let known = new Map();
  const made = (group, more) => line(LEFT_ALONE, [
    group.task_name === undefined ? element("span", { class: "name" }, "–") : text(group.task_name),
    id(group.run_id),
    element("div", {}, why(group), ...more(group)),
  ]);
  return {
    place, fold,
    show(groups, more = () => []) {
      const before = known;
      const now = (known = new Map());
      const lineOf = (group) => () => {
        const { task_name, run_id, reason, detail, parameter_sets } = group;
        const key = JSON.stringify([task_name, run_id]);
        const told = JSON.stringify([reason, detail, parameter_sets]);
        const one = now.get(key) ?? before.get(key);
        now.set(key, one?.told === told ? one : { told, line: made(group, more) });
        return now.get(key).line;
      };
      show(groups.map(lineOf), groups.length);
    },
  };
}

/** The same, once and for all; null without any. */
export function skippedTable(groups) {
  if (!groups.length) return null;
  const { place, show } = skippedList();
  show(groups);
  return place;
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

/** A row of a list. */
export const line = (columns, cells) => element("tr", {}, ...cells.map((cell, index) => element("td", { "data-label": columns[index] }, cell)));

/** A list. `show` takes its rows, each what makes its line once it is shown, and their sum; `fold` shows no more than the first ones. */
export function list(title, columns, kind = "") {
  let [rows, isFolded, later] = [[], true, 0];
  const body = element("tbody");
  const badge = element("span", { class: "badge" });
  const more = button("", () => {
    isFolded = false;
    fill();
    // Where reading goes on.
    body.children[ROWS_AT_FIRST].tabIndex = -1;
    body.children[ROWS_AT_FIRST].focus();
  }, "plain more");
  const fill = (atOnce = Infinity) => {
    clearTimeout(later);
    const some = isFolded ? rows.slice(0, ROWS_AT_FIRST) : rows;
    more.textContent = `Show all ${rows.length.toLocaleString("en")}`;
    hide(more, some.length === rows.length);
    let there = 0;
    while (there < some.length && some[there]() === body.children[there]) there += 1;
    if (there === some.length && there === body.childElementCount) return;
    const now = some.slice(0, Math.max(there, atOnce));
    put(body, now.map((row) => row()));
    if (now.length < some.length) later = setTimeout(fill, PAUSE_MS);
  };
  const show = (some, sum, isTyping = false) => {
    rows = some;
    badge.textContent = sum.toLocaleString("en");
    fill(isTyping ? ROWS_AT_ONCE : Infinity);
  };
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  const caption = element("caption", {}, title, badge);
  const place = element("div", { class: "list" }, element("table", { class: kind }, caption, element("thead", {}, head), body), more);
  return { place, show, fold: () => (isFolded = true) };
}

/** A list that stays as it is; a row is its cells. */
export function table(title, columns, rows, kind) {
  const made = list(title, columns, kind);
  const once = (cells, made) => () => (made ??= line(columns, cells));
  made.show(rows.map((cells) => once(cells)), rows.length);
  return made.place;
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
