// npm's registry with nothing in it but our packages: node registry.mjs FOLDER. Its first line is its URL.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const folder = process.argv[2];

// A package as it would be published. The other platforms' are there as well; nobody here downloads them.
const manifests = readdirSync(folder)
  .map((name) => join(folder, name, "package.json"))
  .filter((path) => existsSync(path))
  .map((path) => JSON.parse(readFileSync(path, "utf8")));
const main = manifests.find(({ name }) => name === "bulk-rerun");
for (const name of Object.keys(main.optionalDependencies)) {
  const [os, cpu] = name.split("/")[1].split("-");
  if (!manifests.some((manifest) => manifest.name === name)) manifests.push({ name, version: main.version, os: [os], cpu: [cpu] });
}

const tarballOf = ({ name, version }) => `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;

const server = createServer((request, response) => {
  const path = decodeURIComponent(request.url.slice(1));
  const manifest = manifests.find(({ name }) => name === path);
  if (manifest) return response.end(JSON.stringify(packument(manifest, request.headers.host)));
  const tarball = manifests.map(tarballOf).find((name) => path === name);
  if (tarball) return response.end(readFileSync(join(folder, tarball)));
  response.writeHead(404).end("{}");
});

function packument(manifest, host) {
  const tarball = tarballOf(manifest);
  const dist = { tarball: `http://${host}/${tarball}` };
  if (existsSync(join(folder, tarball))) {
    dist.integrity = `sha512-${createHash("sha512").update(readFileSync(join(folder, tarball))).digest("base64")}`;
  }
  const { name, version } = manifest;
  return { name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } } };
}

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
