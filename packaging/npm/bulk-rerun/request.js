// What the HTTP client and the library have in common: requests, and the two spellings.

/** The spelling that a request shows; camelCase wins, as it does with whoever answers. */
function spellingShown(request) {
  const options = request.options ?? {};
  const groups = options.except_groups ?? options.exceptGroups ?? [];
  const names = [request, request.filter, options, ...groups].flatMap((part) => Object.keys(part ?? {}));
  if (names.some((name) => /[A-Z]/.test(name))) return "camel";
  return names.some((name) => name.includes("_")) ? "snake" : undefined;
}

/**
 * A request with its option `dry_run`: as `dryRun` says, else as it has it. Since the option is always there, the request
 * shows its spelling, and is answered in it whatever the other side would choose.
 */
export function withDryRun(request, spelling, dryRun) {
  if (typeof request !== "object" || request === null || Array.isArray(request)) {
    throw new TypeError('a request is an object such as { match_all: true, filter: { status: "failed" } }');
  }
  const shown = spellingShown(request) ?? spelling;
  const { dry_run: snake, dryRun: camel, ...options } = request.options ?? {};
  const name = shown === "camel" ? "dryRun" : "dry_run";
  return { request: { ...request, options: { ...options, [name]: dryRun ?? snake ?? camel ?? false } }, spelling: shown };
}

/**
 * As JSON. What JSON would drop without a word (undefined, an invalid date) is an error: a condition that is lost selects
 * more runs, in the end all of them.
 */
export function toJson(value) {
  return JSON.stringify(value, function (name, field) {
    const isLost = field === undefined || typeof field === "function" || typeof field === "symbol"
      || (typeof field === "number" && !Number.isFinite(field)) || (field === null && this[name] !== null);
    if (isLost) {
      throw new TypeError(`the field \`${name}\` is ${describe(this[name])}, which would be sent as if it were not there; leave it out, or give it a value`);
    }
    return field;
  });
}

function describe(value) {
  if (typeof value === "function") return "a function";
  return value instanceof Date ? "an invalid date" : String(value);
}

/** An object with its own field names in a spelling; what its fields hold stays as it is. */
export function respelled(object, spelling) {
  const spell = spelling === "camel"
    ? (name) => name.replace(/([a-z])_([a-z])/g, (_, last, first) => last + first.toUpperCase())
    : (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [spell(name), value]));
}

/** The id of an operation, which may be an answer's or an operation's. */
export function operationId(operation, toMakeALedger) {
  const id = typeof operation === "object" && operation !== null ? operation.operation_id ?? operation.operationId : operation;
  if (typeof id === "string" && id !== "") return id;
  if (Array.isArray(operation?.triggered)) {
    throw new TypeError(`this answer has no operation_id, since the store has no ledger; make one: ${toMakeALedger}`);
  }
  throw new TypeError("an operation's id is wanted, or the answer or the operation that has it");
}
