"""Models from a hub: listed, fetched with resumption, checked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.models.errors import ModelError
from antiphon.models.hub import fetch_from_hub
from antiphon.models.hub_repository import (
    HubFile,
    HubOptions,
    HubSpec,
    Listing,
    chosen_files,
    parse_spec,
)
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from tests.hub_server import COMMIT, Hub, hub_server
from tests.tiny_models import write_tiny_model

WEIGHTS = bytes(range(256)) * 40
SPEC = HubSpec("org/tiny-model")
FILES = {"README.md": b"# Tiny", "sub/tiny-Q8_0.gguf": WEIGHTS}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one GGUF in a folder of its repository."""
    with hub_server(FILES) as server:
        yield server


class Steps(Silent):
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        """Nothing happened."""
        self.labels: list[str] = []
        self.bytes = 0

    def start(self, label: str, total_bytes: int | None) -> None:
        """A step."""
        self.labels.append(label)

    def advance(self, count: int) -> None:
        """So many bytes of it."""
        self.bytes += count


def get(hub: Hub, cache: Path, spec: HubSpec = SPEC, **options: object) -> Path:
    """Fetch from this hub."""
    return fetch_from_hub(spec, HubOptions(hub.endpoint, **options), cache, Silent())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("hf:org/name", HubSpec("org/name")),
        ("hf:org/name-1.5_x@v1.0:file.Q4_K_M.gguf", HubSpec("org/name-1.5_x", "v1.0", "file.Q4_K_M.gguf")),
        ("hf:org/name@refs/pr/1", HubSpec("org/name", "refs/pr/1")),
        ("hf:org/name:sub/a b.gguf", HubSpec("org/name", "main", "sub/a b.gguf")),
    ],
)
def test_specs_are_read(text: str, spec: HubSpec) -> None:
    """Repository, revision, file."""
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text", ["hf:", "hf:name", "hf:a/b/c", "hf:a/b@", "hf:../b", "hf:a/..:x", "hf:a/b@x/../y"]
)
def test_what_is_no_spec_is_told(text: str) -> None:
    """With the form that is wanted."""
    with pytest.raises(ModelError, match=r"hf:org/name\[@revision\]"):
        parse_spec(text)


def listing(*paths: str) -> Listing:
    """A repository of these files."""
    return Listing(COMMIT, tuple(HubFile(path, 1, "", "") for path in paths))


@pytest.mark.parametrize(
    ("file", "wanted"),
    [("", "m-Q8_0.gguf"), ("Q8_0", "m-Q8_0.gguf"), ("m-q8_0.gguf", "m-Q8_0.gguf")],
)
def test_only_gguf_needs_no_name(file: str, wanted: str) -> None:
    """Else a quantisation will do."""
    (chosen,) = chosen_files(HubSpec("o/m", file=file), listing("README.md", "m-Q8_0.gguf"))

    assert chosen.path == wanted


def test_exact_name_wins_over_names_that_hold_it() -> None:
    """`m.gguf` is not `big-m.gguf`."""
    (chosen,) = chosen_files(HubSpec("o/m", file="m.gguf"), listing("big-m.gguf", "m.gguf"))

    assert chosen.path == "m.gguf"


def test_openvino_model_is_taken_with_its_descriptions() -> None:
    """Beside a GGUF, it is what runs without conversion; other files are not fetched."""
    names = ("openvino_model.xml", "openvino_model.bin", "tokenizer.json", "config.json")
    chosen = chosen_files(SPEC, listing(*names, "m.gguf", "generation_config.json", "big.safetensors"))

    assert {file.path for file in chosen} == {*names, "generation_config.json"}


@pytest.mark.parametrize(
    ("paths", "file", "words"),
    [
        (("a.safetensors",), "", "neither a .gguf file nor an OpenVINO model"),
        (("a-Q4_0.gguf", "a-Q8_0.gguf"), "", "name one of its files .*: a-Q4_0.gguf, a-Q8_0.gguf"),
        (("a-Q4_0.gguf", "a-Q8_0.gguf"), "Q5", "a-Q4_0.gguf, a-Q8_0.gguf"),
    ],
)
def test_unclear_choice_lists_the_files(paths: tuple[str, ...], file: str, words: str) -> None:
    """So that the next try works."""
    with pytest.raises(ModelError, match=words):
        chosen_files(HubSpec("o/m", file=file), listing(*paths))


def test_file_is_fetched_once_and_found_again_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    """Only what is needed of the repository."""
    path = get(hub, tmp_path)
    asked = len(hub.asked)

    assert path == tmp_path / "hub" / "org--tiny-model" / COMMIT / "tiny-Q8_0.gguf"
    assert path.read_bytes() == WEIGHTS
    assert get(hub, tmp_path, offline=True) == path
    assert len(hub.asked) == asked
    assert not any("README" in asked_path for asked_path, _, _ in hub.asked)


