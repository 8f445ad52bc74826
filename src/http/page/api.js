// Talks to the server. Nothing here knows of the page.

const ENDPOINT = "api/runs/bulk/rerun";
const TOKEN = "bulk_rerun.token";

export const endpoint = new URL(ENDPOINT, document.baseURI).href;

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (secret) => sessionStorage.setItem(TOKEN, secret),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** Sends a request; answers its body, or throws the problem that came back. */
export function rerun(request, signal) {
  return ask(ENDPOINT, { method: "POST", body: JSON.stringify(request), signal, headers: { "Content-Type": "application/json" } });
}

/** What the server says of its store. */
export function store() {
  return ask("page/store.json", { headers: {} });
}

async function ask(path, options) {
  if (token.get()) options.headers.Authorization = `Bearer ${token.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw { status: 0, title: "No answer", detail: "The server can't be reached. Is it still running?" };
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw { title: response.statusText, detail: "The server gave no reason.", ...body, status: response.status };
}
