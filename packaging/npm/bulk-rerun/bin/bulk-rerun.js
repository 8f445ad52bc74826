#!/usr/bin/env node
// Runs the tool: the binary of the platform's own package.
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import { isMusl, PACKAGE, PLATFORM, platformFile, PLATFORMS } from "../platform.js";

const FROM_SOURCE = "Build it from its sources (cargo install --path .), and say where it is with BULK_RERUN_BINARY.";
const NEEDS_GLIBC = "it needs glibc, and this system's C library is musl.";

const binary = process.env.BULK_RERUN_BINARY || platformFile("bulk-rerun");
if (binary) {
  run(binary);
} else {
  fail(`there is no binary: ${whyNone()}`);
}

function whyNone() {
  if (!PLATFORMS.includes(PLATFORM)) {
    return `the packages are for ${PLATFORMS.join(" and ")}, and this is ${PLATFORM}.\n${FROM_SOURCE}`;
  }
  if (isMusl()) return `${NEEDS_GLIBC}\n${FROM_SOURCE}`;
  return `the package ${PACKAGE} is not installed. npm leaves it out with --omit=optional, and where node_modules\n`
    + `was made on another platform. This brings it:\n  npm install --include=optional bulk-rerun`;
}

function fail(why) {
  console.error(`bulk-rerun: ${why}`);
  process.exitCode = 1;
}

function run(binary) {
  // A terminal sends these to the tool as well: passed on, the first Ctrl-C would be its second.
  const fromTerminal = hasTerminal() ? ["SIGINT", "SIGQUIT"] : [];
  let child;
  for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
    process.on(signal, () => fromTerminal.includes(signal) || child.kill(signal));
  }
  child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
  // Older versions of npm install it beside musl, too.
  child.on("error", (error) => fail(`${binary} can't be run: ${isMusl() ? `${NEEDS_GLIBC}\n${FROM_SOURCE}` : error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
    } else {
      // It ends as the tool has: a shell is to see the same.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
      process.exitCode = 128 + constants.signals[signal];
    }
  });
}

function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty"));
    return true;
  } catch {
    return false;
  }
}
