// Requests to the server that gave this page, and to no other one.

const BUSY = new Set([429, 503]);
export const LATE = "late"; // the server took too long: the same once more would take it as long
const TRIES = 4; // the first one and three more
const PATIENCE = 30; // seconds that the page waits at most between two
const TOKEN = "sortograph-token";

let token = stored();
let pausedUntil = 0;
const watchers = new Set();

/** What went wrong, in the words of the server's problem+json. */
export class Problem extends Error {
  constructor(said) {
    const { status = 0, code = "offline", detail = "", expected = "", fix = "" } = said;
    super(detail || code);
    const { reason = null, predictions = null } = said;
    Object.assign(this, { status, code, detail, expected, fix, reason, predictions });
  }
}

function stored() {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return "";
  }
}

/** The token goes with every request from now on, and is forgotten with the tab. */
export function useToken(value) {
  token = value;
  try {
    sessionStorage.setItem(TOKEN, value);
  } catch {
    // It then holds until the page is left.
  }
}

/** Calls back with the seconds that the server asked to wait. */
export const whenPaused = (watcher) => watchers.add(watcher);

export function pause(seconds) {
  pausedUntil = Math.max(pausedUntil, Date.now() + 1000 * seconds);
  for (const watcher of watchers) watcher(seconds);
}

export const models = (signal) => ask("v1/models", { signal });

export const manifest = (model) => ask(`v1/model?${new URLSearchParams({ model })}`);

/** Answers for files, in their order. */
export function predict(files, { model, heatmap = false, signal }) {
  const query = new URLSearchParams({ model, top_k: "5" });
  if (heatmap) query.set("heatmap", "true");
  const body = () => form(files.map((file) => ["photo", file, file.name]));
  return ask(`v1/predict?${query}`, { signal, body });
}

/** Keeps a photo and its right label in the server's folder of corrections. */
export function keep({ file, label, predicted, model, sha256 }) {
  const body = () =>
    form([["photo", file, file.name], ["label", label], ["predicted", predicted], ["model", model], ["sha256", sha256]]);
  return ask("v1/corrections", { body });
}

function form(fields) {
  const made = new FormData();
  for (const field of fields) made.append(...field);
  return made;
}

async function ask(path, { signal, body } = {}) {
  for (let left = TRIES - 1; ; left--) {
    await clear(signal);
    const answer = await send(path, { signal, body });
    if (answer.ok) return answer.json();
    const problem = await said(answer);
    if (BUSY.has(answer.status) && problem.code !== LATE && left > 0) {
      const asked = Number(answer.headers.get("Retry-After")) || 1;
      pause(Math.min(PATIENCE, asked));
      continue;
    }
    throw new Problem(problem);
  }
}

async function send(path, { signal, body }) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const request = body ? { method: "POST", body: body() } : {};
  try {
    return await fetch(path, { ...request, headers, signal, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem({ code: "offline" });
  }
}

async function said(answer) {
  try {
    return { status: answer.status, ...(await answer.json()) };
  } catch {
    return { status: answer.status, code: "unknown", detail: `${answer.status} ${answer.statusText}` };
  }
}

/** Resolves when no pause is left; rejects when the signal is aborted. */
async function clear(signal) {
  while (Date.now() < pausedUntil) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(250, pausedUntil - Date.now())));
    signal?.throwIfAborted();
  }
}
