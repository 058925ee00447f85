"""The manifests: the newest is what a sweep's name means."""

import pytest

from orchestrator.manifests import read_manifest, recorded_sweeps, write_manifest
from orchestrator.planning import plan


def test_the_newest_manifest_is_what_a_sweep_means(tmp_path):
    planned = plan("quickstart", tmp_path, seeds=1).manifest()
    one, two = (dict([pair]) for pair in list(planned["trials"].items())[:2])
    first = planned | {"sweep": "a/b", "created_at": "2026-01-01T00:00:00.000+00:00", "trials": one}
    second = first | {"created_at": "2026-01-02T00:00:00.000+00:00", "trials": two}
    path = write_manifest(tmp_path, first)
    assert write_manifest(tmp_path, {**first, "created_at": second["created_at"]}) == path
    write_manifest(tmp_path, second)
    assert read_manifest(tmp_path, "a/b")["trials"] == two
    assert recorded_sweeps(tmp_path) == ["a/b"]
    with pytest.raises(LookupError, match="did you mean 'a/b'"):
        read_manifest(tmp_path, "a/c")


@pytest.mark.parametrize("name", ["a.b", "a b"])
def test_sweeps_whose_names_share_a_folder_are_refused(tmp_path, name):
    planned = plan("quickstart", tmp_path, seeds=1).manifest()
    write_manifest(tmp_path, planned | {"sweep": "a/b"})
    with pytest.raises(ValueError, match=r"share the folder sweeps/a\.b with the sweep 'a/b'"):
        write_manifest(tmp_path, planned | {"sweep": name})
    assert read_manifest(tmp_path, "a/b")["sweep"] == "a/b"
