"""Write docs/reference from the code's own tables; `make docs` runs this, and a test finds stale pages.

settings.md       from config.Settings
errors.md         from api.errors.ROWS
parameters.md     from api.wire.fields.FIELDS
compatibility.md  from tests/clients/results.json, which `make compatibility` writes
metrics.md        from telemetry.metrics.METRICS
models.md         from models.catalogue and models.gguf_support
completions.md    from api.legacy.fields.FIELDS
responses.md      from api.responses.fields.FIELDS
structured-output.md  from tests/data/schema_proof.json, which `make proof` writes
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.api import http_errors as http
from antiphon.api.errors import answer
from antiphon.api.legacy.fields import FIELDS as LEGACY_FIELDS
from antiphon.api.responses.fields import FIELDS as RESPONSE_FIELDS
from antiphon.api.wire.fields import FIELDS, Field
from antiphon.core import errors as core
from antiphon.models import gguf_support
from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.models.folder import REQUIRED_FILES
from antiphon.models.gguf_recast import BLOCK_TENSORS
from antiphon.settings import Setting, describe_model_settings, describe_settings
from antiphon.telemetry.metrics import METRICS

FOLDER = Path(__file__).parent / "reference"
RESULTS = Path(__file__).parents[1] / "tests" / "clients" / "results.json"
PROOF = Path(__file__).parents[1] / "tests" / "data" / "schema_proof.json"

_NOTICE = "<!-- Written by docs/generate.py; do not edit. `make docs` writes it anew. -->"

SAMPLES: tuple[core.AntiphonError, ...] = (
    core.MissingParameter("messages"),
    core.InvalidType("temperature", "a number", "a string"),
    core.InvalidValue("messages[0].role", "Invalid value: 'robot'. Supported values are: 'system', …"),
    core.NumberOutOfRange("temperature", got=3, integer=False, maximum=2),
    core.StringTooLong("stop[0]", 256, 300),
    core.ArrayTooLong("stop", 16, 20),
    core.EmptyArray("messages"),
    core.UnsupportedParameter("modalities", "This server answers in text only."),
    core.UnknownParameter("temprature"),
    core.ModelNotFound("gpt-5"),
    core.StoredNotFound("0123456789abcdef"),
    http.IdNotFound("Message", "chatcmpl-0123456789abcdef-7"),
    core.ContextLengthExceeded(8192, 9000),
    core.SchemaRefused("person", "'oneOf' is not permitted.", ("properties", "age")),
    core.FunctionSchemaRefused(0, "get_weather", "'oneOf' is not permitted.", ("properties", "city")),
    core.ToolGrammarRefused(0, "run_sql", 'unknown name: "query"'),
    core.JsonWordMissing(),
    core.Overloaded(),
    core.EngineUnavailable(),
    core.ModelNotLoaded(2.0, "writer"),
    core.EngineFailed(),
    core.AnswerBroken(),
    core.StoreUnavailable(),
    core.InternalError(),
    http.ShuttingDown(),
    http.BadFraming(),
    http.MalformedJson("This is not valid JSON."),
    http.KeyRequired(),
    http.KeyRefused("sk-o***ree"),
    http.OriginRefused(),
    http.UrlNotFound("POST", "/v1/chat"),
    http.MethodNotAllowed("GET", "/v1/chat/completions", ("POST",)),
    http.BodyTimeout(),
    http.BodyTooLarge(4194304),
    http.TargetTooLong(),
    http.UnsupportedMediaType("The request body must be JSON."),
    http.HostRefused(),
    http.HeadersTooLarge(),
)
"""One error of each kind, so that the page shows the very words a client gets."""


def pages() -> Mapping[str, str]:
    """Every page's text, by file name."""
    return {
        "settings.md": _settings(),
        "errors.md": _errors(),
        "metrics.md": _metrics(),
        "compatibility.md": _compatibility(),
        "models.md": _models(),
        "parameters.md": _parameters("/v1/chat/completions", FIELDS),
        "completions.md": _parameters("/v1/completions", LEGACY_FIELDS),
        "responses.md": _parameters("/v1/responses", RESPONSE_FIELDS),
        "structured-output.md": _structured_output(),
    }


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _settings() -> str:
    rows = [
        (_code(setting.name), _flag(setting), _default(setting), setting.allowed, setting.help)
        for setting in describe_settings()
    ]
    own = [(_code(key.name), _default(key), key.allowed, key.help) for key in describe_model_settings()]
    page = _page(
        "Settings",
        """A value comes from the flag of `antiphon serve`,
else from the environment (the name in capitals after `ANTIPHON_`: `ANTIPHON_PORT`; lists with commas),
else from the TOML file that `--config` or `ANTIPHON_CONFIG` names (the name as the key: `port = 8000`),
else it is the default.
Keys have no flag, since command lines are visible to everyone on a machine.""",
        ("Setting", "Flag", "Default", "Value", "Meaning"),
        rows,
    )
    table = [_row(("Key", "Default", "Value", "Meaning")), _row(["---"] * 4), *map(_row, own)]
    return page + _MODEL_TABLES + "\n".join(table) + "\n"


