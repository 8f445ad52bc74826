// The plan's rows: what failed when, how and with which parameters, each to be left out or not.

import { element, foreign, local, madeAt, spelled } from "./text.js";
import * as view from "./view.js";

/** From so many rows on they can be searched. */
const ROWS_TO_SEARCH = 20;
const SUMMARY_LENGTH = 90;

/** The rows that are left out, each a task and a source run. They stay so while the plan is made anew. */
const left = new Map();
let words = "";
let shownKeys = new Set();

const key = (task_name, rerun_of) => JSON.stringify([task_name, rerun_of]);

/** The groups to leave out, as a request names them. */
export const leftOut = () => [...left.values()];

/** Leaves out these besides; none of them has to be on show. */
export const leaveOut = (groups) => groups.forEach((group) => left.set(key(group.task_name, group.rerun_of), group));

/** From now on nothing is left out. */
export const clear = () => left.clear();

function tick(row, isOn) {
  row.isOn = isOn;
  if (!isOn) return left.set(row.key, { task_name: row.task_name, rerun_of: row.rerun_of });
  left.delete(row.key);
  // A newer run may have become its source run: it was left out by the older one's name.
  if (row.isOut) for (const [name, group] of left) if (group.task_name === row.task_name && !shownKeys.has(name)) left.delete(name);
}

/** What is planned and what was left out by hand, in the answer's order. */
function rowsOf(answer) {
  const out = (answer.skipped ?? []).filter(({ reason }) => reason === "left_out");
  const rows = [...answer.planned, ...out.map((skipped) => ({ ...skipped, rerun_of: skipped.run_id, isOut: true }))];
  for (const row of rows) Object.assign(row, { key: key(row.task_name, row.rerun_of), isOn: !row.isOut });
  const order = (one, other) => (one < other ? -1 : Number(one > other));
  if (out.length) rows.sort((one, other) => order(one.task_name, other.task_name) || order(one.rerun_of, other.rerun_of));
  shownKeys = new Set(rows.map((row) => row.key));
  return rows;
}

/** The list of them; null without any. `changed` is called when one is ticked or not, `each` to run every set of parameters. */
export function list(answer, changed, each) {
  const rows = rowsOf(answer);
  if (!rows.length) return null;
  tellApart(rows);
  const place = element("div", { class: "rows" });
  const all = element("input", { type: "checkbox", id: "all-rows" });
  const label = element("label", { class: "check" }, all, element("span"));
  const shown = () => rows.filter((row) => row.text.includes(words.trim().toLowerCase()));
  const isOn = (row) => row.isOn;
  const act = (row, isOn) => {
    tick(row, isOn);
    sum();
    changed();
  };
  const sum = () => {
    const found = shown();
    const on = found.filter(isOn).length;
    all.checked = on === found.length;
    all.indeterminate = on > 0 && on < found.length;
    all.disabled = !found.length;
    const some = `${found.length.toLocaleString("en")} of ${view.count(rows.length, "row")}: the others stay as they are`;
    label.lastChild.textContent = found.length < rows.length ? some : "All rows";
  };
  const show = () => {
    const columns = ["Run?", "Task", "Created", "Ended", "Runs", "Source run"];
    const lines = shown().map((row) => () => cells(row, act, each));
    const made = view.table("Will run", columns, lines, "planned", rows.filter(isOn).length);
    place.querySelector(".list")?.remove();
    place.append(made);
    sum();
  };
  all.addEventListener("change", () => {
    for (const row of shown()) if (isOn(row) !== all.checked) tick(row, all.checked);
    show();
    changed();
  });
  const bar = element("div", { class: "row bar" }, label);
  if (rows.length >= ROWS_TO_SEARCH) bar.append(search(show));
  if (rows.length > 1) place.append(bar);
  if (rows.length < ROWS_TO_SEARCH) words = "";
  show();
  return place;
}

function search(show) {
  const field = element("input", { type: "search", id: "find-rows", "aria-label": "Find in these rows", placeholder: "Find in these rows", spellcheck: "false" });
  field.value = words;
  field.addEventListener("input", () => {
    words = field.value;
    show();
  });
  return field;
}

function cells(row, act, each) {
  const name = `Run ${spelled(row.task_name)}, ${spelled(row.rerun_of)}`;
  const box = element("input", { type: "checkbox", "aria-label": name, id: `row-${encodeURIComponent(row.key)}` });
  box.checked = row.isOn;
  box.addEventListener("change", () => act(row, box.checked));
  const source = element("div", {}, view.id(row.rerun_of), sets(row, each), params(row));
  return [box, view.text(row.task_name), span(row), view.ending(row.run), view.number(row.matched), source];
}

const instant = (text) => (text ? new Date(text) : null);
const time = (at, words) => element("time", { datetime: at.toISOString(), title: at.toISOString() }, words);

/** From the earliest to the latest; the day once where it is one. */
function span({ first, run, rerun_of }) {
  const to = instant(run?.created_at) ?? madeAt(rerun_of);
  if (!to) return "–";
  const from = instant(first) ?? to;
  const [day, at] = local(from).slice(0, 19).split("T");
  const [lastDay, last] = local(to).slice(0, 19).split("T");
  if (day === lastDay && at === last) return time(to, `${day} ${at}`);
  const until = day === lastDay ? last : `${lastDay} ${last}`;
  return element("span", {}, time(from, `${day} ${at}`), " – ", time(to, until));
}

/** Where one run stands for several sets of parameters, and how to run each. */
export function sets({ parameter_sets = 1 }, each) {
  if (parameter_sets < 2) return null;
  const button = element("button", { type: "button", class: "chip" }, "one run for each");
  button.addEventListener("click", each);
  return element("div", { class: "sets" }, `1 of ${view.count(parameter_sets, "set")} of parameters `, button);
}

// --- parameters ---

function members(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Puts what differs between the rows of a task before what does not. */
function tellApart(rows) {
  const tasks = new Map();
  for (const row of rows) {
    row.params = row.run?.params ?? null;
    row.members = row.params === null ? null : members(row.params);
    row.text = [row.task_name, row.rerun_of, row.params ?? ""].join(" ").toLowerCase();
    for (const [name, value] of Object.entries(row.members ?? {})) {
      if (!tasks.has(row.task_name)) tasks.set(row.task_name, new Map());
      const values = tasks.get(row.task_name);
      values.set(name, (values.get(name) ?? new Map()).set(JSON.stringify(value), true));
    }
  }
  for (const row of rows) {
    if (!row.members) continue;
    const differs = ([name]) => tasks.get(row.task_name).get(name).size > 1;
    const all = Object.entries(row.members);
    row.summary = [...all.filter(differs), ...all.filter((one) => !differs(one))]
      .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
  }
}

/** In short, and whole once it is opened. */
function params({ params, summary = params }) {
  if (params === null || params === "{}" || params === "") return null;
  const short = summary.length > SUMMARY_LENGTH ? `${summary.slice(0, SUMMARY_LENGTH)}…` : summary;
  const place = element("details", { class: "params" }, foreign(short, "summary"));
  // Only then: they may be long.
  place.addEventListener("toggle", () => place.children.length < 2 && place.append(foreign(params, "pre", { tabindex: "0" })));
  return place;
}
