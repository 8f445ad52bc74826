// The form and the request that it stands for.

import * as rows from "./rows.js";
import { element, local, spelled } from "./text.js";

const form = document.getElementById("selection");
const field = (name) => form.elements[name];

const TEXTS = ["status", "task_name", "search", "triggered_by"];
const TIMES = ["created_after", "created_before"];
const NUMBERS = ["exit_code_min", "exit_code_max"];
const LISTS = ["ids", "except_ids", "except_tasks"];
const CHECKS = ["retries_only", "skip_superseded", "skip_active"];
/** What is left out by hand, one group each: its task and a run of it. */
const LEFT_OUT = "except_group";
const ALL = ["mode", ...TEXTS, ...TIMES, ...NUMBERS, ...LISTS, ...CHECKS, "unique_by", "limit"];

/** The request, as a dry run or not. A dry run has no limit, so that there is a plan to see above it too. */
export function request(dryRun) {
  const options = { unique_by: field("unique_by").value };
  for (const name of ["skip_superseded", "skip_active"]) if (field(name).checked) options[name] = true;
  if (field("limit").value.trim() && !(dryRun && limit())) options.limit = number("limit");
  if (dryRun) Object.assign(options, { dry_run: true, with_runs: true });
  if (rows.leftOut().length) options.except_groups = rows.leftOut();
  if (field("mode").value === "ids") return { ids: list("ids"), options };
  const selector = { match_all: true, filter: filter() };
  if (exceptTasks().length) options.except_tasks = exceptTasks();
  if (list("except_ids").length) selector.except_ids = list("except_ids");
  return { ...selector, options };
}

/** Whether nothing says which runs: every run in the store is meant. */
export const meansEverything = () => field("mode").value === "filter" && Object.keys(filter()).length === 0;

/** Whether ids are asked for and none is given yet. */
export const isEmpty = () => field("mode").value === "ids" && list("ids").length === 0;

/** At most so many new runs; null where there is no limit, or none that can be read. */
export function limit() {
  const limit = number("limit");
  return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}

const halves = () => TIMES.filter((name) => field(name).validity.badInput);
let before = "";

/** Whether a date has become half a date, or is one no longer, since this was last asked. */
export function hasTurned() {
  const now = halves().join();
  const turned = now !== before;
  before = now;
  return turned;
}

/** What is wrong before the server is asked. With such a form nothing is searched, and nothing is run. */
export function problems() {
  const at = (name, message) => ({ location: name, message });
  return [
    ...(field("mode").value === "filter" ? halves() : []).map((name) => at(name, "this date or time is not complete")),
    ...unread.map(([name, text]) => at(name, `the link says ${name}=${text}, which this form can't hold; any edit drops it`)),
  ];
}

function filter() {
  const filter = {};
  for (const name of TEXTS) if (text(name)) filter[name] = text(name);
  for (const name of TIMES) if (field(name).value) filter[name] = instant(name);
  for (const name of NUMBERS) if (field(name).value.trim()) filter[name] = number(name);
  if (field("retries_only").checked) filter.retries_only = true;
  return filter;
}

/** A text's condition. The server takes a status of commas alone for none: so do we. */
const text = (name) => (name === "status" ? statusWords().join(",") : field(name).value.trim());

/** An instant; `until` has the whole second in it, or the whole of what is said of it: 12:00:07 is until 12:00:07.999…. */
function instant(name) {
  const at = new Date(field(name).value).toISOString();
  if (name !== "created_before") return at;
  return at.replace(/\.000Z$/, ".999999999Z").replace(/(\.\d{3})Z$/, "$1999999Z");
}

/** Whether a list of the form's can have this id in it. */
export const holdsId = (id) => !/[\s,]|^$/.test(id);

const list = (name) => field(name).value.split(/[\s,]+/).filter(Boolean);

/** One a line: a name may have blanks and commas in it. */
const exceptTasks = () => field("except_tasks").value.split("\n").map((name) => name.trim()).filter(Boolean);

/** A number where it is one. What is none goes as it is: the server says what is wrong with it. */
function number(name) {
  const text = field(name).value.trim();
  return /^-?\d+$/.test(text) ? Number(text) : text;
}

/** Puts the messages of a problem under their fields; answers those that belong to none. */
export function showViolations(violations = []) {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  for (const name of TEXTS.filter((name) => field(name).value && !text(name))) {
    document.getElementById(`${name}-error`).textContent = "There is no word in this: it is no condition.";
  }
  return violations.filter(({ location, message }) => {
    const name = location.replace(/\[\d+\]$/, "").split(".").pop();
    const place = document.getElementById(`${name}-error`);
    if (!place) return true;
    place.textContent = spelled(message);
    if (place.closest("details")) place.closest("details").open = true;
    if (field(name) instanceof Element) field(name).setAttribute("aria-invalid", "true");
    return false;
  });
}

/** Adds a word to the status, or takes it out. */
export function toggleWord(word) {
  const words = statusWords();
  field("status").value = (words.includes(word) ? words.filter((known) => known !== word) : [...words, word]).join(", ");
}

