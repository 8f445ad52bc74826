// Talks to the server. Nothing here knows of the page.

const ENDPOINT = "api/runs/bulk/rerun";
const OPERATIONS = "api/runs/bulk/operations";
const TOKEN = "bulk_rerun.token";
const CLICK = "Bulk-Rerun-Click";

export const endpoint = new URL(ENDPOINT, document.baseURI).href;

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (secret) => sessionStorage.setItem(TOKEN, secret),
  /** What of a token a header can't carry. */
  unfit: (secret) => secret.match(/[^!-~]/gu),
};

/** How far the server's clock is ahead of ours. */
let ahead = 0;

export const serverNow = () => new Date(Date.now() + ahead);

/** A dry run: answers the plan, or throws the problem that came back. */
export const preview = (request, signal) => post(request, signal);

/** A re-run. Browsers send a request again by themselves when its connection dies: the server heeds a click once. */
export function rerun(request, signal) {
  const click = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return post(request, signal, { [CLICK]: click });
}

function post(request, signal, headers = {}) {
  return ask(ENDPOINT, { method: "POST", body: JSON.stringify(request), signal, headers: { ...headers, "Content-Type": "application/json" } });
}

/** What the server says of its store. */
export function store() {
  return ask("page/store.json", { headers: {} });
}

/** The last so many re-runs that the store's ledger has. */
export async function operations(limit) {
  const page = await ask(`${OPERATIONS}?limit=${limit}`, { headers: {} });
  return page.operations.map(snake);
}

/** One of them, with its new runs and where they stand. */
export async function operation(id) {
  const operation = snake(await ask(`${OPERATIONS}/${encodeURIComponent(id)}`, { headers: {} }));
  return { ...operation, runs: operation.runs.map(snake) };
}

/** Takes back what no worker has begun of it. */
export function undo(id) {
  return ask(`${OPERATIONS}/${encodeURIComponent(id)}/undo`, { method: "POST", headers: {} });
}

/** Fields in snake_case, whatever the server's config says of requests that show no spelling. */
function snake(fields) {
  const spell = (name) => name.replace(/[A-Z]/g, (sign) => `_${sign.toLowerCase()}`);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [spell(name), value]));
}

/** Whether a problem is an answer to the request: nothing was changed. Else nobody can tell by it. */
export function isRefusal({ status, isOurs, errors = [] }) {
  if (errors.some(({ location }) => location === `header.${CLICK}`)) return false;
  return (status >= 400 && status < 500) || (status === 503 && isOurs);
}

async function ask(path, options) {
  if (token.get()) options.headers.Authorization = `Bearer ${token.get()}`;
  let response, body;
  try {
    response = await fetch(path, { ...options, redirect: "error" });
    body = await response.json().catch((error) => {
      if (error.name === "AbortError") throw error;
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw { status: 0, title: "No answer", detail: "The server can't be reached. Is it still running?" };
  }
  const date = Date.parse(response.headers.get("Date"));
  if (date) ahead = date - Date.now();
  if (response.ok && body) return body;
  if (response.ok) throw { status: 0, title: "No answer", detail: "The answer broke off, or was none of this server's." };
  const isOurs = (response.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
  throw { title: response.statusText, detail: "The server gave no reason.", ...body, status: response.status, isOurs };
}
