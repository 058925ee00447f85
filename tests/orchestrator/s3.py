"""A server of S3's protocol on loopback, and a proxy before it that loses, cuts and refuses.

Run as a program, this is the server: moto's, one request at a time, so that a condition and the
write that it guards are one step, as they are in S3.
"""

import contextlib
import http.client
import io
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OVERLOADED = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>later</Message></Error>"
UNSIGNED = OVERLOADED.replace(b"SlowDown", b"SignatureDoesNotMatch")
KINDS = ("busy", "reset", "cut put", "lost reply", "cut get")


def serve(port):
    """Moto on a port of loopback, until the process ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ, start):
        announced = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(announced)
        if len(body) < announced:
            raise ConnectionError("the sender went away")  # what came is thrown away
        environ["wsgi.input"] = io.BytesIO(body)
        with lock:
            return [b"".join(app(environ, start))]

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True)


@contextlib.contextmanager
def server():
    """A server in a process of its own, as long as this lasts; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, __file__, str(port)],
        env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1"},  # S3 takes no parts below 5 MB but one
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 600
        while not answers(port):
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(port, cache):
    """What a process needs to find the server, and keep its copies in a folder of its own."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "GAUNTLET_CACHE": str(cache),
    }


class Faults:
    """Passes requests on to a server, and does so badly as often as it was told."""

    def __init__(self, port, share, seed=0, kinds=KINDS):
        self.upstream, self.share, self.kinds = port, share, kinds
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.done = Counter()
        handler = type("Handler", (Passing,), {"faults": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self.http.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def refuses(self, request):
        return False

    def next(self, method):
        """What goes wrong with this request, "" for nothing."""
        fits = {"cut put": ("PUT", "POST"), "cut get": ("GET",)}
        with self.lock:
            kind = self.chance.choice(self.kinds) if self.chance.random() < self.share else ""
            if method not in fits.get(kind, (method,)):
                kind = ""
            self.done[kind] += 1
            return kind


class LikeGoogles(Faults):
    """A store whose writes know no conditions, and which takes no checksums that it did not ask
    for: as Google's protocol for S3's clients is described, which was not tried."""

    WRITES = ("PUT", "POST")

    def refuses(self, request):
        """Whether this is no request that it takes; what it does not heed is taken out."""
        if request.command not in self.WRITES:
            return False
        names = [name.lower() for name in request.headers]
        del request.headers["If-None-Match"]
        sent = [name for name in names if name.startswith(("x-amz-checksum", "x-amz-sdk-checks"))]
        if "?delete" in request.path:
            return not sent and "content-md5" not in names
        return bool(sent) or "x-amz-trailer" in names


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.faults.refuses(self):
            return self.answer(403, [], UNSIGNED)
        kind = self.faults.next(self.command)
        if kind == "busy":
            return self.answer(503, [], OVERLOADED)
        if kind == "reset":
            return self.reset()
        if kind == "cut put":
            self.ask(body[: len(body) // 2], whole=False)
            return self.reset()
        status, headers, content = self.ask(body)
        if kind == "lost reply":
            return self.reset()
        cut = len(content) // 2 if kind == "cut get" else len(content)
        self.answer(status, headers, content, cut)
        if cut < len(content):
            self.reset()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

    def ask(self, body, whole=True):
        """Send the request on; where it is not whole, the server waits for more and gets none."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.faults.upstream, timeout=30)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in self.headers.items():
                if key.lower() not in ("connection", "expect"):
                    upstream.putheader(key, value)
            upstream.putheader("Connection", "close")
            upstream.endheaders(body)
            if not whole:
                return None
            said = upstream.getresponse()
            return said.status, said.getheaders(), said.read()

    def answer(self, status, headers, content, cut=None):
        self.send_response_only(status)
        length = str(len(content))
        for key, value in headers:
            if key.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif key.lower() not in ("connection", "transfer-encoding"):
                self.send_header(key, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[:cut])
        self.wfile.flush()

    def reset(self):
        """End the connection as a crashed machine does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    sys.path.pop(0)  # this folder's modules are no one's libraries
    serve(int(sys.argv[1]))
