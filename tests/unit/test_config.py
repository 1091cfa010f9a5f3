"""Settings: where they come from, which source wins, and what is refused."""

import re
from pathlib import Path

import pytest

from antiphon.config import (
    ConfigError,
    Given,
    client_key,
    gather,
    hub_options,
    is_loopback,
    load,
    traces_wanted,
    unknown_variables,
)
from antiphon.model_settings import ModelSettings
from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.hub_repository import HubOptions
from antiphon.settings import DEFAULT_ALIASES, Settings, describe_settings


def aliases(settings: Settings) -> tuple[str, ...]:
    """Every further name of the first model."""
    return settings.wanted_models[0].settings.alias


def write(tmp_path: Path, text: str) -> str:
    """A settings file."""
    path = tmp_path / "antiphon.toml"
    path.write_text(text)
    return str(path)


def test_defaults_serve_this_machine_only() -> None:
    """Without any source the defaults hold."""
    assert load({}, {}) == Settings()
    assert is_loopback(Settings().host)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    """The order of the sources, one setting for each step."""
    file = write(tmp_path, "port = 1\nthreads = 1\nkv_cache_mib = 100")
    settings = load({"config": file, "port": "3"}, {"ANTIPHON_PORT": "2", "ANTIPHON_THREADS": "2"})

    assert (settings.port, settings.threads, settings.kv_cache_mib) == (3, 2, 100)
    assert settings.max_choices == Settings().max_choices


def test_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    """`ANTIPHON_CONFIG`, unless a flag names another."""
    assert load({}, {"ANTIPHON_CONFIG": write(tmp_path, "port = 1")}).port == 1


def test_empty_variables_count_as_absent() -> None:
    """As in a compose file with an unset variable."""
    assert load({}, {"ANTIPHON_PORT": "", "ANTIPHON_API_KEY": ""}) == Settings()


