/** What a call has failed with: a problem document (RFC 9457), as every door of bulk_rerun answers it. */
export class BulkRerunError extends Error {
  constructor(problem, cause) {
    super(inWords(problem), cause === undefined ? undefined : { cause });
    this.status = problem.status;
    this.title = problem.title ?? "";
    this.detail = problem.detail ?? "";
    this.errors = problem.errors ?? [];
    if (problem.triggered) this.triggered = problem.triggered;
  }
}

Object.defineProperty(BulkRerunError.prototype, "name", { value: "BulkRerunError", configurable: true, writable: true });

// One violation is in the detail already.
function inWords({ title, detail, errors }) {
  const lines = errors?.length > 1 ? errors.map(({ location, message }) => `  ${location}: ${message}`) : [];
  return [detail || title, ...lines].join("\n");
}
