#!/usr/bin/env python3
"""A small replicated key-value store: one primary, backups, and a log. It has no elections: while the primary is away, nobody writes.

    PUT /kv/KEY            the body is the value; ?if=VALUE or ?if=none: only if the key has this value, or none (else 412)
    GET /kv/KEY            200 and the value, or 404
    GET /status            {"role": "primary" or "backup"}
    POST /replicate        primary to backup

Backups hand writes on to the primary, which tells them what was written a little later.

    --reads any            every node answers reads from what it has: fast, and stale
    --reads primary        reads are handed on to the primary, too
    --sync                 the log is on disk before a write is answered; without it, kill -9 loses what is in the buffer
"""

import argparse
import http.client
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

REPLICATE_EVERY = 0.02  # seconds
PEER_TIMEOUT = 0.8  # seconds


class Store:
    def __init__(self, path, sync):
        self.lock = threading.Lock()
        self.sync = sync
        self.updates = []  # [key, value], in order
        self.values = {}
        self.log = None
        if path:
            self.load(path)

    def load(self, path):
        """Reads the log back. A last line that was torn was never answered, and is cut off."""
        good = 0
        if os.path.exists(path):
            with open(path, "rb") as log:
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self.apply(json.loads(line))
                    good += len(line)
            os.truncate(path, good)
        self.log = open(path, "ab", buffering=1 << 20)

    def apply(self, update):
        self.updates.append(update)
        self.values[update[0]] = update[1]

    def write(self, key, value, condition):
        """Whether it was written, and the value there was if not. Nobody reads a value before it is in the log."""
        with self.lock:
            now = self.values.get(key)
            if condition is not None and condition != (now if now is not None else "none"):
                return False, now
            self.log.write(json.dumps([key, value]).encode() + b"\n")
            if self.sync:
                self.log.flush()
                os.fsync(self.log.fileno())
            self.apply([key, value])
            return True, None

    def read(self, key):
        with self.lock:
            return self.values.get(key)

    def take(self, start, updates):
        """What a backup is told: updates from this place on. It answers with the place it wants next."""
        with self.lock:
            if start == 0:
                self.updates, self.values = [], {}
            if start == len(self.updates):
                for update in updates:
                    self.apply(update)
            return len(self.updates)


def ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=PEER_TIMEOUT)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def replicate(store, address):
    """Tells one backup what was written, for ever."""
    place = 0
    while True:
        time.sleep(REPLICATE_EVERY)
        with store.lock:
            news = store.updates[place : place + 1000]
        if not news:
            continue
        try:
            _, body = ask(address, "POST", "/replicate", json.dumps([place, news]))
            place = int(body)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # told again
        if place > len(store.updates):
            place = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hand_on(self, body=None):
        try:
            self.answer(*ask(self.server.primary, self.command, self.path, body))
        except ConnectionRefusedError:
            self.answer(503, b"the primary is down; nothing was done")
        except (OSError, http.client.HTTPException):
            self.answer(504, b"the primary did not answer; nobody knows")

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def key(self):
        return urlsplit(self.path).path.removeprefix("/kv/")

    def do_GET(self):
        if self.path == "/status":
            role = "backup" if self.server.primary else "primary"
            return self.answer(200, json.dumps({"role": role}).encode())
        if self.server.primary and self.server.reads == "primary":
            return self.hand_on()
        value = self.server.store.read(self.key())
        self.answer(404) if value is None else self.answer(200, value.encode())

    def do_PUT(self):
        body = self.body()
        if self.server.primary:
            return self.hand_on(body)
        condition = parse_qs(urlsplit(self.path).query).get("if", [None])[0]
        done, now = self.server.store.write(self.key(), body.decode(), condition)
        self.answer(200) if done else self.answer(412, (now or "null").encode())

    def do_POST(self):
        place, updates = json.loads(self.body())
        self.answer(200, str(self.server.store.take(place, updates)).encode())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--listen", nargs="+", required=True, help="HOST:PORT, for clients and for nodes")
    parser.add_argument("--nodes", required=True, help="ID=HOST:PORT,... ; the first is the primary")
    parser.add_argument("--reads", choices=["any", "primary"], default="any")
    parser.add_argument("--sync", action="store_true")
    args = parser.parse_args()
    nodes = dict(node.split("=") for node in args.nodes.split(","))
    primary = nodes["1"] if args.id != 1 else None
    store = Store(None if primary else "log.jsonl", args.sync)
    servers = []
    for listen in args.listen:
        host, port = listen.rsplit(":", 1)
        server = ThreadingHTTPServer((host, int(port)), Handler)
        server.store, server.primary, server.reads = store, primary, args.reads
        servers.append(threading.Thread(target=server.serve_forever))
    if not primary:
        for node, address in nodes.items():
            if node != "1":
                threading.Thread(target=replicate, args=(store, address), daemon=True).start()
    for server in servers:
        server.start()


if __name__ == "__main__":
    main()