_MODEL_TABLES = """
## Models with settings of their own

The settings file may have a table for each model, whose name is what the API calls it.
Defaults hold for requests that do not say otherwise.

"""


def _flag(setting: Setting) -> str:
    if setting.name == "model":
        return "`MODEL`, the argument"
    if setting.flag is None:
        return "none"
    return _code(f"--no-{setting.flag[2:]}" if setting.default is True else setting.flag)


def _default(setting: Setting) -> str:
    if isinstance(setting.default, bool):
        return _code(str(setting.default).lower())
    if isinstance(setting.default, tuple) and setting.default:
        return _codes(setting.default)
    return "—" if setting.default in ((), "", None, {}) else _code(str(setting.default))


def _errors() -> str:
    rows = []
    for sample in SAMPLES:
        told = answer(sample)
        code = _code(told.code) if told.code else "null"
        rows.append((str(told.status), _code(told.type), code, _cell(told.message)))
    return _page(
        "Errors",
        """Every error is a JSON object `error` with `message`, `type`, `param` and `code`, like OpenAI's.
`param` is the path of the field at fault (`messages[2].content`) or null.
Where a retry may help, the answer carries `x-should-retry: true` and, if it is known how long to wait,
`retry-after` and `retry-after-ms`.
Every answer has `x-request-id`, `openai-processing-ms` and `openai-version`.
None has `x-ratelimit-*`: what is limited here is the work that waits, not the requests of a caller.
Inside a stream the same object comes as one last event.
The messages below are examples, one of each kind.""",
        ("Status", "Type", "Code", "Message"),
        rows,
    )


def _parameters(path: str, table: Sequence[Field[Any]]) -> str:
    rows = [(_code(field.name), field.verdict, _cell(field.reason)) for field in table]
    return _page(
        f"Parameters of `POST {path}`",
        """*Supported*: it does what OpenAI's reference says.
*Without effect*: it is read and checked, then left alone, for the reason given.
*Refused*: asking for something with it is a 400 that names it.
A field that is not in this table is named in the answer's `x-antiphon-ignored` header,
or refused under `--strict-fields`.""",
        ("Field", "Verdict", "Notes"),
        rows,
    )


def _metrics() -> str:
    rows = [
        (_code(metric.name), metric.kind, ", ".join(map(_code, metric.labels)) or "—", _cell(metric.help))
        for metric in METRICS
    ]
    return _page(
        "Metrics",
        """`--metrics-port N` serves these in Prometheus' text format on `http://127.0.0.1:N/metrics`,
without a key and, unless `--metrics-host` names another address, for this machine only.
`GET /v1/antiphon/stats` gives the same series as JSON, on the server's own port and with its keys;
the dashboard at `/dashboard` lives on it.
A [Grafana dashboard](../grafana/antiphon.json) can be imported as it is.
Times are in seconds. Counters of an engine start anew with its process.
Those that begin with `vllm:` are there for gateways and autoscalers that look for vLLM's names.""",
        ("Metric", "Kind", "Labels", "Meaning"),
        rows,
    )