def test_broken_connections_are_resumed(hub: Hub, tmp_path: Path) -> None:
    """Each goes on where the last one stopped."""
    hub.break_off_at = 4000
    steps = Steps()
    path = fetch_from_hub(SPEC, HubOptions(hub.endpoint), tmp_path, steps)
    ranges = [wanted for asked, wanted, _ in hub.asked if asked.startswith("/elsewhere/")]

    assert path.read_bytes() == WEIGHTS
    assert ranges == [None, "bytes=4000-", "bytes=8000-"]
    assert (steps.labels, steps.bytes) == (["Fetching tiny-Q8_0.gguf"], len(WEIGHTS))


def test_part_of_an_earlier_start_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    """As after a crash; a hub without ranges sends all of it again."""
    part = tmp_path / "hub" / "org--tiny-model" / COMMIT / "tiny-Q8_0.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:100])
    assert get(hub, tmp_path).read_bytes() == WEIGHTS
    assert hub.asked[-1][1] == "bytes=100-"

    hub.ranges = False
    other = tmp_path / "other" / "hub" / "org--tiny-model" / COMMIT / "tiny-Q8_0.gguf.part"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"something else")
    assert get(hub, tmp_path / "other").read_bytes() == WEIGHTS


def test_connection_that_brings_nothing_is_given_up(hub: Hub, tmp_path: Path) -> None:
    """What had come is kept for the next try."""
    hub.break_off_at = 0
    with pytest.raises(ModelError, match="breaks off at 0 of 10240 bytes"):
        get(hub, tmp_path)


@pytest.mark.parametrize("path", ["sub/tiny-Q8_0.gguf", "README.md"])
def test_other_bytes_than_listed_are_not_kept(path: str, hub: Hub, tmp_path: Path) -> None:
    """Large files by SHA-256, small ones by git's digest; the next try begins anew."""
    right = hub.files[path]
    hub.listed[path]["rfilename"] = "x.gguf"
    hub.files = {"x.gguf": bytes(len(right))}
    hub.listed = {path: hub.listed[path]}
    with pytest.raises(ModelError, match="not what the hub listed"):
        get(hub, tmp_path)

    assert list(tmp_path.rglob("x.gguf*")) == []
    hub.files = {"x.gguf": right}
    assert get(hub, tmp_path).read_bytes() == right


def test_token_is_for_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    """Not for where it sends us; without one, the line says what to do."""
    hub.token = "hf_secret"
    with pytest.raises(ModelError, match="HF_TOKEN") as refused:
        get(hub, tmp_path, token="wrong")
    get(hub, tmp_path, token="hf_secret")
    elsewhere = {authorization for path, _, authorization in hub.asked if path.startswith("/elsewhere/")}

    assert "wrong" not in str(refused.value)
    assert elsewhere == {None}


def test_what_a_hub_lacks_or_says_is_one_line(hub: Hub, tmp_path: Path) -> None:
    """Unknown repositories, paths that would lead out of the cache, hubs that are none or not there."""
    with pytest.raises(ModelError, match="no such repository or revision"):
        get(hub, tmp_path, HubSpec("org/other"))
    hub.listed["README.md"]["rfilename"] = "../../evil.gguf"
    with pytest.raises(ModelError, match="this is no hub"):
        get(hub, tmp_path)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        get(hub, tmp_path, offline=True)
    with pytest.raises(ModelError, match=r"cannot be reached .*HF_ENDPOINT"):
        fetch_from_hub(SPEC, HubOptions("http://127.0.0.1:9"), tmp_path, Silent())
    with pytest.raises(ModelError, match="is not a URL"):
        fetch_from_hub(SPEC, HubOptions("ftp://hub"), tmp_path, Silent())


def test_damaged_note_is_no_obstacle(hub: Hub, tmp_path: Path) -> None:
    """The hub is asked again."""
    get(hub, tmp_path)
    (note,) = tmp_path.rglob("refs/*.json")
    note.write_text(json.dumps({"commit": 3}))

    assert get(hub, tmp_path).read_bytes() == WEIGHTS


@pytest.mark.slow
def test_gguf_and_openvino_repositories_are_prepared(tmp_path: Path) -> None:
    """From the hub to a model that can be loaded, each under its own name."""
    with hub_server({"tiny.gguf": write_tiny_model(tmp_path / "tiny.gguf").read_bytes()}) as hub:
        first = prepare("hf:org/tiny-model", tmp_path / "a", Silent(), hub=HubOptions(hub.endpoint))
    files = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    with hub_server(files, "org/tiny-ov") as hub:
        second = prepare("hf:org/tiny-ov", tmp_path / "b", Silent(), hub=HubOptions(hub.endpoint))

    assert (first.id, second.id) == ("tiny", "tiny-ov")
    assert second.context_length == first.context_length
