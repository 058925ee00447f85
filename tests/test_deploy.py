"""The cluster files are what Ray and the shell take, and keep the doors shut."""

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CLUSTERS = ["cluster.yaml", "deploy/local.yaml"]


def prepared(path, **changes):
    """The configuration as `ray up` fills it in before it checks it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config({**yaml.safe_load((ROOT / path).read_text()), **changes})


@pytest.mark.parametrize("path", CLUSTERS)
def test_rays_own_validator_takes_it(path):
    from ray.autoscaler._private.util import validate_config

    validate_config(prepared(path))
    with pytest.raises(Exception, match="nonsense"):
        validate_config(prepared(path, nonsense=1))


@pytest.mark.parametrize("path", CLUSTERS)
def test_every_start_of_ray_wants_the_token_and_the_dashboard_stays_on_loopback(path):
    config = prepared(path)
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert not any("0.0.0.0" in command for command in commands)
    assert "~/.ray/auth_token" in config["file_mounts"]
    for command in [*commands, *config["setup_commands"]]:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_slurm_script_is_a_script():
    subprocess.run(["bash", "-n", ROOT / "deploy/slurm.sh"], check=True)
