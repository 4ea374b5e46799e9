"""A real S3 server on loopback, and a wire to it that is as slow and as faulty as a test asks."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY, SECRET = "AKIAHEADRACE", "not-a-secret-of-anybody"
BUCKET = "recordings"
HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")
Fault = Callable[[str, str], str | None]
"""Function of (method, path) -> None, or what goes wrong: a status, "reset", "cut", "flip"."""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class S3Server:
    """`rclone serve s3` on a folder; what stands in it can be looked at as files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.bucket = folder / BUCKET
        self.bucket.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = Path(sys.executable).parent / "rclone"
        found = str(program) if program.exists() else shutil.which("rclone")
        if found is None:
            pytest.skip("rclone is not installed")
        command = [found, "serve", "s3", str(self.folder), "--addr", f"127.0.0.1:{self.port}"]
        command += ["--auth-key", f"{KEY},{SECRET}", "--config", os.devnull]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(36_000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("rclone did not start")

    def look_again(self) -> None:
        """Start anew: it remembers what its folders held, and a test wrote into them."""
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Wire:
    """A proxy that adds latency and faults, and what rclone lacks of S3.

    That is status 206 for a range, and to leave an object that is to be created alone if it is
    there. It counts requests by (method, array), and how many were in flight at a time.
    """

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.latency = 0.0
        self.fault: Fault = lambda method, path: None
        self.counts: Counter[tuple[str, str]] = Counter()
        self.in_flight = self.most_in_flight = self.awaited = 0
        self.gathered = threading.Event()
        self.gathered.set()
        self._lock = threading.Lock()
        self._creating = threading.Lock()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def do_GET(self) -> None:
                wire.pass_on(self)

            do_PUT = do_HEAD = do_DELETE = do_POST = do_GET

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                return

        self._proxy = Quiet(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()

    def await_requests(self, number: int) -> None:
        """Answer none before so many are in flight together; then all, as they come."""
        self.most_in_flight, self.awaited = 0, number
        self.gathered.clear()

    def fail(self, share: float, seed: int = 0) -> None:
        """Let a share of all requests go wrong, in every way."""
        chance = random.Random(seed)
        kinds = ("500", "503", "429", "reset", "cut", "flip")

        def fault(method: str, path: str) -> str | None:
            with self._lock:
                if chance.random() >= share:
                    return None
                kind = chance.choice(kinds)
            # Only what carries a checksum of its own may be falsified: chunks.
            array = path.split("?")[0].split("/")[-2:]
            is_chunk = method == "GET" and array[-1].startswith("c.") and array[0] != "manifest"
            return "500" if kind == "flip" and not is_chunk else kind

        self.fault = fault

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        path = handler.path.split("?")[0]
        with self._lock:
            self.counts[handler.command, path.split("/")[-2] if "/c." in path else ""] += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            if self.in_flight >= self.awaited:
                self.gathered.set()
        try:
            time.sleep(self.latency)
            if not self.gathered.wait(600):
                self.gathered.set()  # Whoever counts will see that they were fewer.
            what = self.fault(handler.command, handler.path)
            if what == "reset":
                _reset(handler)
            elif what and what.isdigit():
                _answer(handler, int(what), {}, b"<Error><Code>SlowDown</Code></Error>")
            elif handler.command == "PUT" and handler.headers.get("If-None-Match") == "*":
                with self._creating:
                    self._create(handler, body)
            else:
                status, headers, content = self._asked(handler, body)
                if what == "cut" and len(content) > 1:
                    _answer(handler, status, headers, content, sent=len(content) // 2)
                    return
                if what == "flip" and content:
                    middle = len(content) // 2
                    content = (
                        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
                    )
                _answer(handler, status, headers, content)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _create(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        there = self.server.folder / handler.path.split("?")[0].lstrip("/")
        if there.exists():
            error = b"<Error><Code>PreconditionFailed</Code></Error>"
            _answer(handler, 412, {"Content-Type": "application/xml"}, error)
        else:
            _answer(handler, *self._asked(handler, body))

    def _asked(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=1800)
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "connection"}
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            reply = connection.getresponse()
            content = reply.read()
        except OSError:
            _reset(handler)
            raise ConnectionResetError from None
        finally:
            connection.close()
        kept = {k: v for k, v in reply.getheaders() if k.lower() not in HOP}
        if handler.command == "HEAD":
            kept["Content-Length"] = reply.headers.get("Content-Length", "0")
        status = 206 if reply.status == 200 and "Content-Range" in kept else reply.status
        return status, kept, content


def _answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    content: bytes,
    sent: int | None = None,
) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if "Content-Length" not in headers:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content[:sent])
    handler.wfile.flush()
    if sent is not None:
        _reset(handler)


def _reset(handler: BaseHTTPRequestHandler) -> None:
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True