def test_texts_become_the_type_of_the_setting() -> None:
    """Numbers, truth values and comma-separated lists."""
    environment = {
        "ANTIPHON_DRAIN_S": "1.5",
        "ANTIPHON_STRICT_FIELDS": "true",
        "ANTIPHON_ALIAS": "one, two",
        "ANTIPHON_LOG_FORMAT": "json",
    }
    settings = load({}, environment)

    assert (settings.drain_s, settings.strict_fields) == (1.5, True)
    assert (settings.alias, settings.log_format) == (("one", "two"), "json")


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ({"port": "70000"}, {}, "--port: expected an integer from 0 to 65535"),
        ({}, {"ANTIPHON_THREADS": "-1"}, "ANTIPHON_THREADS: expected an integer of at least 0"),
        ({"engine": "gpu"}, {}, "--engine: expected one of openvino, ray, vllm, fake"),
        ({"drain_s": "soon"}, {}, "--drain-s: expected a number of at least 0"),
        ({"drain_s": "nan"}, {}, "--drain-s: expected a number of at least 0"),
        ({}, {"ANTIPHON_STRICT_FIELDS": "perhaps"}, "ANTIPHON_STRICT_FIELDS: expected true or false"),
        ({"api_key_file": "absent"}, {}, "api_key_file: absent cannot be read"),
        ({"autoscale": "8"}, {}, "autoscale: expected LEAST:MOST, such as 1:8"),
        ({"autoscale": "0:8"}, {}, "autoscale: expected LEAST:MOST, such as 1:8"),
        ({"autoscale": "3:2"}, {}, "autoscale: expected LEAST:MOST, such as 1:8"),
        ({"autoscale": "1:8", "replicas": "2"}, {}, "autoscale: give it or replicas, not both"),
        ({}, {"ANTIPHON_API_KEY": "two words"}, "api_key: a key is printable ASCII without spaces"),
        ({"url": "http://127.0.0.1:1"}, {}, "url: only for the engine vllm"),
        ({"engine": "vllm", "url": "127.0.0.1:1"}, {}, "url: a URL begins with http:// or https://"),
        ({"engine": "vllm", "vllm_arg": ["tensor_parallel_size"]}, {}, "vllm_arg: tensor_parallel_size is"),
        ({"engine": "vllm", "vllm_arg": ["a=1"]}, {"ANTIPHON_ENGINE_URL": "http://h"}, "vllm_arg: the vLLM"),
    ],
)
def test_wrong_values_name_their_source(
    flags: dict[str, object], environment: dict[str, str], message: str
) -> None:
    """One line: where the value came from and what would be right."""
    with pytest.raises(ConfigError) as caught:
        load(flags, environment)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_replicas_are_a_number_or_bounds() -> None:
    """The bounds of a fixed number are that number."""
    assert load({"replicas": "3"}, {}).replica_bounds == (3, 3)
    assert load({"autoscale": "1:8"}, {}).replica_bounds == (1, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "there is no setting named 'prot'; did you mean port?"),
        ('port = "8000"', "port: expected an integer from 0 to 65535"),
        ('alias = "one"', "alias: expected a list of texts"),
        ("port 1", "cannot be read as a settings file"),
        ("temperature = 0.5", "temperature is a key of the tables [models.NAME]"),
        ("nothing_like_it = 1", "`antiphon config show` lists them"),
        (
            "[models.a]\ntemprature = 0.5",
            "[models.a]: there is no key named 'temprature'; did you mean temperature?",
        ),
        ("[models.a]\nxyz = 1", "[models.a]: there is no key named 'xyz'; known: model, alias"),
        ("[models.a]\ntemperature = 3.0", "[models.a]: Expected `float` <= 2.0 - at `$.temperature`"),
        ("models = 3", "models: expected tables [models.NAME]"),
    ],
)
def test_wrong_files_name_themselves_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    """A file has types of its own: a text is no number there."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load({"config": path}, {})

    assert str(caught.value).startswith(path)
    assert message in str(caught.value)


def test_file_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    """Once named, and without the number of the error."""
    path = str(tmp_path / "none.toml")
    with pytest.raises(ConfigError) as caught:
        load({"config": path}, {})

    assert str(caught.value) == f"{path}: cannot be read as a settings file: No such file or directory"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_listening_beyond_loopback_needs_a_key_or_a_word(host: str) -> None:
    """Nobody opens a server to the network by accident."""
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        load({"host": host}, {})

    assert load({"host": host, "insecure_no_auth": True}, {}).host == host
    assert load({"host": host}, {"ANTIPHON_API_KEY": "sk-1"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """Every way to say "this machine"."""
    assert load({"host": host}, {}).api_key == ()


def test_keys_come_from_environment_and_file_together(tmp_path: Path) -> None:
    """Blank lines in the file do not count."""
    (tmp_path / "keys").write_text("sk-2\n\n sk-3 \n")
    settings = load({"api_key_file": str(tmp_path / "keys")}, {"ANTIPHON_API_KEY": "sk-0,sk-1"})

    assert settings.api_key == ("sk-0", "sk-1", "sk-2", "sk-3")


def test_key_file_without_keys_is_refused(tmp_path: Path) -> None:
    """An empty file would silently mean: no key needed."""
    (tmp_path / "keys").write_text("\n")
    with pytest.raises(ConfigError, match="holds no key"):
        load({"api_key_file": str(tmp_path / "keys")}, {})


def test_keys_are_not_shown_with_the_settings() -> None:
    """Settings that end up in a log line must not carry the keys there."""
    assert "sk-secret" not in repr(load({}, {"ANTIPHON_API_KEY": "sk-secret"}))


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "app.example", "https://app.example/", "https://App.example", "https://*.example", ""],
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    """It would match nothing, or everything."""
    with pytest.raises(ConfigError, match="allow_origin"):
        load({"allow_origin": [origin]}, {})


def test_origins_are_taken_as_browsers_write_them() -> None:
    """Ports and other schemes are part of them."""
    origins = ("https://app.example", "http://localhost:3000", "app://obsidian.md")

    assert load({"allow_origin": list(origins)}, {}).allow_origin == origins


def test_aliases_can_be_added_and_the_default_ones_removed() -> None:
    """`alias` adds; `default_aliases` switches the rest."""
    named = {"model": "m.gguf", "alias": ["mine"]}
    assert aliases(load(named, {})) == (*DEFAULT_ALIASES, "mine")
    assert aliases(load(named | {"default_aliases": False}, {})) == ("mine",)


def test_model_of_the_catalogue_answers_to_the_name_it_has_there(tmp_path: Path) -> None:
    """Each of several; one that a table names does not, so that two tables may have one model."""
    assert aliases(load({}, {})) == (*DEFAULT_ALIASES, DEFAULT_MODEL)
    models = load({"model": ["m.gguf", "gemma3-270m"]}, {}).wanted_models
    assert [model.settings.alias for model in models] == [DEFAULT_ALIASES, ("gemma3-270m",)]

    tables = f'[models.a]\nmodel = "{DEFAULT_MODEL}"\n[models.b]\nmodel = "{DEFAULT_MODEL}"'
    models = load({"config": write(tmp_path, tables)}, {}).wanted_models
    assert [model.settings.alias for model in models] == [DEFAULT_ALIASES, ()]


TABLES = """
[models.small]
model = "smollm2-135m"
alias = ["gpt-4o-mini"]
[models."big.one"]
model = "/models/big.gguf"
alias = ["gpt-4o"]
temperature = 0.5
top_k = 20
max_tokens = 100
kv_cache_mib = 256
system_prompt = "Be brief."
"""


def test_several_models_by_flags_variables_and_file(tmp_path: Path) -> None:
    """A single one may be written as a text."""
    assert load({"model": ["a", "b"]}, {}).model == ("a", "b")
    assert load({}, {"ANTIPHON_MODEL": "a, b"}).model == ("a", "b")
    assert load({"config": write(tmp_path, 'model = ["a", "b"]')}, {}).model == ("a", "b")
    assert load({"config": write(tmp_path, 'model = "a"')}, {}).model == ("a",)


def test_tables_are_models_with_names_and_settings_of_their_own(tmp_path: Path) -> None:
    """All of them are served, in their order."""
    settings = load({"config": write(tmp_path, TABLES)}, {})
    small, big = settings.wanted_models

    assert settings.model == ("small", "big.one")
    assert (small.name, small.settings.model) == ("small", "smollm2-135m")
    assert (big.name, big.settings.model, big.settings.alias) == ("big.one", "/models/big.gguf", ("gpt-4o",))
    assert (big.settings.temperature, big.settings.top_k, big.settings.max_tokens) == (0.5, 20, 100)
    assert gather({"config": write(tmp_path, TABLES)}, {})["model"].source.endswith("antiphon.toml")


def test_named_models_choose_among_the_tables(tmp_path: Path) -> None:
    """What is in no table is named as ever; a table without `model` is one for the model of its name."""
    file = write(tmp_path, TABLES + "[models.smollm2-135m]\ntop_p = 0.5")
    big, other, plain = load({"config": file, "model": ["big.one", "smollm2-135m", "x"]}, {}).wanted_models

    assert (big.name, other.name, plain.name) == ("big.one", "smollm2-135m", "")
    assert (other.settings.model, other.settings.top_p) == ("smollm2-135m", 0.5)
    assert plain.settings == ModelSettings(model="x")


def test_default_aliases_are_the_first_models_unless_another_has_them(tmp_path: Path) -> None:
    """An alias that was given wins over one that was not."""
    file = write(tmp_path, TABLES)
    assert aliases(load({"config": file}, {})) == DEFAULT_ALIASES
    assert aliases(load({"config": file, "model": ["big.one", "small"]}, {})) == (
        DEFAULT_ALIASES[1],
        "gpt-4o",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.m]\nsystem_prompt = 1", "[models.m]: Expected `str`, got `int` - at `$.system_prompt`"),
        ("model = []", "model: none is named"),
        ('model = ["a", "a"]', "model: one is named twice"),
        ('model = ["a", "b"]\nchat_template = "x"', "chat_template: with several models"),
        ('model = ["a", "b"]\nengine = "ray"', "model: the engine ray serves one model"),
        ('[models.a]\nalias = ["x"]\n[models.b]\nalias = ["x"]', "alias: 'x' is given to a and to b"),
        (
            'model = ["a", "gemma3-270m"]\n[models.a]\nalias = ["gemma3-270m"]',
            "alias: 'gemma3-270m' is given to a and to gemma3-270m",
        ),
    ],
)
def test_wrong_models_are_told_before_any_is_fetched(tmp_path: Path, text: str, message: str) -> None:
    """Also what is wrong with several at once."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        load({"config": write(tmp_path, text)}, {})