def _compatibility() -> str:
    record: dict[str, dict[str, dict[str, str]]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = []
    sections = []
    for client, told in record.items():
        versions = ", ".join(f"{package} {version}" for package, version in told["versions"].items())
        results = told["results"]
        passed = [name for name, result in results.items() if result == "passed"]
        others = [(name, result) for name, result in results.items() if result != "passed"]
        rows.append((client, versions, str(len(passed)), str(len(others))))
        sections += ["", f"## {client}", "", f"Passed: {'; '.join(map(_cell, passed))}."]
        if others:
            sections += ["", _row(("Test", "Result")), _row(("---", "---"))]
            sections += [_row((_cell(name), _cell(result))) for name, result in others]
    head = _page(
        "Compatibility",
        """Each client's tests (in `tests/clients` and `tests/js`) run against a live server in every run of
the whole test suite, and this page is the record of such a run (`make compatibility`).
The server has the default model, which has 135 million parameters: the tests ask for what a server can
promise (a schema that holds, a call where one is required, deltas that join, finish reasons, usage, errors),
never for wisdom. Where a client's test takes a model that understands the question, the server has a scripted
engine that knows the answer; everything else about it is the same. *Skipped*: the client's own suite leaves
the test out, for the reason it gives. *Not run*: the default model cannot do it, for the reason given.""",
        ("Client", "Version", "Passed", "Skipped or not run"),
        rows,
    )
    return head + "\n".join(sections) + "\n"


def _models() -> str:
    names = [
        (
            _code(entry.name) + (", the default" if entry.name == DEFAULT_MODEL else ""),
            _code(entry.id),
            f"{entry.size / 1e6:.0f} MB",
            entry.licence,
            _code(entry.sha256),
        )
        for entry in CATALOGUE.values()
    ]
    ways = [
        ("GGUF matrices carried over as they are", _codes(gguf_support.CARRIED_OVER)),
        ("GGUF matrices widened to F16", _codes(gguf_support.WIDENED)),
        ("GGUF matrices rounded to 8 bits by row", _codes(gguf_support.ROUNDED_BY_ROW)),
        ("GGUF architectures that the converter knows", _codes(gguf_support.CONVERTED)),
        ("GGUF architectures that are recast for it", _codes(tuple(BLOCK_TENSORS))),
        ("Files of an OpenVINO folder", _codes(REQUIRED_FILES)),
        ("Refused by name", _REFUSED_MODELS),
    ]
    page = _page(
        "Models",
        """A model is named by this list, by `hf:org/name[@revision][:file.gguf]`,
by the path of a `.gguf` file, or by that of a folder with an OpenVINO model.
One of this list is served under the name beside its own and answers to its own as well.
`antiphon models` shows what of it is on this machine, `antiphon pull NAME` brings it.
A GGUF file says its architecture itself: Mistral 7B, for one, is of the architecture `llama`.
Windows of phi3 and gemma3 are held at any length; a phi3 with two sets of rotary factors is served up to
the context of the first one. Engines other than `openvino` do not take these two from GGUF.
phi3 was checked with random weights, against a forward pass in numpy: no real Phi was run yet. gemma3 was
checked so too, and with Gemma 3 270M beside llama.cpp.
OpenVINO folders are taken as they are; which of them the engine runs well is not tested here.""",
        ("Name", "Served as", "File", "Licence", "SHA-256"),
        names,
    )
    return page + "\n" + "\n".join([_row(("What", "Which")), _row(["---"] * 2), *map(_row, ways)]) + "\n"


_COUNTS = ("accepted", "refused", "valid", "violated", "broken", "cut")
_COUNT_HEADINGS = ("accepted", "refused", "valid", "violated", "broken off", "not ended")
_PROVED = {
    "suite": "JSON Schema Test Suite, by chance",
    "real_world": "JSONSchemaBench, by chance",
    "under_the_model": "both, by the model",
}


def _structured_output() -> str:
    found: dict[str, Any] = json.loads(PROOF.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    head = _page(
        "Structured output",
        f"""The record of `make proof`: schemas taken the server's own way, and answers written under those
that are accepted, {found["answers"]} each by chance alone under the mask, and one each by {found["model"]} at
temperature 1. Each was then validated, formats too. With {versions}.
*Accepted* and *refused* count schemas, the others answers: *valid* and *violated* ones, those *broken off*
because the grammar engine met a limit or a dead end, which a server tells as an error, and those that had
*not ended* after 150 tokens, which a server tells as `length`.
Where the schemas come from is in `tests/data/README.md`; what is held, and what is refused and why, in
[Structured output](../concepts/structured-output.md).""",
        ("Schemas", *_COUNT_HEADINGS),
        [(label, *_counts(found[name]["all"])) for name, label in _PROVED.items()],
    )
    sections = [_by_keyword(label, found[name]) for name, label in _PROVED.items()]
    return "\n".join([head, *sections])


def _by_keyword(label: str, table: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        (_code(keyword), *_counts(counts)) for keyword, counts in sorted(table.items()) if keyword != "all"
    ]
    lines = [_row(("Keyword", *_COUNT_HEADINGS)), _row(["---"] * (1 + len(_COUNTS))), *map(_row, rows)]
    return "\n".join([f"## {label[0].upper()}{label[1:]}: schemas that use a keyword", "", *lines, ""])


def _counts(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{counts.get(name, 0):,}" for name in _COUNTS)


_REFUSED_MODELS = (
    "other GGUF architectures (gemma2, phi2, mixtures of experts, …), split files, capped logits, rotary "
    "positions that are stretched or cover part of a head, but for those of phi3 and gemma3"
)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(map(_code, names))


def _page(title: str, text: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"# {title}", "", _NOTICE, "", text, "", _row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
