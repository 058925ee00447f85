"""Who may import whom, and what must stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("trainables", "orchestrator", "search_spaces", "analysis")
ALLOWED = {  # room -> the rooms it may import, anywhere in its files
    "trainables": {"trainables"},
    "orchestrator": {"orchestrator", "trainables"},
    "search_spaces": {"search_spaces", "orchestrator"},
    "analysis": {"analysis"},
}
EXCEPTIONS = {  # the doors between rooms
    ("orchestrator/cli.py", "analysis"),
    ("orchestrator/cluster_cli.py", "analysis"),
    ("orchestrator/data_cli.py", "analysis"),
    ("orchestrator/findings_cli.py", "analysis"),
    ("orchestrator/running_cli.py", "analysis"),
    ("orchestrator/until.py", "analysis"),
    ("analysis/results.py", "orchestrator"),
    ("analysis/conclusion.py", "orchestrator"),
}


def python_files(room):
    return sorted((ROOT / room).rglob("*.py"))


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_along_the_arrows(room):
    for path in python_files(room):
        here = path.relative_to(ROOT).as_posix()
        for module, _ in imports(ast.parse(path.read_text())):
            top = module.split(".")[0]
            if top in ROOMS and (here, top) not in EXCEPTIONS:
                assert top in ALLOWED[room], f"{here} imports {module}"


def test_within_trainables_models_and_tasks_do_not_know_each_other():
    for below, above in [
        ("metrics", ("models", "tasks", "catalog", "trial")),
        ("models", ("tasks", "catalog", "trial")),
        ("tasks", ("models", "catalog", "trial")),
        ("datasets", ("models", "tasks", "catalog", "trial")),
    ]:
        for path in python_files(f"trainables/{below}"):
            for module, _ in imports(ast.parse(path.read_text())):
                assert not module.startswith(tuple(f"trainables.{a}" for a in above)), path


def test_only_the_orchestrator_imports_ray_or_mlflow_at_import_time():
    for room in ("trainables", "search_spaces", "analysis"):
        for path in python_files(room):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.If | ast.FunctionDef | ast.ClassDef):
                    continue  # TYPE_CHECKING blocks and function bodies run later, or never
                for module, _ in imports(node):
                    assert module.split(".")[0] not in ("ray", "mlflow"), path


def loaded_after(statement):
    """The modules that a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_trainables_import_neither_ray_nor_mlflow():
    every = "import trainables, trainables.trial, trainables.userdata\n" + "\n".join(
        f"import trainables.{p.parent.name}.{p.stem}"
        for kind in ("models", "tasks", "datasets", "metrics")
        for p in python_files(f"trainables/{kind}")
        if p.stem != "__init__"
    )
    assert not loaded_after(every) & {"ray", "mlflow", "scanpy", "pyarrow.parquet", "typer"}


def test_the_command_starts_without_heavy_libraries():
    heavy = {"ray", "mlflow", "numpy", "pandas", "scipy", "sklearn", "anndata", "matplotlib"}
    assert not loaded_after("import orchestrator.cli") & heavy


def test_a_model_runs_where_neither_ray_nor_mlflow_nor_scanpy_is_installed(tmp_path):
    code = f"""
import sys
class Absent:
    names = {{"ray", "mlflow", "scanpy", "typer", "rich", "pyarrow", "sknetwork", "statsmodels"}}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from pathlib import Path
from trainables.protocols import Context
from trainables.store import Store
from trainables.trial import Trial
ctx = Context(seed=0, scratch=Path({str(tmp_path)!r}), store=Store(Path({str(tmp_path)!r})))
for model in ("logreg", "pca+probe"):
    print(Trial(model, "annotation", "toy", 0).run(ctx)["test/accuracy"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(float(line) > 0.5 for line in done.stdout.split())
