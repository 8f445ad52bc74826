// A plan for somebody else: as a link, or as a command.

import * as api from "./api.js";
import { copy } from "./copy.js";
import * as form from "./form.js";
import { $, json, spelled } from "./text.js";

const quoted = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text));

/** The store as a command names it: a path is on the server's machine, an address has its password left out. */
export const storeOf = ({ store = "" }) => (store.startsWith("/") && spelled(store) === store ? quote(store) : `"$BULK_RERUN_STORE"`);

export function start() {
  $("copy-link").addEventListener("click", ({ target }) => copy(target.dataset.link, target));
  for (const id of ["command", "curl"]) {
    const place = $(id);
    place.querySelector("button").addEventListener("click", ({ target }) => copy(place.querySelector("pre").textContent, target));
  }
}

/** Has a plan ready to be handed on; null hides it, and so does a store that is not known yet. */
export function offer(plan, about) {
  $("hand-on").hidden = !plan || !about.store;
  if ($("hand-on").hidden) return;
  const { request, digest } = plan;
  $("copy-link").dataset.link = `${new URL("#", document.baseURI)}${form.toFragment()}&plan=${encodeURIComponent(digest)}`;
  $("command").querySelector("pre").textContent = command(request, storeOf(about));
  $("curl").querySelector("pre").textContent = curl(api.endpoint, request, api.token.get() !== null);
}

/** A command of the tool's that carries out this request, and no other plan. */
function command(request, store) {
  const tool = `bulk-rerun rerun --store ${store}`;
  const flags = inFlags(request);
  if (flags) return [tool, ...flags].join(" \\\n  ");
  return `printf '%s' ${quoted(json(request))} |\n  ${tool} --selector - --yes`;
}

/** The request's flags; null where one could not be read, or would be taken for another. */
function inFlags({ ids, filter = {}, except_ids = [], options }) {
  const range = [filter.exit_code_min ?? "", filter.exit_code_max ?? ""];
  const pairs = [
    ["ids", ids?.join()],
    ["status", filter.status],
    ["task", filter.task_name],
    ["search", filter.search],
    ["triggered-by", filter.triggered_by],
    ["since", filter.created_after],
    ["until", filter.created_before],
    ["exit-code", range.join("") === "" ? undefined : range.join("..")],
    ["retries-only", filter.retries_only],
    ["except", except_ids.join() || undefined],
    ...(options.except_tasks ?? []).map((task) => ["except-task", task]),
    ["all", !ids && !Object.keys(filter).length],
    ["unique-by", options.unique_by === "task" ? undefined : options.unique_by],
    ...(options.except_groups ?? []).map(({ task_name, rerun_of }) => ["except-group", task_name, rerun_of]),
    ["skip-superseded", options.skip_superseded],
    ["skip-active", options.skip_active],
    ["limit", options.limit],
    ["expect-plan", options.expect_plan],
  ].filter(([, value]) => value !== undefined && value !== false);
  const isPlain = (value) => value === true || (String(value) !== "" && spelled(value) === String(value));
  const isFlag = ([name, ...values]) => values.every(isPlain) && (name === "exit-code" || !values.some((value) => String(value).startsWith("-")));
  if (!pairs.every(isFlag)) return null;
  return pairs.map(([name, ...values]) => [`--${name}`, ...values.filter((value) => value !== true).map(quote)].join(" "));
}

/** A command for a shell that sends this request. */
function curl(endpoint, request, withToken) {
  const token = withToken ? ` \\\n  -H "Authorization: Bearer $BULK_RERUN_TOKEN"` : "";
  return `curl -sS ${quoted(endpoint)} \\\n  -H 'Content-Type: application/json'${token} \\\n  -d ${quoted(json(request))}`;
}
