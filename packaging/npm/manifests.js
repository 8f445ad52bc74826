// Writes what the packages' package.json have of the version and the platforms: node manifests.js VERSION FOLDER.
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const [version, out] = process.argv.slice(2);
const path = join(out, "bulk-rerun", "package.json");
const main = JSON.parse(readFileSync(path, "utf8"));
const platforms = ["linux-x64", "linux-arm64"];

function write(path, manifest) {
  writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`);
}

for (const platform of platforms) {
  const folder = join(out, platform);
  if (!existsSync(folder)) continue;
  const [os, cpu] = platform.split("-");
  write(join(folder, "package.json"), {
    name: `@bulk-rerun/${platform}`,
    version,
    description: `The tool and the library of bulk-rerun for ${platform}`,
    license: main.license,
    os: [os],
    cpu: [cpu],
    libc: ["glibc"],
    // A file in a zip can't be run.
    preferUnplugged: true,
    files: ["bulk-rerun", "libbulk_rerun.so.1", "LICENSE-*"],
  });
  writeFileSync(join(folder, "README.md"), `The binaries of the package bulk-rerun for ${platform}, which brings them.\n`);
}
write(path, {
  ...main,
  version,
  optionalDependencies: Object.fromEntries(platforms.map((platform) => [`@bulk-rerun/${platform}`, version])),
});
