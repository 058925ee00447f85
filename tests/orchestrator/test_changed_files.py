"""External files that change between planning and copying."""

import pytest

from orchestrator.files import publish
from trainables.external import find_path
from trainables.store import Store


def test_a_file_that_changed_after_planning_is_not_copied_under_its_old_hash(tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "vocab.json").write_text("{}")
    (weights / "model.bin").write_bytes(b"the planned weights")
    planned = find_path(weights)
    (weights / "model.bin").write_bytes(b"the changed weights")
    with pytest.raises(ValueError, match=r"model\.bin has changed since this run was planned"):
        publish([planned], tmp_path / "runs")
    assert Store(tmp_path / "runs/store").find(planned.recipe) is None
    (weights / "model.bin").write_bytes(b"the planned weights")
    publish([planned], tmp_path / "runs")
    copy = Store(tmp_path / "runs/store").find(planned.recipe)
    assert (copy / "model.bin").read_bytes() == b"the planned weights"
