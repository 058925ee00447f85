"""Which code runs here, as every record tells it."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

CODE_VERSION = "GAUNTLET_CODE_VERSION"
"""The environment variable that tells a job which code was shipped to it."""


def code_version() -> str:
    """The package's version, with the commit where it runs from a checkout; in a job of a cluster,
    what `gauntlet submit` shipped."""
    if shipped := os.environ.get(CODE_VERSION):
        return shipped
    own = version("sc-gauntlet")
    here = Path(__file__).parent.parent
    if not (here / ".git").exists():
        return own
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return own
    return f"{own}+{asked.stdout.strip()}" if asked.returncode == 0 else own
