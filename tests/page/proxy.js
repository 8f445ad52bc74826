// A proxy in front of the tool that loses answers, as proxies do.

import http from "node:http";

/**
 * Stands in front of `url`. What it does with a re-run is its `way`: "pass" hands the answer on, "lose" takes the answer
 * and closes the browser's connection, "cut" does so in the middle of the answer, "late" answers 504 once it is there,
 * "drop" closes the connection before the server has heard of it, "hang" keeps the answer for itself.
 */
export async function proxy(url) {
  const it = { way: "pass", reruns: 0 };
  const server = http.createServer(async (asked, reply) => {
    const parts = [];
    for await (const part of asked) parts.push(part);
    const body = Buffer.concat(parts);
    const isRerun = asked.method === "POST" && !JSON.parse(body).options.dry_run;
    const way = isRerun ? it.way : "pass";
    if (isRerun) it.reruns += 1;
    if (way === "drop") return asked.socket.destroy();
    const { port } = new URL(url);
    const passed = http.request({ host: "127.0.0.1", port, path: asked.url, method: asked.method, headers: asked.headers }, async (answer) => {
      const parts = [];
      for await (const part of answer) parts.push(part);
      const whole = Buffer.concat(parts);
      if (way === "hang") return;
      if (way === "lose") return asked.socket.destroy();
      if (way === "late") return reply.writeHead(504, { "content-type": "text/html" }).end("<h1>504 Gateway Time-out</h1>");
      reply.writeHead(answer.statusCode, answer.rawHeaders);
      if (way !== "cut") return reply.end(whole);
      reply.write(whole.subarray(0, 20), () => asked.socket.destroy());
    });
    passed.on("error", () => reply.writeHead(502, { "content-type": "text/html" }).end("<h1>502 Bad Gateway</h1>"));
    passed.end(body);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  it.url = `http://127.0.0.1:${server.address().port}/`;
  it.end = () => (server.closeAllConnections(), new Promise((done) => server.close(done)));
  return it;
}
