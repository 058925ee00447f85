"""A worker by itself, which notes what trials ask of its working directory and its environment.

python isolated_worker.py TRIALS.pkl STORAGE
"""

import contextlib
import json
import os
import pickle
import sys
from pathlib import Path

TRAINABLES = str(Path(__file__).parents[2] / "trainables")


@contextlib.contextmanager
def noted():
    """What code of trainables reads of the environment, and every relative path that is opened."""
    from trainables.checkouts import VARIABLES

    looks = set()
    read, folder = os._Environ.__getitem__, os.getcwd

    def seen_variable(self, name):
        declared = str(name).startswith(VARIABLES)
        if caller().startswith(TRAINABLES) and not declared:
            looks.add(f"variable {name}")
        return read(self, name)

    def seen_folder():
        if caller().startswith(TRAINABLES):
            looks.add("working directory")
        return folder()

    def seen_file(event, arguments):
        named = on and event in ("open", "os.listdir", "os.scandir")
        path = arguments[0] if named and isinstance(arguments[0], str) else "/"
        # numba names the sources of packages by their way from here
        if not path.startswith("/") and "site-packages" not in path:
            looks.add(f"relative path {path}")

    on = [True]
    sys.addaudithook(seen_file)
    os._Environ.__getitem__, os.getcwd = seen_variable, seen_folder
    try:
        yield looks
    finally:
        on.clear()
        os._Environ.__getitem__, os.getcwd = read, folder


def caller():
    """The file of the code that asked, past the standard library's own."""
    frame = sys._getframe(2)
    skipped = (os.__file__, "<frozen", str(Path(os.__file__).parent / "pathlib.py"))
    while frame is not None and frame.f_code.co_filename.startswith((*skipped, "<")):
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def main(trials, storage):
    from orchestrator.execute import execute
    from trainables.catalog import dataset
    from trainables.cells import prepare
    from trainables.store import Store

    planned = pickle.loads(Path(trials).read_bytes())
    for name in {trial.dataset for trial in planned}:
        prepare(dataset(name), Store(Path(storage) / "store"))
    with noted() as looks:
        records = [execute(trial, Path(storage), code_version="test") for trial in planned]
    for record in records:
        print(record["trial"]["model"], record["status"], record["reason"], file=sys.stderr)
    statuses = [record["status"] for record in records]
    print(json.dumps({"statuses": statuses, "looks": sorted(looks)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