def test_every_setting_has_a_help_text_and_secrets_have_no_flag() -> None:
    """What documentation and `--help` are made of."""
    settings = describe_settings()

    assert all(setting.help and setting.allowed for setting in settings)
    assert [setting.name for setting in settings if setting.flag is None] == [
        "models",
        "api_key",
        "engine_key",
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:***@h:5432/d"),
        (
            "postgresql://u@h/d?password=secret&sslmode=require",
            "postgresql://u@h/d?password=***&sslmode=require",
        ),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
        ("/data/a:b.db", "/data/a:b.db"),
    ],
)
def test_password_of_a_database_is_not_shown(url: str, shown: str) -> None:
    """Settings end up in logs and bug reports."""
    assert Settings(store=url).shown("store") == shown
    assert "secret" not in repr(Settings(store=url))


def test_each_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    """Flag, variable, file, default: in this order."""
    file = tmp_path / "a.toml"
    file.write_text('port = 1\nthreads = 2\nhost = "::1"\n')
    given = gather({"port": "3", "config": str(file)}, {"ANTIPHON_THREADS": "4", "ANTIPHON_PORT": "5"})

    assert given["port"] == Given(3, "--port")
    assert given["threads"] == Given(4, "ANTIPHON_THREADS")
    assert given["host"] == Given("::1", str(file))
    assert given["alias"] == Given((), "default")


