"""What tests of trainables share: a server that misbehaves as it is told, and small cells."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.downloads import Patience, fetch

BODY = bytes(range(256)) * 400
"""What the server has: 102,400 bytes."""

QUICK = Patience(tries=3, pause=0.01, connect=2, stall=0.3)


@dataclass
class Behaviour:
    """What the server does; and what it was asked."""

    body: bytes = BODY
    etag: str = '"one"'
    ranges: bool = True
    truncate: list[int] = field(default_factory=list)
    """For each coming request, after how many bytes to hang up."""
    corrupt: list[bool] = field(default_factory=list)
    stall: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


class Handler(BaseHTTPRequestHandler):
    """Serves `server.behaviour` at every path but /moved and /missing."""

    server: Server

    def do_GET(self) -> None:
        b = self.server.behaviour
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        b.asked.append(self.headers.get("Range"))
        status = 404 if self.path == "/missing" else b.status.pop(0) if b.status else 200
        if status != 200:
            return self.send_error(status)
        start = self.start(b)
        if start is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(b.body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", b.etag)
        self.send_header("Content-Length", str(len(b.body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(b.body) - 1}/{len(b.body)}")
        self.end_headers()
        send = b.body[start:]
        if b.corrupt and b.corrupt.pop(0):
            send = bytes(byte ^ 1 for byte in send)
        if b.stall:
            self.wfile.write(send[:1000])
            self.wfile.flush()
            time.sleep(b.stall.pop(0))
            return
        self.wfile.write(send[: b.truncate.pop(0)] if b.truncate else send)

    def start(self, b: Behaviour) -> int | None:
        """Where to begin; None when there is nothing there."""
        asked = self.headers.get("Range")
        if not asked or not b.ranges:
            return 0
        first = int(asked.removeprefix("bytes=").rstrip("-"))
        return first if first < len(b.body) else None

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    behaviour: Behaviour
    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.behaviour = Behaviour()
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def get(server: Server, tmp_path: Path, page: str = "/file", **expected: str) -> Path:
    return fetch(server.url + page, tmp_path / "cells.h5ad", patience=QUICK, **expected)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def blood(ctx):
    """700 real cells and 765 genes, without counts."""
    return open_cells(prepare(catalog.dataset("pbmc68k_reduced"), ctx.store))


def some_cells(n: int = 12, genes: int = 6, counts: bool = True, **columns: object) -> ad.AnnData:
    """Cells with a few columns, every gene expressed somewhere."""
    rng = np.random.default_rng(0)
    values = rng.poisson(2.0, (n, genes)).astype("float32") + np.eye(n, genes, dtype="float32")
    if not counts:
        values = np.log2(1 + values)
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(n)])
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(genes)])
    return ad.AnnData(X=sparse.csr_matrix(values), obs=obs, var=var)


def three_types(n: int = 12) -> list[str]:
    return [("alpha", "beta", "gamma")[i % 3] for i in range(n)]


def written(cells: ad.AnnData, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells.write_h5ad(path)
    return path
