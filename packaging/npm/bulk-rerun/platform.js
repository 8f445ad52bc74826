// The package that has the binaries for this platform: npm installs the one that fits.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** The platforms that there are packages for. */
export const PLATFORMS = ["linux-x64", "linux-arm64"];

/** This platform, and the package for it. */
export const PLATFORM = `${process.platform}-${process.arch}`;
export const PACKAGE = `@bulk-rerun/${PLATFORM}`;

/** Where a file of that package is; undefined without one. */
export function platformFile(name) {
  try {
    const path = join(dirname(require.resolve(`${PACKAGE}/package.json`)), name);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the system's C library is musl: the binaries need glibc. */
export function isMusl() {
  return process.platform === "linux" && !process.report.getReport().header.glibcVersionRuntime;
}