def test_variables_that_are_no_settings_are_found() -> None:
    """With what was perhaps meant; others are nobody's business."""
    environ = {
        "ANTIPHON_PROT": "1",
        "ANTIPHON_ZZZ": "1",
        "ANTIPHON_PORT": "1",
        "ANTIPHON_CONFIG": "",
        "HOME": "",
    }

    assert unknown_variables(environ) == {"ANTIPHON_PROT": "ANTIPHON_PORT", "ANTIPHON_ZZZ": None}


def test_key_of_the_commands_is_ours_before_that_of_other_clients() -> None:
    """And a placeholder where there is none."""
    assert client_key({"ANTIPHON_API_KEY": "one, two", "OPENAI_API_KEY": "three"}) == "one"
    assert client_key({"OPENAI_API_KEY": "three"}) == "three"
    assert client_key({}) == "any"


def test_hub_is_set_up_by_its_own_variables() -> None:
    """As its own tools are."""
    environ = {"HF_ENDPOINT": "http://mirror", "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "1"}

    assert hub_options(environ) == HubOptions("http://mirror", "hf_x", offline=True)
    assert hub_options({"HF_HUB_OFFLINE": "0"}) == HubOptions()


@pytest.mark.parametrize(
    ("endpoint", "environ", "wanted"),
    [
        ("", {}, False),
        ("http://127.0.0.1:4318", {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ("http://127.0.0.1:4318", {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_sent_where_somebody_said_so(endpoint: str, environ: dict[str, str], wanted: bool) -> None:
    """By the setting or by OpenTelemetry's own variables, which can also forbid it."""
    assert traces_wanted(Settings(otlp_endpoint=endpoint), environ) is wanted
