"""Downloads that survive bad lines, proven files, and the reading of every published data set."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.datasets.pbmc12k import make
from trainables.datasets.pbmc12k import read as read_pbmc12k
from trainables.datasets.pbmc95k import POPULATIONS, archive
from trainables.downloads import Patience, Resuming, fetch, git_blob_sha1
from trainables.layouts import read_10x_archive, read_one
from trainables.origins import ByHand, Made, Web, data_home
from trainables.sources import Facts, Published
from trainables.store import Store

BODY = bytes(range(256)) * 400
"""What the server has: 102,400 bytes."""

QUICK = Patience(tries=3, pause=0.01, connect=2, stall=0.3)
PUBLISHED = [n for n in catalog.names("datasets") if isinstance(catalog.dataset(n), Published)]


# ---- a server that misbehaves -----------------------------------------------------------------


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


# ---- downloads --------------------------------------------------------------------------------


def test_a_download_is_whole_and_leaves_nothing_beside_it(server: Server, tmp_path: Path):
    path = get(server, tmp_path, sha256=hashlib.sha256(BODY).hexdigest())
    assert path.read_bytes() == BODY
    assert leftovers(tmp_path) == ["cells.h5ad"]


def test_a_cut_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path):
    server.behaviour.truncate = [30_000, 40_000]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.behaviour.asked == [None, "bytes=30000-", "bytes=70000-"]


def test_another_process_goes_on_where_one_was_killed(server: Server, tmp_path: Path):
    part = tmp_path / "cells.h5ad.part"
    part.write_bytes(BODY[:50_000])
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=50000-"]


def test_a_killed_process_leaves_no_half_file_under_the_name(server: Server, tmp_path: Path):
    server.behaviour.stall = [30.0]
    code = "import sys, pathlib; from trainables.downloads import fetch"
    code += "; fetch(sys.argv[1], pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, server.url + "/file", str(tmp_path / "cells.h5ad")]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    part = tmp_path / "cells.h5ad.part"
    until = time.monotonic() + 600
    while not (part.exists() and part.stat().st_size == 1000) and time.monotonic() < until:
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert not (tmp_path / "cells.h5ad").exists()
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.behaviour.asked == [None, "bytes=1000-"]


def test_a_server_without_ranges_is_asked_for_everything_again(server: Server, tmp_path: Path):
    server.behaviour.ranges = False
    server.behaviour.truncate = [30_000]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_begun_anew(server: Server, tmp_path: Path):
    (tmp_path / "cells.h5ad.part").write_bytes(b"old" * 1000)
    (tmp_path / "cells.h5ad.part.version").write_text('"zero"')
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=3000-", None]
    assert leftovers(tmp_path) == ["cells.h5ad"]


def test_a_part_that_is_whole_already_needs_no_bytes(server: Server, tmp_path: Path):
    (tmp_path / "cells.h5ad.part").write_bytes(BODY)
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path):
    (tmp_path / "cells.h5ad.part").write_bytes(BODY + b"more")
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_stall_times_out_and_is_resumed(server: Server, tmp_path: Path):
    server.behaviour.stall = [5.0]
    started = time.monotonic()
    assert get(server, tmp_path).read_bytes() == BODY
    assert time.monotonic() - started < 4
    assert server.behaviour.asked == [None, "bytes=1000-"]


def test_a_line_that_stays_dead_ends_in_a_sentence_and_keeps_the_part(
    server: Server, tmp_path: Path
):
    server.behaviour.truncate = [20_000, 0, 0, 0, 0]
    with pytest.raises(LookupError, match=r"20,000 bytes are kept, the same command goes on"):
        get(server, tmp_path)
    assert not (tmp_path / "cells.h5ad").exists()
    assert (tmp_path / "cells.h5ad.part").stat().st_size == 20_000


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path):
    server.behaviour.status = [503, 429]
    assert get(server, tmp_path).read_bytes() == BODY


def test_redirects_are_followed(server: Server, tmp_path: Path):
    assert get(server, tmp_path, "/moved").read_bytes() == BODY


def test_nothing_at_the_address_is_said_at_once(server: Server, tmp_path: Path):
    with pytest.raises(LookupError, match=r"there is nothing at .*/missing \(404\)"):
        get(server, tmp_path, "/missing")
    assert len(server.behaviour.asked) == 1
    assert not (tmp_path / "cells.h5ad").exists()


def test_damage_on_the_way_is_mended_by_fetching_once_more(server: Server, tmp_path: Path):
    server.behaviour.corrupt = [True, False]
    path = get(server, tmp_path, sha256=hashlib.sha256(BODY).hexdigest())
    assert path.read_bytes() == BODY


def test_a_wrong_file_never_gets_its_name(server: Server, tmp_path: Path):
    with pytest.raises(ValueError, match=r"has sha256 \w{12}, expected 000000000000: the source"):
        get(server, tmp_path, sha256="0" * 64)
    assert leftovers(tmp_path) == []


def test_the_hash_by_which_git_knows_a_file_is_checked(server: Server, tmp_path: Path):
    right = hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()
    assert git_blob_sha1(get(server, tmp_path, git_blob=right)) == right
    with pytest.raises(ValueError, match="git hash"):
        get(server, tmp_path / "other", git_blob="0" * 40)


def test_progress_counts_up_to_the_whole(server: Server, tmp_path: Path):
    server.behaviour.truncate = [30_000]
    seen: list[tuple[int, int | None]] = []
    fetch(
        server.url + "/file",
        tmp_path / "cells.h5ad",
        patience=QUICK,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_two_processes_do_not_fill_the_same_part(server: Server, tmp_path: Path):
    from trainables.downloads import only_one

    part = tmp_path / "cells.h5ad.part"
    with only_one(part), pytest.raises(LookupError, match="another process is fetching"):
        Resuming(part, QUICK)(server.url, tmp_path / "out", None)


def test_no_server_at_all_ends_in_a_sentence(tmp_path: Path):
    with pytest.raises(LookupError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/file", tmp_path / "cells.h5ad", patience=QUICK)


# ---- one data set, made up --------------------------------------------------------------------


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


def made_up(tmp_path: Path, url: str = "http://127.0.0.1:9/file", **changes: object) -> Published:
    """A data set of one file with three types, kept under tmp_path."""
    fields: dict[str, object] = {
        "name": "madeup",
        "summary": "",
        "citation": "",
        "licence": "",
        "files": (Web("cells.h5ad", url),),
        "reader": read_one,
        "values": "raw counts",
        "label_key": "celltype",
        "facts": Facts(cells=12, labels=3),
        "home": tmp_path / "home",
    }
    return Published(**{**fields, **changes})  # pyright: ignore[reportArgumentType]


def test_what_is_not_here_says_how_to_get_it(tmp_path: Path):
    absent = made_up(tmp_path)
    for asking in (lambda: absent.sha256, absent.read):
        with pytest.raises(LookupError, match=r"get it with: gauntlet data fetch madeup$"):
            asking()


def test_a_browser_only_file_says_what_to_click_and_to_type(tmp_path: Path):
    page = "https://drive.google.com/drive/folders/x"
    absent = made_up(tmp_path, files=(ByHand("a.h5ad", page), ByHand("b.h5ad", page)))
    with pytest.raises(LookupError, match=r"open .*/x, save a.h5ad and b.h5ad, then run: gauntlet"):
        _ = absent.sha256
    with pytest.raises(LookupError, match="by hand: open"):
        absent.fetch()


def test_a_published_hash_is_an_identity_before_anything_is_fetched(tmp_path: Path):
    here = made_up(tmp_path, files=(Web("cells.h5ad", "http://x", sha256="a" * 64),))
    assert len(here.sha256) == 64
    with pytest.raises(LookupError, match="gauntlet data fetch"):
        here.read()


def test_fetching_records_the_hash_and_reading_gives_our_names(server: Server, tmp_path: Path):
    path = written(some_cells(celltype=three_types()), tmp_path / "theirs.h5ad")
    server.behaviour.body = path.read_bytes()
    here = made_up(tmp_path, server.url + "/file")
    here.fetch(patience=QUICK)
    assert here.ledger()["cells.h5ad"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sorted(here.read().obs["cell_type"].unique()) == ["alpha", "beta", "gamma"]
    here.fetch(patience=QUICK)
    assert len(server.behaviour.asked) == 1


def test_a_file_that_changes_after_first_use_is_detected(tmp_path: Path):
    here = made_up(tmp_path)
    given = written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")
    here.add([given])
    before = here.sha256
    written(some_cells(celltype=three_types()[::-1]), here.paths()[0])
    for asking in (lambda: here.sha256, here.read):
        with pytest.raises(ValueError, match=r"was recorded on .*: the file changed"):
            asking()
    here.add([given], replace=True)
    assert here.sha256 == before


def test_a_touched_file_is_still_the_same(tmp_path: Path):
    here = made_up(tmp_path)
    here.add([written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")])
    before = here.sha256
    here.paths()[0].touch()
    assert here.sha256 == before


def test_damage_that_keeps_size_and_time_is_found_on_reading(tmp_path: Path):
    here = made_up(tmp_path)
    here.add([written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")])
    path = here.paths()[0]
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ValueError, match="the file changed"):
        here.read()


def test_another_file_does_not_silently_take_the_place(tmp_path: Path):
    here = made_up(tmp_path)
    here.add([written(some_cells(celltype=three_types()), tmp_path / "one.h5ad")])
    with pytest.raises(ValueError, match="add --replace"):
        here.add([written(some_cells(n=9, celltype=three_types(9)), tmp_path / "two.h5ad")])


def test_an_added_file_must_have_the_published_hash(tmp_path: Path):
    here = made_up(tmp_path, files=(Web("cells.h5ad", "http://x", sha256="a" * 64),))
    with pytest.raises(ValueError, match="expected aaaaaaaaaaaa"):
        here.add([written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")])
    assert here.missing()


def test_files_inside_a_zip_are_found(tmp_path: Path):
    pair = (ByHand("a.h5ad", "x"), ByHand("b.h5ad", "x"))
    here = made_up(tmp_path, files=pair, facts=Facts())
    with zipfile.ZipFile(tmp_path / "drive.zip", "w") as box:
        box.write(written(some_cells(celltype=three_types()), tmp_path / "1"), "ms/a.h5ad")
        box.write(written(some_cells(celltype=three_types()), tmp_path / "2"), "ms/b.h5ad")
    here.add([tmp_path / "drive.zip"])
    assert not here.missing()
    assert leftovers(here.folder) == ["a.h5ad", "b.h5ad", "hashes.json"]


def test_a_damaged_zip_is_named(tmp_path: Path):
    (tmp_path / "drive.zip").write_bytes(b"PK and then nothing")
    with pytest.raises(ValueError, match=r"drive\.zip cannot be unpacked"):
        made_up(tmp_path).add([tmp_path / "drive.zip"])


def test_a_file_saved_straight_into_its_place_is_taken(tmp_path: Path):
    here = made_up(tmp_path)
    written(some_cells(celltype=three_types()), here.paths()[0])
    here.add(here.paths())
    assert here.read().n_obs == 12


def test_a_stranger_is_turned_away(tmp_path: Path):
    here = made_up(tmp_path)
    (tmp_path / "notes.txt").write_text("no")
    with pytest.raises(LookupError, match=r"notes.txt is no file of madeup; it consists of: cells"):
        here.add([tmp_path / "notes.txt"])
    with pytest.raises(LookupError, match="there is no file"):
        here.add([tmp_path / "nowhere.h5ad"])


def test_other_cells_than_the_papers_are_refused_in_one_sentence(tmp_path: Path):
    here = made_up(tmp_path, facts=Facts(cells=13, labels=4))
    here.add([written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")])
    with pytest.raises(
        ValueError,
        match="madeup: it has 12 cells where 13 are expected; it has 3 labels where 4 are expected",
    ):
        here.read()


def test_a_mismatch_with_an_inferred_fact_is_only_a_note(tmp_path: Path):
    here = made_up(tmp_path, facts=Facts(cells=12, labels=4), inferred=("labels",))
    here.add([written(some_cells(celltype=three_types()), tmp_path / "mine.h5ad")])
    assert "it has 3 labels where 4 are expected" in here.read().uns["notes"]


def test_cells_without_a_label_are_left_out_and_counted(tmp_path: Path):
    labels: list[object] = [*three_types(9), None, np.nan, " "]
    here = made_up(tmp_path, facts=Facts())
    here.add([written(some_cells(celltype=labels), tmp_path / "mine.h5ad")])
    cells = here.read()
    assert cells.n_obs == 9
    assert "3 cells without a label are left out" in cells.uns["notes"]


def test_a_missing_column_names_those_there_are(tmp_path: Path):
    here = made_up(tmp_path)
    here.add([written(some_cells(kind=three_types()), tmp_path / "mine.h5ad")])
    with pytest.raises(ValueError, match=r"no obs\['celltype'\]; there are: kind"):
        here.read()


def test_several_batch_columns_count_together(tmp_path: Path):
    here = made_up(tmp_path, batch_key=("donor", "method"), facts=Facts(batches=4))
    donors, methods = ["d1", "d2"] * 6, ["x"] * 6 + ["y"] * 6
    cells = some_cells(celltype=three_types(), donor=donors, method=methods)
    here.add([written(cells, tmp_path / "mine.h5ad")])
    assert sorted(here.read().obs["batch"].unique()) == ["d1, x", "d1, y", "d2, x", "d2, y"]


def test_a_loader_that_is_not_installed_says_what_to_install(tmp_path: Path):
    made = Made("cells.h5ad", "no_such_package.data", "scvi", lambda module, folder: None)
    with pytest.raises(LookupError, match=r"pip install 'sc-gauntlet\[scvi\]'"):
        made_up(tmp_path, files=(made,)).fetch()


def test_a_loader_without_a_network_ends_in_a_sentence(tmp_path: Path):
    def offline(module: object, folder: Path) -> None:
        raise urllib.error.URLError("no route")

    made = Made("cells.h5ad", "json", "scvi", offline)
    with pytest.raises(LookupError, match=r"json could not download madeup.*data add madeup"):
        made_up(tmp_path, files=(made,)).fetch()
    assert not any((tmp_path / "home" / "madeup").iterdir())


def test_a_loaders_cells_are_kept_whole(tmp_path: Path):
    made = Made(
        "cells.h5ad", "json", "scvi", lambda module, folder: some_cells(celltype=three_types())
    )
    here = made_up(tmp_path, files=(made,))
    here.fetch()
    assert here.read().n_obs == 12
    assert leftovers(here.folder) == ["cells.h5ad", "hashes.json"]


def test_what_is_no_h5ad_is_named(tmp_path: Path):
    here = made_up(tmp_path)
    (tmp_path / "cells.h5ad").write_text("<html>Please sign in</html>")
    here.add([tmp_path / "cells.h5ad"])
    with pytest.raises(ValueError, match=r"cells\.h5ad is not a readable \.h5ad file"):
        here.read()


def test_a_cut_archive_is_named(tmp_path: Path):
    whole = gzip.compress(written(some_cells(), tmp_path / "x.h5ad").read_bytes())
    here = made_up(tmp_path, files=(Web("cells.h5ad.gz", "http://x"),))
    (tmp_path / "cells.h5ad.gz").write_bytes(whole[: len(whole) // 2])
    here.add([tmp_path / "cells.h5ad.gz"])
    with pytest.raises(ValueError, match=r"cells.h5ad.gz cannot be unpacked: it is damaged"):
        here.read()


# ---- every published data set, on small files in the official layout --------------------------


def tenx_archive(path: Path, barcodes: list[str], genes: int = 5) -> Path:
    """Cell Ranger 1's archive: filtered_matrices_mex/hg19 with its three files."""
    counts = np.arange(genes * len(barcodes)).reshape(genes, -1) % 4 + 1
    entries = [
        f"{g + 1} {c + 1} {counts[g, c]}" for g in range(genes) for c in range(len(barcodes))
    ]
    head = (
        f"%%MatrixMarket matrix coordinate integer general\n{genes} {len(barcodes)} {len(entries)}"
    )
    texts = {
        "matrix.mtx": "\n".join([head, *entries]) + "\n",
        "genes.tsv": "".join(
            f"ENSG{g}\t{'TWICE' if g < 2 else f'GENE{g}'}\n" for g in range(genes)
        ),
        "barcodes.tsv": "".join(f"{barcode}\n" for barcode in barcodes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            info = tarfile.TarInfo(f"filtered_matrices_mex/hg19/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def gzipped(cells: ad.AnnData, path: Path) -> Path:
    plain = written(cells, path.with_suffix(""))
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def logged(base: float | None, **columns: object) -> ad.AnnData:
    cells = some_cells(counts=False, **columns)
    cells.uns["log1p"] = {} if base is None else {"base": base}
    return cells


def pair(folder: Path, names: tuple[str, str], key: str, symbols: bool = False) -> list[Path]:
    paths = []
    for name, n in zip(names, (8, 4), strict=True):
        cells = some_cells(n, **{key: three_types(n)})
        if symbols:
            cells.var["gene_name"] = [f"SYM{i}" for i in range(cells.n_vars)]
        paths.append(written(cells, folder / name))
    return paths


def layout(name: str, folder: Path) -> list[Path]:
    """Small files as the authors of a data set lay theirs out."""
    ms = "Factor Value[inferred cell type - authors labels]"
    if name == "zheng68k":
        return [gzipped(logged(2.0, celltype=three_types()), folder / "Zheng68K.h5ad.gz")]
    if name == "zheng68k_counts":
        archive_path = tenx_archive(
            folder / "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz", ["AA-1", "CC-1"]
        )
        labels = folder / "68k_pbmc_barcodes_annotation.tsv"
        labels.write_text("TSNE.1\tTSNE.2\tbarcodes\tcelltype\n0\t0\tCC-1\tNK\n0\t0\tAA-1\tB\n")
        return [archive_path, labels]
    if name == "ms":
        return pair(folder, ("c_data.h5ad", "filtered_ms_adata.h5ad"), ms, symbols=True)
    if name == "myeloid":
        return pair(folder, ("reference_adata.h5ad", "query_adata.h5ad"), "cell_type")
    if name == "pancreas":
        return pair(folder, ("demo_train.h5ad", "demo_test.h5ad"), "Celltype")
    if name == "panglao":
        return [written(logged(2.0), folder / "panglao_human.h5ad")]
    if name == "panglao_10000":
        return [gzipped(logged(None), folder / "panglao_10000.h5ad.gz")]
    if name == "macparland":
        cells = [f"P1TLH_{i}" for i in range(12)]
        table = pd.DataFrame(some_cells(counts=False).X.toarray().T, columns=cells)
        table.index = pd.Index([f"GENE{i}" for i in range(len(table))])
        types = ["Hepatocyte_1", "Hepatocyte_6", "Cholangiocytes"] * 4
        about = pd.DataFrame({"CellName": cells[::-1], "Sample": "P1TLH", "CellType": types[::-1]})
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / "GSE115469_Data.csv.gz")
        about.to_csv(folder / "GSE115469_CellClusterType.txt.gz", sep="\t", index=False)
        return [folder / "GSE115469_Data.csv.gz", folder / "GSE115469_CellClusterType.txt.gz"]
    if name == "pancreas_scib":
        tech = ["celseq", "inDrop1", "inDrop4"] * 4
        cells = some_cells(counts=False, celltype=three_types(), tech=tech)
        cells.layers["counts"] = some_cells().X
        return [written(cells, folder / "human_pancreas_norm_complexBatch.h5ad")]
    if name == "pbmc12k":
        cells = some_cells(str_labels=three_types(), batch=["0", "1"] * 6)
        cells.var["gene_symbols"] = [f"SYM{i}" for i in range(cells.n_vars)]
        return [written(cells, folder / "pbmc12k.h5ad")]
    if name == "pbmc95k":
        return [tenx_archive(folder / archive(p), ["AA-1", "CC-1"]) for p in POPULATIONS]
    if name == "immune":
        cells = some_cells(
            counts=False, Manually_curated_celltype=three_types(), Donor=["A", "B"] * 6
        )
        cells.layers["counts"] = some_cells().X
        return [written(cells, folder / "CountAdded_PIP_global_object_for_cellxgene.h5ad")]
    if name == "tabula_sapiens":
        columns = {"organ_tissue": three_types(), "donor": ["TSP1", "TSP2"] * 6, "method": "10X"}
        cells = some_cells(counts=False, **columns)
        cells.layers["raw_counts"] = some_cells().X
        plain = written(cells, folder / "TabulaSapiens.h5ad")
        with zipfile.ZipFile(folder / "TabulaSapiens.h5ad.zip", "w") as box:
            box.write(plain, plain.name)
        return [folder / "TabulaSapiens.h5ad.zip"]
    raise NotImplementedError(f"no layout for {name}: write one when you add a data set")


def small(name: str, tmp_path: Path, **changes: object) -> Published:
    """The catalog's data set on small files: sizes and hashes are not the official ones."""
    official = catalog.dataset(name)
    assert isinstance(official, Published)
    files = tuple(replace(file, sha256="", git_blob="") for file in official.files)
    here = replace(official, files=files, home=tmp_path / "home", **{"facts": Facts(), **changes})
    here.add(layout(name, tmp_path / "official"))
    return here


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_declaration_says_what_it_must(name: str):
    source = catalog.dataset(name)
    assert isinstance(source, Published)
    assert source.name == name
    assert all([source.summary, source.citation, source.licence, source.values, source.files])
    assert source.facts.cells
    assert set(source.inferred) <= set(vars(source.facts))
    for file in source.files:
        assert isinstance(file, Made) or (file.url if isinstance(file, Web) else file.page)
        assert len(file.sha256) in (0, 64)
        assert len(file.git_blob) in (0, 40)
    labelled = source.label_key is not None
    assert labelled or name.startswith("panglao")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_official_layout_is_read(name: str, tmp_path: Path):
    here = small(name, tmp_path)
    prepared = open_cells(prepare(here, Store(tmp_path / "store")))
    assert len(here.sha256) == 64
    assert prepared.n_obs >= 2
    assert ("cell_type" in prepared.obs) == (here.label_key is not None)
    assert ("batch" in prepared.obs) == (here.batch_key is not None)
    assert any("X: " in note for note in prepared.uns["gauntlet"]["notes"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_cells_of_another_size_are_not_taken_for_the_papers(name: str, tmp_path: Path):
    official = catalog.dataset(name)
    assert isinstance(official, Published)
    here = small(name, tmp_path, facts=official.facts, inferred=())
    expected = f"{official.facts.cells:,} are expected"
    with pytest.raises(ValueError, match=f"{name}: it has .* cells where {expected}"):
        here.read()


@pytest.mark.parametrize("name", ["ms", "myeloid", "pancreas"])
def test_the_authors_split_is_kept(name: str, tmp_path: Path):
    cells = small(name, tmp_path, facts=Facts(train=8, test=4)).read()
    assert cells.obs["split"].value_counts().to_dict() == {"train": 8, "test": 4}
    assert cells.obs_names.is_unique


def test_genes_that_differ_between_train_and_test_are_refused(tmp_path: Path):
    here = replace(catalog.dataset("pancreas"), home=tmp_path / "home")  # pyright: ignore
    train, test = layout("pancreas", tmp_path / "official")
    other = ad.read_h5ad(test)
    other.var_names = [f"OTHER{i}" for i in range(other.n_vars)]
    here.add([train, written(other, test)])
    with pytest.raises(ValueError, match=r"differ in their genes \(0 of 6 shared\)"):
        here.read()


@pytest.mark.parametrize("name", ["zheng68k", "panglao", "panglao_10000"])
def test_base_two_becomes_the_natural_logarithm(name: str, tmp_path: Path):
    np.testing.assert_allclose(
        small(name, tmp_path).read().X.toarray(), np.log1p(some_cells().X.toarray()), rtol=1e-6
    )


def test_labels_are_joined_by_barcode_and_not_by_position(tmp_path: Path):
    cells = small("zheng68k_counts", tmp_path).read()
    assert cells.obs["cell_type"].to_dict() == {"AA-1": "B", "CC-1": "NK"}


def test_a_symbol_that_occurs_twice_is_made_unique(tmp_path: Path):
    cells = read_10x_archive(tenx_archive(tmp_path / "x.tar.gz", ["AA-1"]))
    assert list(cells.var_names[:2]) == ["TWICE", "TWICE-1"]
    assert list(cells.var["ensembl_id"][:2]) == ["ENSG0", "ENSG1"]


def test_hepatocyte_clusters_become_one_type(tmp_path: Path):
    cells = small("macparland", tmp_path, facts=Facts(labels=2, batches=1)).read()
    assert cells.obs["cell_type"].value_counts().to_dict() == {"Hepatocyte": 8, "Cholangiocytes": 4}


def test_indrop_runs_are_one_batch(tmp_path: Path):
    cells = small("pancreas_scib", tmp_path).read()
    assert sorted(cells.obs["batch"].unique()) == ["celseq", "indrop"]


@pytest.mark.parametrize("name", ["pancreas_scib", "immune", "tabula_sapiens"])
def test_counts_are_preferred_to_logged_values(name: str, tmp_path: Path):
    prepared = open_cells(prepare(small(name, tmp_path), Store(tmp_path / "store")))
    assert prepared.uns["gauntlet"]["has_counts"]


def test_a_counts_layer_without_counts_is_not_believed(tmp_path: Path):
    here = small("pancreas_scib", tmp_path)
    cells = ad.read_h5ad(here.paths()[0])
    cells.layers["counts"] = cells.layers["counts"] * 0.3
    here.add([written(cells, tmp_path / "corrected.h5ad")], replace=True)
    assert any("holds no counts" in note for note in here.read().uns["notes"])


def test_what_scvi_tools_loads_is_kept_under_our_names(tmp_path: Path):
    class Data:
        """As `scvi.data`: genes by Ensembl id, tables of quality beside."""

        @staticmethod
        def pbmc_dataset(save_path: str) -> ad.AnnData:
            cells = some_cells(labels=[0, 1, 2] * 4, str_labels=three_types(), batch=[0, 1] * 6)
            cells.var["gene_symbols-0"] = [f"SYM{i}" for i in range(cells.n_vars)]
            cells.obsm["raw_qc"] = pd.DataFrame({"x": range(12)}, index=cells.obs_names)
            return cells

    written(make(Data, tmp_path), tmp_path / "pbmc12k.h5ad")
    cells = read_pbmc12k([tmp_path / "pbmc12k.h5ad"])
    assert list(cells.var_names[:2]) == ["SYM0", "SYM1"]
    assert list(cells.var["ensembl_id"][:2]) == ["GENE0", "GENE1"]


def test_ten_populations_are_ten_types(tmp_path: Path):
    cells = small("pbmc95k", tmp_path, facts=Facts(cells=20, labels=10)).read()
    assert cells.obs_names.is_unique


def test_the_home_is_gauntlet_data_or_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAUNTLET_DATA", raising=False)
    assert data_home() == tmp_path / "gauntlet-data"
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path / "elsewhere"))
    assert data_home() == tmp_path / "elsewhere"
