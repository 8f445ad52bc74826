// What the page shows of an answer. Every text from the server is set as text, never as markup.

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
  gone: ["gone", "the run has vanished"],
  refused: ["declined by the runner", "the runner declined"],
};

/** An element with attributes and children; a string is text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** What the button re-runs. */
export const nounFor = (uniqueBy) => (uniqueBy === "task" ? "task" : "run");

/** The preview's lists: what would run, and what would not. */
export function planLists(answer) {
  const planned = answer.planned.map(({ task_name, rerun_of, matched }) => [text(task_name), id(rerun_of), number(matched)]);
  return [
    planned.length && table("Will run", ["Task", "Source run", "Runs"], planned),
    skippedTable(answer.skipped ?? []),
  ].filter(Boolean);
}

/** The result's lists: what was started, and what was not. */
export function resultLists(answer) {
  const triggered = answer.triggered.map(({ task_name, run_id, rerun_of }) => [text(task_name), id(run_id, true), id(rerun_of)]);
  return [
    triggered.length && table("Spawned", ["Task", "New run", "Source run"], triggered),
    skippedTable(answer.skipped ?? []),
  ].filter(Boolean);
}

function skippedTable(skipped) {
  if (!skipped.length) return null;
  const rows = skipped.map(({ task_name, run_id, reason, detail }) => [
    task_name === undefined ? text("–") : text(task_name),
    id(run_id),
    why(reason, detail),
  ]);
  return table("Left alone", ["Task", "Run", "Why"], rows, "skipped");
}

function why(reason, detail) {
  const words = REASONS[reason]?.[1] ?? reason;
  // "succeeded since as …" says it all.
  return element("span", {}, !detail ? words : detail.startsWith(words) ? detail : `${words}: ${detail}`);
}

const text = (value) => element("span", { class: "name" }, value);
const number = (value) => element("span", { class: "number" }, value.toLocaleString("en"));

function id(value, isNew = false) {
  return element("code", isNew ? { class: "new" } : {}, value);
}

function table(title, columns, rows, kind = "") {
  const body = element("tbody");
  const line = (cells) => element("tr", {}, ...cells.map((cell, index) => element("td", { "data-label": columns[index] }, cell)));
  const more = element("button", { type: "button", class: "plain more" }, `Show all ${rows.length.toLocaleString("en")}`);
  body.append(...rows.slice(0, ROWS_AT_FIRST).map(line));
  more.addEventListener("click", () => {
    body.append(...rows.slice(ROWS_AT_FIRST).map(line));
    more.remove();
  });
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  const caption = element("caption", {}, title, element("span", { class: "badge" }, rows.length.toLocaleString("en")));
  const made = element("table", { class: kind }, caption, element("thead", {}, head), body);
  return element("div", { class: "list" }, made, rows.length > ROWS_AT_FIRST ? more : null);
}

/** The sums of a skipped list by reason: "4 succeeded since". */
export function skippedInWords(skipped = []) {
  const sums = new Map();
  for (const { reason } of skipped) sums.set(reason, (sums.get(reason) ?? 0) + 1);
  return [...sums].map(([reason, sum]) => `${sum.toLocaleString("en")} ${REASONS[reason]?.[0] ?? reason}`);
}

/** A problem that belongs to no field. */
export function problem({ title, detail }, violations = []) {
  const list = violations.map(({ location, message }) => element("li", {}, element("code", {}, location), ` ${message}`));
  return [element("strong", {}, title), element("p", {}, detail), list.length > 1 ? element("ul", {}, ...list) : null].filter(Boolean);
}

/** A command for a shell that sends this request. */
export function curl(endpoint, request, withToken) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const token = withToken ? ` \\\n  -H "Authorization: Bearer $BULK_RERUN_TOKEN"` : "";
  return `curl -sS ${quote(endpoint)} \\\n  -H 'Content-Type: application/json'${token} \\\n  -d ${quote(JSON.stringify(request))}`;
}
