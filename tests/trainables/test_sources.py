"""A published data set: files proven, recorded and taken; cells that are the paper's, or not."""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.conftest import (
    QUICK,
    Server,
    leftovers,
    some_cells,
    three_types,
    written,
)
from trainables.layouts import read_one
from trainables.origins import ByHand, Made, Web
from trainables.sources import Facts, Published


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
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert here.seen.entries()["cells.h5ad"]["sha256"] == sha256
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
