"""Clients that only take up room, and honest ones among them, for a minute: every honest one gets its answer.

usage: clients.py URL PROCESS-ID SECONDS
"""

import asyncio
import collections
import json
import multiprocessing
import pathlib
import re
import resource
import socket
import struct
import sys
import time
import urllib.request

URL, PROCESS, SECONDS = sys.argv[1].rstrip("/"), sys.argv[2], float(sys.argv[3])
HOST, PORT = URL.removeprefix("http://").split(":")
RERUN = "/api/runs/bulk/rerun"
PROBES = 10_000
MOST_MEMORY = 100_000  # kB, also of a debug build

seen = collections.Counter()
wrong = []
over = asyncio.Event()


def saw(kind, status, *expected):
    seen[f"{kind}: {status}"] += 1
    if status not in expected:
        wrong.append(f"{kind}: {status}")


def request(method, path, body=b"", length=None, close=True):
    end = "Connection: close\r\n" if close else ""
    length = len(body) if length is None else length
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n{end}\r\n".encode() + body


def as_json(value):
    return json.dumps(value).encode()


async def connect():
    return await asyncio.open_connection(HOST, int(PORT), limit=1 << 16)


async def exchange(bytes_sent, half_close=False):
    """The status and the body of the answer; sends everything before it reads."""
    writer = None
    try:
        reader, writer = await connect()
        writer.write(bytes_sent)
        await writer.drain()
        if half_close:
            writer.write_eof()
        answer = await reader.read(-1)
        while answer.startswith(b"HTTP/1.1 100 "):
            answer = answer.partition(b"\r\n\r\n")[2]
        status = re.match(rb"HTTP/1.1 (\d+) ", answer)
        return int(status[1]) if status else "no answer", answer.partition(b"\r\n\r\n")[2]
    except OSError as error:
        return error, b""
    finally:
        if writer:
            writer.close()


async def never_reads():
    """Asks for a large file, many times over, and reads nothing until it is cut off."""
    while not over.is_set():
        try:
            _, writer = await connect()
            writer.transport.pause_reading()
            writer.write(request("GET", "/docs/swagger-ui-bundle.js", close=False) * 60)
            while not over.is_set() and not writer.is_closing():
                await asyncio.sleep(1)
                writer.write(b" ")
            seen["never reads: cut off"] += writer.is_closing()
            writer.transport.abort()
        except OSError:
            seen["never reads: cut off"] += 1
        await asyncio.sleep(0.5)


async def never_finishes():
    """Announces a long body, sends most of it, and waits."""
    while not over.is_set():
        try:
            reader, writer = await connect()
            writer.write(request("POST", RERUN, b" " * 6_000_000, length=8_000_000))
            answer = await reader.read(1 << 16)
            writer.close()
            # Without an answer it had to make room for another.
            status = int(answer.split()[1]) if answer else "cut off"
            saw("never finishes", status, 503, 408, "cut off")
            if status == 503 and b"\r\nretry-after: 1\r\n" not in answer:
                wrong.append("503 without Retry-After")
        except OSError:
            saw("never finishes", "cut off", "cut off")
        await asyncio.sleep(1)


async def trickles(start):
    """Sends a byte now and then."""
    while not over.is_set():
        try:
            reader, writer = await connect()
            writer.write(start)
            while not over.is_set() and not reader.at_eof():
                writer.write(b"a")
                await asyncio.sleep(1)
                await writer.drain()
            writer.close()
        except OSError:
            pass
        seen["trickles: cut off"] += 1
        await asyncio.sleep(0.5)


async def vanishes():
    """Asks, and goes away without waiting."""
    while not over.is_set():
        _, writer = await connect()
        writer.write(request("POST", RERUN, as_json({"match_all": True, "options": {"dry_run": True}})))
        await writer.drain()
        if seen["vanishes"] % 2:
            # A reset, and not a connection that is closed in order.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        seen["vanishes"] += 1
        await asyncio.sleep(0.5)


async def probes():
    while seen["probe: 200"] < PROBES or not over.is_set():
        if seen["probe: 200"] >= PROBES:
            await asyncio.sleep(0.05)
        saw("probe", (await exchange(request("GET", "/healthz")))[0], 200)


async def closes_its_half():
    while not over.is_set():
        body = as_json({"match_all": True, "filter": {"task_name": "backup-postgres"}, "options": {"dry_run": True}})
        saw("closes its half", (await exchange(request("POST", RERUN, body), half_close=True))[0], 200)
        await asyncio.sleep(0.2)


async def sends_too_much():
    while not over.is_set():
        status = (await exchange(request("POST", RERUN, b" " * 9_000_000)))[0]
        saw("sends too much", status, 413)
        await asyncio.sleep(0.5)


async def reruns():
    """The honest work: one new run a time."""
    body = as_json({"match_all": True, "filter": {"status": "failed", "task_name": "backup-postgres"}})
    while not over.is_set():
        status, answer = await exchange(request("POST", RERUN, body))
        saw("re-run", status, 200)
        if status == 200 and len(json.loads(answer)["triggered"]) != 1:
            wrong.append(f"re-run: {answer}")
        await asyncio.sleep(0.1)


HALF_A_HEAD = f"POST {RERUN} HTTP/1.1\r\nX-Trickle: ".encode()
ABUSIVE = [
    (never_reads, 1_030),
    (never_finishes, 100),
    (lambda: trickles(HALF_A_HEAD), 50),
    (lambda: trickles(request("POST", RERUN, b"{", length=10_000)), 50),
    (vanishes, 5),
]
HONEST = [(probes, 10), (closes_its_half, 5), (sends_too_much, 2), (reruns, 3)]


async def send(kinds):
    tasks = [asyncio.create_task(kind()) for kind, times in kinds for _ in range(times)]
    asyncio.get_running_loop().call_later(SECONDS, over.set)
    # Whatever is raised in one of them ends it all.
    await asyncio.gather(*tasks)
    for kind in sorted(seen):
        print(f"{kind}: {seen[kind]}", flush=True)


def abuse():
    asyncio.run(send(ABUSIVE))
    sys.exit("\n".join(wrong[:20]) or 0)


_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
# The most that it has had is counted from here on.
pathlib.Path(f"/proc/{PROCESS}/clear_refs").write_text("5")
# In a process of their own: the honest ones are not to be slowed down by what it costs to be abusive.
abusers = multiprocessing.get_context("fork").Process(target=abuse)
abusers.start()
asyncio.run(send(HONEST))
abusers.join()
memory = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{PROCESS}/status").read_text())[1])
print(f"most resident memory: {memory} kB")
# Who has gone is not worked for, or this never ends.
while b"bulk_rerun_queue_occupied 0\n" not in urllib.request.urlopen(f"{URL}/metrics").read():
    time.sleep(0.1)
problems = wrong[:20]
problems += ["nobody who sent too much was told so"] * (seen["sends too much: 413"] == 0)
problems += ["the abusive clients saw something wrong"] * (abusers.exitcode != 0)
problems += [f"more than {MOST_MEMORY} kB of memory"] * (memory > MOST_MEMORY)
print("\n".join(problems) or "nothing wrong")
sys.exit(bool(problems))
