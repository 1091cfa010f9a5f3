"""Memory as the system tells it."""

from pathlib import Path

from antiphon.engine.memory import available_memory, total_memory


def write(folder: Path, **files: str) -> Path:
    """A folder with files; two underscores stand for a dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_machine_without_a_container(tmp_path: Path) -> None:
    """What is available, not what is free."""
    write(tmp_path, meminfo="MemTotal: 10 kB\nMemFree: 1 kB\nMemAvailable: 4 kB\n", memory__max="max\n")

    assert available_memory(tmp_path / "meminfo", tmp_path) == 4096
    assert total_memory(tmp_path) > 1 << 20


def test_container_with_less_than_the_machine(tmp_path: Path) -> None:
    """What was read from files is given back when it is needed."""
    write(
        tmp_path,
        meminfo="MemAvailable: 1000 kB\n",
        memory__max="100000",
        memory__current="90000",
        memory__stat="anon 50000\ninactive_file 20000\n",
    )

    assert available_memory(tmp_path / "meminfo", tmp_path) == 30000
    assert total_memory(tmp_path) == 100000


def test_system_that_does_not_tell(tmp_path: Path) -> None:
    """Nothing is made up."""
    assert available_memory(tmp_path / "absent", tmp_path) is None
