// A throw-away PostgreSQL server for a test, as tests/support/postgres.rs has one for Rust's.

import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SCHEMAS = join(import.meta.dirname ?? ".", "../support/schemas");

/** Debian's, and another distribution's. */
const PLACES = ["/usr/lib/postgresql", "/usr/local/lib/postgresql"];

/** Starts it with a runner's schema, until the test is over. Its socket is in a folder of its own, so it needs no port. */
export async function postgres(context, schema) {
  const bin = PLACES.filter(existsSync).flatMap((place) => readdirSync(place).map((version) => join(place, version, "bin"))).sort().pop();
  const folder = mkdtempSync(join(tmpdir(), "bulk-rerun-postgres-"));
  const as = process.getuid() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : [];
  const run = (program, ...words) => {
    const [command, ...rest] = [...as, join(bin, program), ...words];
    return execFileSync(command, rest, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  };
  if (as.length) chownSync(folder, ...["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, "postgres"]))));
  // The socket is for everybody.
  chmodSync(folder, 0o755);
  const data = join(folder, "data");
  context.after(() => {
    run("pg_ctl", "-D", data, "-m", "immediate", "stop");
    rmSync(folder, { recursive: true });
  });
  run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8");
  run("pg_ctl", "-D", data, "-w", "-l", join(folder, "log"), "-o", `-c listen_addresses= -c unix_socket_directories=${folder} -c fsync=off -c timezone=UTC`, "start");
  const sql = (text) => run("psql", "-h", folder, "-U", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text);
  sql(readFileSync(join(SCHEMAS, schema), "utf8"));
  return { sql, url: `postgres://postgres@/postgres?host=${encodeURIComponent(folder)}` };
}
