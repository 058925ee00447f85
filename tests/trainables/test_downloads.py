"""Downloads that survive bad lines, and bytes that are what they should be."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainables.conftest import BODY, QUICK, Server, get, leftovers
from trainables.downloads import Resuming, fetch, git_blob_sha1


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
