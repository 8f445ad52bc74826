// The form and the request that it stands for.

const form = document.getElementById("selection");
const field = (name) => form.elements[name];

const TEXTS = ["status", "task_name", "search", "triggered_by"];
const TIMES = ["created_after", "created_before"];
const NUMBERS = ["exit_code_min", "exit_code_max"];
const LISTS = ["ids", "except_ids"];
const CHECKS = ["retries_only", "skip_superseded", "skip_active"];
const ALL = ["mode", ...TEXTS, ...TIMES, ...NUMBERS, ...LISTS, ...CHECKS, "unique_by", "limit"];

/** The request, as a dry run or not. */
export function request(dryRun) {
  const options = { unique_by: field("unique_by").value };
  for (const name of ["skip_superseded", "skip_active"]) if (field(name).checked) options[name] = true;
  if (field("limit").value.trim()) options.limit = number("limit");
  if (dryRun) options.dry_run = true;
  if (field("mode").value === "ids") return { ids: list("ids"), options };
  const selector = { match_all: true, filter: filter() };
  if (list("except_ids").length) selector.except_ids = list("except_ids");
  return { ...selector, options };
}

/** Whether nothing says which runs: every run in the store is meant. */
export const meansEverything = () => field("mode").value === "filter" && Object.keys(filter()).length === 0;

/** Whether ids are asked for and none is given yet. */
export const isEmpty = () => field("mode").value === "ids" && list("ids").length === 0;

function filter() {
  const filter = {};
  for (const name of TEXTS) if (field(name).value.trim()) filter[name] = field(name).value.trim();
  for (const name of TIMES) if (field(name).value) filter[name] = new Date(field(name).value).toISOString();
  for (const name of NUMBERS) if (field(name).value.trim()) filter[name] = number(name);
  if (field("retries_only").checked) filter.retries_only = true;
  return filter;
}

const list = (name) => field(name).value.split(/[\s,]+/).filter(Boolean);

/** A number where it is one. What is none goes as it is: the server says what is wrong with it. */
function number(name) {
  const text = field(name).value.trim();
  return /^-?\d+$/.test(text) ? Number(text) : text;
}

/** Puts the messages of a problem under their fields; answers those that belong to none. */
export function showViolations(violations = []) {
  for (const place of form.querySelectorAll(".error")) place.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  return violations.filter(({ location, message }) => {
    const name = location.replace(/\[\d+\]$/, "").split(".").pop();
    const place = document.getElementById(`${name}-error`);
    if (!place) return true;
    place.textContent = message;
    if (place.closest("details")) place.closest("details").open = true;
    field(name).setAttribute("aria-invalid", "true");
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
  field("created_after").value = hours ? local(new Date(Date.now() - hours * 3600e3)) : "";
  field("created_before").value = "";
}

/** Shows what belongs to the chosen mode, and which chips are on. */
export function refresh() {
  const byIds = field("mode").value === "ids";
  document.getElementById("by-filter").hidden = byIds;
  document.getElementById("by-ids").hidden = !byIds;
  for (const chip of form.querySelectorAll("[data-word]")) {
    chip.setAttribute("aria-pressed", statusWords().includes(chip.dataset.word));
  }
}

const pad = (number) => String(number).padStart(2, "0");

/** An instant as a datetime-local field wants it. */
function local(at) {
  const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${date}T${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
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
  return state.toString();
}

/** Fills the form from a fragment; with none, with what failed in the last day. */
export function fromFragment(fragment) {
  const state = new URLSearchParams(fragment);
  if (![...state.keys()].length) {
    field("status").value = "failed, timeout, crashed";
    setWindow(24);
    return;
  }
  for (const name of ALL) {
    const text = state.get(name) ?? "";
    if (TIMES.includes(name)) field(name).value = isNaN(new Date(text)) || !text ? "" : local(new Date(text));
    else if (CHECKS.includes(name)) field(name).checked = text === "1";
    else if (text || !["mode", "unique_by"].includes(name)) field(name).value = text;
  }
  const more = document.getElementById("more");
  more.open = [...more.querySelectorAll("input, textarea")].some((input) => (input.type === "checkbox" ? input.checked : input.value));
}
