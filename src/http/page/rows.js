// The plan's rows: what failed when, how and with which parameters, each to be left out or not.

import { element, foreign, hide, local, madeAt, put, spelled } from "./text.js";
import * as view from "./view.js";

/** From so many rows on they can be searched. */
const ROWS_TO_SEARCH = 20;
const SUMMARY_LENGTH = 90;

/** The rows that are left out, each a task and a source run. They stay so while the plan is made anew. */
const left = new Map();
/** The rows by their keys. */
let named = new Map();

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
  if (row.isOut) for (const [name, group] of left) if (group.task_name === row.task_name && !named.has(name)) left.delete(name);
}

/** What is planned and what was left out by hand, in the answer's order. */
function rowsOf(answer) {
  const out = (answer.skipped ?? []).filter(({ reason }) => reason === "left_out");
  const rows = [...answer.planned, ...out.map((skipped) => ({ ...skipped, rerun_of: skipped.run_id, isOut: true }))];
  for (const row of rows) Object.assign(row, { key: key(row.task_name, row.rerun_of), isOn: !row.isOut });
  const order = (one, other) => (one < other ? -1 : Number(one > other));
  if (out.length) rows.sort((one, other) => order(one.task_name, other.task_name) || order(one.rerun_of, other.rerun_of));
  named = new Map(rows.map((row) => [row.key, row]));
  return rows;
}

// --- the list, which stays the same while plans come and go ---

const COLUMNS = ["Run?", "Task", "Created", "Ended", "Runs", "Source run"];

const place = element("div", { class: "rows" });
const all = element("input", { type: "checkbox", id: "all-rows" });
const label = element("label", { class: "check" }, all, element("span"));
const field = element("input", { type: "search", id: "find-rows", "aria-label": "Find in these rows", placeholder: "Find in these rows", spellcheck: "false" });
const bar = element("div", { class: "row bar" }, label, field);
const table = view.list("Will run", COLUMNS, "planned");
place.append(bar, table.place);

let rows = [];
/** What each row has come to on the page, by its key. */
const lines = new Map();
/** `changed` is called when a row is ticked or not, `each` to run every set of parameters. */
let acts = {};

export function start(then) {
  acts = then;
  field.addEventListener("input", () => {
    fold();
    show(true);
  });
  all.addEventListener("change", () => {
    for (const row of found()) if (row.isOn !== all.checked) tick(row, all.checked);
    show();
    acts.changed();
  });
}

/** The list of these; null without any. */
export function list(answer) {
  rows = rowsOf(answer);
  for (const name of lines.keys()) if (!named.has(name)) lines.delete(name);
  if (!rows.length) return null;
  tellApart(rows);
  hide(bar, rows.length < 2);
  // Whoever types in it goes on.
  const isShort = rows.length < ROWS_TO_SEARCH && document.activeElement !== field;
  if (isShort) field.value = "";
  field.hidden = isShort;
  show();
  return place;
}

/** The parameters of a row that is or was on show last; null where that is not known. */
export const parametersOf = ({ task_name, rerun_of }) => params(named.get(key(task_name, rerun_of)) ?? {});

/** Another selection: its rows are shown from the first one on. */
export const fold = () => table.fold();

function found() {
  const words = field.value.trim().toLowerCase();
  return words ? rows.filter(({ text }) => text.includes(words)) : rows;
}

function show(isTyping) {
  table.show(found().map((row) => () => line(row)), rows.filter(({ isOn }) => isOn).length, isTyping);
  sum();
}

function sum() {
  const shown = found();
  const on = shown.filter(({ isOn }) => isOn).length;
  all.checked = on === shown.length;
  all.indeterminate = on > 0 && on < shown.length;
  all.disabled = !shown.length;
  const some = `${shown.length.toLocaleString("en")} of ${view.count(rows.length, "row")}: the others stay as they are`;
  label.lastChild.textContent = shown.length < rows.length ? some : "All rows";
}

/** What is told of a row, and what shows it. */
const PARTS = [
  [({ first, run }) => [first, run?.created_at], span],
  [({ run }) => [run?.phase, run?.end_reason, run?.exit_code], ({ run }) => view.ending(run)],
  [({ matched }) => [matched], ({ matched }) => view.number(matched)],
  [({ parameter_sets }) => [parameter_sets], sets],
  [({ params, summary }) => [params, summary], params],
];

/** A row as it is now. What of it has not changed is not made anew: it keeps the focus, and what is opened stays open. */
function line(row) {
  const known = lines.get(row.key) ?? begun(row);
  known.box.checked = row.isOn;
  if (known.row === row) return known.tr;
  known.row = row;
  PARTS.forEach(([tell, make], part) => {
    const told = JSON.stringify(tell(row));
    if (known.told[part] === told) return;
    known.told[part] = told;
    put(known.places[part], [make(row)].filter(Boolean));
  });
  return known.tr;
}

function begun({ key, task_name, rerun_of }) {
  const name = `Run ${spelled(task_name)}, ${spelled(rerun_of)}`;
  const box = element("input", { type: "checkbox", "aria-label": name, id: `row-${encodeURIComponent(key)}` });
  const more = [element("div"), element("div")];
  const tr = view.line(COLUMNS, [box, view.text(task_name), null, null, null, element("div", {}, view.id(rerun_of), ...more)]);
  const known = { box, tr, places: [...[...tr.cells].slice(2, 5), ...more], told: [] };
  box.addEventListener("change", () => {
    tick(known.row, box.checked);
    sum();
    acts.changed();
  });
  lines.set(key, known);
  return known;
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
export function sets({ parameter_sets = 1 }) {
  if (parameter_sets < 2) return null;
  const button = element("button", { type: "button", class: "chip" }, "one run for each");
  button.addEventListener("click", () => acts.each());
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
function params({ params = null, summary = params }) {
  if (params === null || params === "{}" || params === "") return null;
  const short = summary.length > SUMMARY_LENGTH ? `${summary.slice(0, SUMMARY_LENGTH)}…` : summary;
  const place = element("details", { class: "params" }, foreign(short, "summary"));
  // Only then: they may be long.
  place.addEventListener("toggle", () => place.children.length < 2 && place.append(foreign(params, "pre", { tabindex: "0" })));
  return place;
}
