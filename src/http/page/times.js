// The picture of the night: the runs over time by how they ended, and two handles on the window that is selected.

import * as api from "./api.js";
import { element, foreign, hide, local, spelled } from "./text.js";
import * as view from "./view.js";

export const SPANS = 120;
const HEIGHT = 100;
const FAILURES = ["failed", "timeout", "crashed", "missed", "log_overflow", "start_failed"];
const KINDS = ["failed", "timeout", "crashed", "missed", "succeeded"];

const $ = (id) => document.getElementById(id);
const handles = () => [$("times-from"), $("times-until")];

/** What is on show, the dry run that it is of, and the window that it was asked for. */
let times = null;
let asked = null;
let shown = "";

/** `move` is called with the ends of the window that a handle has moved, each an instant or undefined; it stops what is on its way. */
export function start(move) {
  handles().forEach((handle, end) => {
    // At each step of it: an answer that came before the last one would put the handle back.
    handle.addEventListener("input", () => {
      const other = Number(handles()[1 - end].value);
      handle.value = end ? Math.max(Number(handle.value), other + 1) : Math.min(Number(handle.value), other - 1);
      mark();
      say(null);
      const at = place(Number(handle.value));
      // A field's second is in the window as a whole.
      shown = move(...(end ? [undefined, new Date(at - 1000)] : [at, undefined]));
    });
  });
}

/** Shows what there is around a plan that was asked for. `look` is a dry run of it, null without a window; a handle's move keeps its frame. */
export async function look(look, window, plan, signal) {
  show(Boolean(look));
  if (!look) return;
  const state = stateOf(look, window);
  if (state !== shown || !asked) asked = look;
  shown = state;
  // Both at once. Without a plan the page says why, and what was on show stays.
  const [answer, found] = await Promise.all([plan.catch(() => null), api.preview(asked, signal).catch(() => null)]);
  if (signal.aborted || !answer) return;
  times = found?.times ?? null;
  show(Boolean(times));
  if (!times) return;
  draw();
  const [after, before] = window;
  const step = times.step_seconds * 1000;
  const from = Date.parse(times.from);
  const clamp = (at) => Math.min(Math.max(at, 0), times.buckets.length);
  const [lo, hi] = handles();
  lo.value = after ? clamp(Math.floor((after - from) / step)) : 0;
  hi.value = before ? clamp(Math.ceil((before - from) / step)) : times.buckets.length;
  mark();
  say(answer);
}

/** Without a picture there is nothing to move. */
function show(is) {
  hide($("times"), !is);
  for (const handle of handles()) handle.disabled = !times;
}

/** A window and what is selected in it. */
export function stateOf({ filter, ...rest }, window) {
  return JSON.stringify([window, rest, { ...filter, created_after: undefined, created_before: undefined }]);
}

/** Where a span begins. */
const place = (span) => new Date(Date.parse(times.from) + span * times.step_seconds * 1000);

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const classOf = (kind) => `kind-${KINDS.indexOf(kind === "success" ? "succeeded" : kind) + 1}`;
const sum = (bucket) => Object.values(bucket).reduce((sum, runs) => sum + runs, 0);

/** The known kinds first, and always in the same order. */
function kinds(buckets = times.buckets) {
  const rank = (kind) => (KINDS.includes(kind) ? KINDS.indexOf(kind) : KINDS.length);
  return [...new Set(buckets.flatMap(Object.keys))].sort((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
}

function draw() {
  const { buckets } = times;
  const scale = HEIGHT / Math.max(...buckets.map(sum), 1);
  const order = kinds();
  const bars = buckets.flatMap((bucket, x) => {
    let top = HEIGHT;
    return order.filter((kind) => bucket[kind]).map((kind) => {
      // One among thousands is to be seen, too.
      const height = Math.max(bucket[kind] * scale, 2);
      top -= height;
      return svg("rect", { x: x + 0.08, y: Math.max(top, 0), width: 0.84, height, class: classOf(kind) });
    });
  });
  const outside = ["before", "after"].map((name) => svg("rect", { id: `times-${name}`, y: 0, height: HEIGHT, x: 0, width: 0, class: "outside" }));
  $("times-bars").setAttribute("viewBox", `0 0 ${buckets.length} ${HEIGHT}`);
  $("times-bars").replaceChildren(...bars, ...outside);
  for (const handle of handles()) handle.max = buckets.length;
  $("times-first").textContent = when(place(0));
  $("times-last").textContent = when(place(buckets.length));
  const rows = buckets.map((bucket, span) => [when(place(span)), ...order.map((kind) => view.number(bucket[kind] ?? 0))]).filter((_, span) => sum(buckets[span]));
  $("times-table").replaceChildren(view.table(`Runs in each ${duration(times.step_seconds)}`, ["From", ...order.map(spelled)], rows));
}

const duration = (seconds) => (seconds < 120 ? view.count(seconds, "second") : view.count(Math.round(seconds / 60), "minute"));

/** Shades what is outside the window. */
function mark() {
  const [lo, hi] = handles().map((handle) => Number(handle.value));
  $("times-before").setAttribute("width", lo);
  $("times-after").setAttribute("x", hi);
  $("times-after").setAttribute("width", times.buckets.length - hi);
  for (const handle of handles()) handle.setAttribute("aria-valuetext", when(place(Number(handle.value))));
}

/** An instant to the minute, with its day unless that is today, or the one that was said before. */
function when(at, said = new Date()) {
  const [day, time] = local(at).split("T");
  return day === local(said).split("T")[0] ? time.slice(0, 5) : `${day} ${time.slice(0, 5)}`;
}

/** How many, from when to when: exactly of a plan; about, of a window whose plan is not there yet. */
function say(answer) {
  const [lo, hi] = handles().map((handle) => Number(handle.value));
  const inside = times.buckets.slice(lo, hi);
  const found = kinds(inside);
  const noun = found.length && found.every((kind) => FAILURES.includes(kind)) ? "failure" : "run";
  const groups = answer ? [...answer.planned, ...(answer.skipped ?? [])].filter(({ run }) => run?.created_at) : [];
  const instants = (pick) => groups.map((group) => Date.parse(pick(group)));
  const least = instants(({ first, run }) => first ?? run.created_at).reduce((one, other) => Math.min(one, other), Infinity);
  const most = instants(({ run }) => run.created_at).reduce((one, other) => Math.max(one, other), -Infinity);
  const [from, to] = groups.length ? [new Date(least), new Date(most)] : [place(lo), place(hi)];
  const number = answer ? answer.matched : inside.reduce((all, bucket) => all + sum(bucket), 0);
  const first = when(from);
  const sentence = `${answer ? "" : "About "}${view.count(number, noun)} from ${first} to ${when(to, first.length > 5 ? from : undefined)}`;
  const legend = found.map((kind) => element("span", { class: `kind ${classOf(kind)}` }, foreign(kind)));
  $("times-words").replaceChildren(element("strong", {}, number || !answer ? sentence : "No run in this window"), ...legend);
}