const statusWords = () => field("status").value.split(",").map((word) => word.trim()).filter(Boolean);

/** The last so many hours, counted from now; any time without a number. */
export function setWindow(hours) {
  field("created_after").value = hours ? local(new Date(Date.now() - hours * 3600e3)).slice(0, 19) : "";
  field("created_before").value = "";
}

/** From now on each set of parameters gets a run of its own. */
export const runEachSet = () => (field("unique_by").value = "params");

/** The window in time; an end that is open is null. */
export const times = () => TIMES.map((name) => (field(name).value ? Date.parse(instant(name)) : null));

/** The tasks of a plan complete the field from then on; one with signs that are not seen could not be told there. */
export function completeTasks({ planned, skipped = [] }) {
  const list = field("task_name").list;
  const known = new Set([...list.options].map(({ value }) => value));
  const tasks = [...planned, ...skipped].map(({ task_name }) => task_name).filter((task) => task && spelled(task) === task);
  list.append(...[...new Set(tasks)].filter((task) => !known.has(task)).map((value) => element("option", { value })));
}

/** Sets an end of the window, or both. */
export function setTimes(...ends) {
  ends.forEach((at, end) => at && (field(TIMES[end]).value = local(at)));
}

/** A dry run that counts the runs over time, over the window and a day around it; null where ids are asked for. */
export function around(spans) {
  if (field("mode").value === "ids") return null;
  const { options, ...selector } = request(true);
  const wider = { ...selector.filter };
  for (const [end, days] of [[0, -1], [1, 1]]) {
    if (times()[end]) wider[TIMES[end]] = new Date(times()[end] + days * 24 * 3600e3).toISOString();
  }
  const { except_tasks } = options;
  return { ...selector, filter: wider, options: { dry_run: true, times: spans, except_tasks } };
}

/** Shows what belongs to the chosen mode, and which chips are on. */
export function refresh() {
  const byIds = field("mode").value === "ids";
  document.getElementById("by-filter").hidden = byIds;
  document.getElementById("by-ids").hidden = !byIds;
  if (byIds) document.getElementById("times").hidden = true;
  for (const chip of form.querySelectorAll("[data-word]")) {
    chip.setAttribute("aria-pressed", statusWords().includes(chip.dataset.word));
  }
}

/** The form as the address's fragment, so that a selection can be reloaded, and handed to a colleague. */
export function toFragment() {
  const state = new URLSearchParams();
  for (const name of ALL) {
    const input = field(name);
    if (TIMES.includes(name)) {
      if (input.value) state.set(name, new Date(input.value).toISOString());
    } else if (CHECKS.includes(name)) state.set(name, input.checked ? "1" : "0");
    else if (input.value) state.set(name, input.value);
  }
  for (const { task_name, rerun_of } of rows.leftOut()) state.append(LEFT_OUT, JSON.stringify([task_name, rerun_of]));
  return state.toString();
}

/** Exactly these runs, each once more. */
export function select(ids) {
  form.reset();
  edited();
  rows.clear();
  field("mode").value = "ids";
  field("ids").value = ids.join("\n");
  field("unique_by").value = "run";
}

/** What a link says that the form can't hold: name and text. Any edit of the form is the operator's own word instead. */
let unread = [];

export const edited = () => (unread = []);

/** Whether a fragment is a form's; another one is a place on the page. */
export const isState = (fragment) => [...new URLSearchParams(fragment).keys()].some((name) => ALL.includes(name) || name === LEFT_OUT);

/** Fills the form from a fragment, where it is a form's; else with what failed in the last day. What is absent is as it is at first. */
export function fromFragment(fragment) {
  form.reset();
  rows.clear();
  unread = [];
  if (!isState(fragment)) {
    field("status").value = "failed, timeout, crashed";
    return setWindow(24);
  }
  for (const [name, text] of new URLSearchParams(fragment)) {
    if (!(name === LEFT_OUT ? leaveOut(text) : ALL.includes(name) && fill(name, text))) unread.push([name, text]);
  }
  const more = document.getElementById("more");
  more.open = [...more.querySelectorAll("input, textarea")].some((input) => (input.type === "checkbox" ? input.checked : input.value));
}

/** Whether that names a group. */
function leaveOut(text) {
  try {
    const [task_name, rerun_of, ...rest] = JSON.parse(text);
    if (typeof task_name !== "string" || typeof rerun_of !== "string" || rest.length) return false;
    rows.leaveOut([{ task_name, rerun_of }]);
    return true;
  } catch {
    return false;
  }
}

/** Whether the field now says just that. */
function fill(name, text) {
  const input = field(name);
  if (CHECKS.includes(name)) {
    if (["0", "1"].includes(text)) input.checked = text === "1";
    return ["0", "1"].includes(text);
  }
  if (!TIMES.includes(name)) return (input.value = text) === input.value;
  const at = new Date(text);
  input.value = isNaN(at) ? "" : local(at);
  return !text || Number(new Date(input.value)) === Number(at);
}
