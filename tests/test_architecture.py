"""The rules of the house that import contracts cannot see: sizes, names, fences, honest documents."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "antiphon"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 6
MAX_METHODS = 20

REFUSED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}

FENCES = {
    "openvino": (
        "engine/backends/openvino.py",
        "models/merged_projections.py",
        "models/refine.py",
        "models/row_scales.py",
        "models/graph_attention.py",
        "models/graph_gemma3.py",
    ),
    "openvino_genai": ("models/converter.py",),
    "tokenizers": ("models/",),
    "llguidance": ("engine/",),
    "numpy": ("engine/", "models/"),
    "jinja2": ("text/",),
    "jsonschema_rs": ("text/schema/",),
    "starlette": ("api/",),
    "uvicorn": ("api/",),
    "uvloop": ("api/",),
    "httptools": ("api/",),
    "msgspec": ("api/", "engine/", "store/", "config.py", "model_settings.py", "settings.py"),
    "pytest": ("pytest_plugin.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "platformdirs": ("config.py",),
    "prometheus_client": ("telemetry/",),
    "opentelemetry": ("telemetry/otel.py",),
    "apsw": ("store/",),
    "asyncpg": ("store/postgres.py",),
    "ray": ("engine/backends/ray/",),
    "vllm": ("engine/backends/vllm/",),
    "torch": ("engine/backends/vllm/",),
    "httpx": ("engine/backends/vllm/",),
}
"""Every library that the package imports, and where alone it may."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in the file it does."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def label(path: Path) -> str:
    """A file's path in this repository."""
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """Every text file that is or would be committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git repository: which files belong to it is unknown")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_import_contracts_hold() -> None:
    """Layers, fences and cycles, as pyproject.toml states them."""
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout


def test_every_folder_of_code_has_an_init_file() -> None:
    """Without one the import checker is silently blind to the folder."""
    folders = {path.parent for path in SOURCES + TESTS}

    assert [label(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_files_are_small() -> None:
    """A file that outgrows the limit has become two subjects."""
    too_long = {
        label(path): lines
        for path in SOURCES + TESTS
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }

    assert too_long == {}


def test_functions_are_small() -> None:
    """In lines, from `def` to the last."""
    too_long = [
        f"{label(path)}:{node.lineno} {node.name}"
        for path in SOURCES + TESTS
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert too_long == []


def test_parameters_are_few() -> None:
    """More belong into a dataclass of options; `self` and `cls` do not count."""
    too_many = []
    for path in SOURCES:
        for node in functions(path):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len([name for name in names if name not in ("self", "cls")]) > MAX_PARAMETERS:
                too_many.append(f"{label(path)}:{node.lineno} {node.name}")

    assert too_many == []


def test_classes_have_few_methods() -> None:
    """A class with more has more than one job."""
    too_many = [
        f"{label(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(m, Function) and not m.name.startswith("__") for m in node.body) > MAX_METHODS
    ]

    assert too_many == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    """What has no home of its own is a concept without a name yet."""
    parts = {part for path in SOURCES for part in path.relative_to(PACKAGE).with_suffix("").parts}

    assert parts & REFUSED_NAMES == set()


@pytest.mark.parametrize(("library", "homes"), FENCES.items())
def test_library_is_imported_only_where_it_belongs(library: str, homes: tuple[str, ...]) -> None:
    """Exchanging a library must touch one place only."""
    outside = [
        label(path)
        for path in SOURCES
        if library in imported(path) and not path.relative_to(PACKAGE).as_posix().startswith(homes)
    ]

    assert outside == []


def test_every_library_has_a_home() -> None:
    """A new one is given its place in the table above first."""
    libraries = {name for path in SOURCES for name in imported(path)} - set(sys.stdlib_module_names)

    assert libraries - {"antiphon"} <= FENCES.keys()


def test_only_the_configuration_reads_the_environment() -> None:
    """Elsewhere the environment is at most handed on whole to a child process."""
    pattern = re.compile(r"os\.getenv|environ(\.get\(|\[)")
    readers = [label(path) for path in SOURCES if pattern.search(path.read_text(encoding="utf-8"))]

    assert set(readers) <= {"src/antiphon/config.py"}


def test_no_module_keeps_mutable_state() -> None:
    """Two servers can live in one process: nothing at module level that a type checker lets change."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    found = [
        f"{label(path)}:{node.lineno}"
        for path in SOURCES
        for node in tree(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, mutable)
        and not _is_constant(node)
    ]

    assert found == []


def _is_constant(node: ast.Assign | ast.AnnAssign) -> bool:
    """`__all__`, or a table whose declared type has no way to change it."""
    if isinstance(node, ast.AnnAssign):
        return "Mapping[" in ast.unparse(node.annotation).replace("MutableMapping", "")
    return ast.unparse(node.targets[0]) == "__all__"


def test_broad_handlers_give_their_reason() -> None:
    """`except Exception` stands at a few boundaries only, each with why on its line."""
    silent = [
        f"{label(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"except (Base)?Exception\b", line) and "#" not in line and "BaseException:" not in line
    ]

    assert silent == []


def test_no_file_names_a_registry_or_a_machine() -> None:
    """Where packages come from is the user's own setting; paths of one machine help nobody."""
    refused = re.compile(
        "|".join(
            (
                "pypi" + r"\.org",
                "pythonhosted" + r"\.org",
                "registry" + r"\.npmjs",
                r"(^|[\s\"'(=])/(w" + r"ork|r" + r"oot|t" + r"mp)/",
            )
        ),
        re.MULTILINE,
    )
    found = [
        label(path)
        for path in tracked_files()
        if path.name != "chat-api.txt" and refused.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]

    assert found == []


def test_build_backend_is_the_same_in_lock_and_project() -> None:
    """The lock installs the backend that the project asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = project["build-system"]["requires"]

    assert wanted in (ROOT / "requirements" / "build.in").read_text(encoding="utf-8").splitlines()
    assert f"\n{wanted.replace('_', '-')} \\\n" in (
        "\n" + (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    )


def required(name: str) -> list[str]:
    """What a file of requirements asks for."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_dependency_is_locked_with_hashes() -> None:
    """Each distribution of the project is in the lock, and each lock entry has a hash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, wanted in (
        ("runtime.txt", project["dependencies"]),
        ("dev.txt", project["dependencies"] + project["optional-dependencies"]["dev"]),
        ("clients.txt", required("clients.in")),
        ("instructor.txt", required("instructor.in")),
    ):
        lock = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        entries = re.findall(r"^([a-z0-9-]+)==[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE)
        assert len(entries) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE))
        assert {re.split(r"[><=;[]", requirement)[0] for requirement in wanted} <= set(entries)


def test_architecture_page_names_only_what_exists() -> None:
    """Every path in backticks on that page leads somewhere."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = {path for path in re.findall(r"`([a-z_/0-9.-]+)`", page) if "/" in path}
    lost = [path for path in sorted(paths) if not (PACKAGE / path).exists() and not (ROOT / path).exists()]

    assert paths
    assert lost == []


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link of every page."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lost = [
        f"{label(page)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert lost == []
