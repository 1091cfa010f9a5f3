"""The image and the manifests under deploy/ are valid, and ask the server for what it has."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import kubernetes_validate
import pytest
import yaml

from antiphon import __version__
from antiphon.config import load, unknown_variables
from antiphon.settings import Settings
from antiphon.telemetry.metrics import METRICS
from tests.free_port import free_port
from tests.live.server_process import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETS = {"node": ("common", "node", "monitoring"), "ray": ("common", "ray", "monitoring")}
"""Files that are applied together."""
KUBERNETES = ("1.29", "1.37")
CUSTOM = {"RayCluster", "ServiceMonitor"}
"""Kinds that Kubernetes itself does not know."""
LAST_WORDS_S = 5

Document = dict[str, Any]


def documents(*names: str) -> list[Document]:
    """Every document of these files."""
    texts = [(DEPLOY / "kubernetes" / f"{name}.yaml").read_text() for name in names]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def of_kind(kind: str, *names: str) -> list[Document]:
    """The documents of one kind."""
    return [document for document in documents(*names) if document["kind"] == kind]


def pod_templates(*names: str) -> Iterator[Document]:
    """What pods are made from, wherever it stands."""
    for document in documents(*names):
        if document["kind"] == "Deployment":
            yield document["spec"]["template"]
        if document["kind"] == "RayCluster":
            spec = document["spec"]
            yield from (group["template"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]))


def api_pod(name: str) -> Document:
    """The pod of the API of one set."""
    (deployment,) = of_kind("Deployment", name)
    pod: Document = deployment["spec"]["template"]["spec"]
    return pod


def server(name: str) -> Document:
    """Its container."""
    (container,) = api_pod(name)["containers"]
    return dict(container)


def arguments(name: str) -> list[str]:
    """What follows `antiphon serve` in it."""
    container = server(name)
    if "command" in container:
        _, _, command = container["args"][0].partition("exec antiphon ")
        return shlex.split(command)[1:]
    assert container["args"][0] == "serve"
    return list(container["args"][1:])


def settings(name: str) -> Settings:
    """What the server makes of its flags and variables."""
    flags: dict[str, object] = {}
    for argument in arguments(name):
        flag, _, value = argument.partition("=")
        setting = flag.removeprefix("--").replace("-", "_") if flag != argument else "model"
        flags[setting] = [value] if setting == "allow_host" else value or argument
    return load(flags, {name: _sample(name) for name in variables(name)})


def variables(name: str) -> list[str]:
    """The variables of the container."""
    return [variable["name"] for variable in server(name)["env"]]


def _sample(variable: str) -> str:
    """A value of the right kind, where the manifest only says where it comes from."""
    return {"ANTIPHON_THREADS": "4", "ANTIPHON_STORE": "postgresql://u@h/d"}.get(variable, "k")


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["common", "node", "ray"])
def test_documents_are_what_kubernetes_takes(name: str, version: str) -> None:
    """By its own schemas, without a key that it does not know; the pods of custom kinds too."""
    known = [document for document in documents(name) if document["kind"] not in CUSTOM]
    templates = [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "p"}, "template": template}
        for template in pod_templates(name)
    ]
    for document in (*known, *templates):
        kubernetes_validate.validate(document, version, strict=True)


def test_cluster_is_what_kuberay_takes() -> None:
    """By the schema of its operator, without a key that it does not know."""
    schema = json.loads((ROOT / "tests" / "data" / "kuberay-raycluster.json").read_text())
    (cluster,) = of_kind("RayCluster", "ray")
    jsonschema.validate(cluster, schema)
    cluster["spec"]["headGroupSpec"]["rayStartParam"] = {}

    with pytest.raises(jsonschema.ValidationError, match="rayStartParam"):
        jsonschema.validate(cluster, schema)


@pytest.mark.parametrize("name", SETS)
def test_settings_are_ones_the_server_takes(name: str) -> None:
    """Every flag and variable is one of its own, and the whole is safe to listen with."""
    own = settings(name)
    ports = {port["name"]: port["containerPort"] for port in server(name)["ports"]}

    assert ports == {"http": own.port, "metrics": own.metrics_port}
    assert (own.host, own.metrics_host) == ("0.0.0.0", "0.0.0.0")
    assert own.api_key
    assert unknown_variables(dict.fromkeys(variables(name), "")) == {}
    assert {service["metadata"]["name"] for service in of_kind("Service", "common")} <= set(own.allow_host)


@pytest.mark.live
@pytest.mark.parametrize("name", SETS)
def test_probed_routes_and_metrics_answer(name: str, tmp_path: Path) -> None:
    """A server with the manifest's flags, but the fake engine, on loopback and with no database."""
    port = free_port()
    kept = [a for a in arguments(name) if re.match("--(allow-host|drain-s|log-format|kv-cache-mib)=", a)]
    here = ["--engine", "fake", "--metrics-host", "127.0.0.1", "--metrics-port", str(port)]
    container = server(name)
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    (monitor,) = of_kind("ServiceMonitor", "monitoring")
    (endpoint,) = monitor["spec"]["endpoints"]
    with running(tmp_path, *kept, *here, ANTIPHON_API_KEY="k") as process:
        answers = [httpx.get(process.origin + probe["path"]).status_code for probe in probes]
        named = httpx.get(f"{process.origin}/health/live", headers={"Host": "antiphon"}).status_code
        metrics = httpx.get(f"http://127.0.0.1:{port}{endpoint['path']}").text

    assert (answers, named) == ([200] * 3, 200)
    assert {probe["port"] for probe in probes} == {"http"}
    assert 'vllm:num_requests_waiting{model_name="fake"} 0.0' in metrics.splitlines()


@pytest.mark.parametrize("name", SETS)
def test_pods_are_given_the_time_to_drain(name: str) -> None:
    """The time before the signal, the drain time, and what cut answers get, fit into Kubernetes' patience."""
    _, seconds = server(name)["lifecycle"]["preStop"]["exec"]["command"]
    needed = int(seconds) + settings(name).drain_s + LAST_WORDS_S

    assert api_pod(name)["terminationGracePeriodSeconds"] >= needed


@pytest.mark.parametrize("name", SETS)
def test_pods_have_no_rights_that_they_do_not_need(name: str) -> None:
    """Every one of them, whoever makes it."""
    for template in pod_templates(name):
        spec = template["spec"]
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"].keys() == {"requests", "limits"}
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("name", SETS)
def test_names_that_documents_use_of_each_other_exist(name: str) -> None:
    """Labels that are selected, claims, ports."""
    labels = [template["metadata"]["labels"] for template in pod_templates(name)]
    claims = {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim", name)}
    ports = {port["name"] for port in server(name)["ports"]}

    for document in documents(*SETS[name]):
        spec = document["spec"]
        if document["kind"] == "ServiceMonitor":
            (service,) = of_kind("Service", "common")
            assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            assert {e["port"] for e in spec["endpoints"]} <= {p["name"] for p in service["spec"]["ports"]}
        elif selector := spec.get("selector", spec.get("podSelector")):
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= each.items() for each in labels), document["metadata"]
        if document["kind"] == "Service":
            assert {port["targetPort"] for port in spec["ports"]} <= ports
    for volume in api_pod(name)["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_volumes_are_where_the_image_writes() -> None:
    """Models in the cache folder, stored completions in the data folder."""
    image = dict(re.findall(r"(XDG_\w+)=(\S+)", dockerfile()))
    mounts = {mount["name"]: mount["mountPath"] for mount in server("node")["volumeMounts"]}

    assert mounts == {"models": image["XDG_CACHE_HOME"], "store": image["XDG_DATA_HOME"], "tmp": "/tmp"}
    for template in pod_templates("node", "ray"):
        assert f"--uid {template['spec']['securityContext']['runAsUser']} " in dockerfile()
        for container in template["spec"]["containers"]:
            assert container["image"].startswith(f"antiphon:{__version__}")


def test_ray_workers_are_as_large_as_an_engine_and_as_many_as_are_asked_for() -> None:
    """KubeRay tells Ray of as many cores as the limit says."""
    (cluster,) = of_kind("RayCluster", "ray")
    (workers,) = cluster["spec"]["workerGroupSpecs"]
    (worker,) = workers["template"]["spec"]["containers"]
    own = settings("ray")

    assert own.engine == "ray"
    assert (workers["minReplicas"], workers["maxReplicas"]) == own.replica_bounds
    assert int(worker["resources"]["limits"]["cpu"]) == own.threads
    assert int(worker["resources"]["limits"]["memory"].removesuffix("Gi")) << 10 > own.kv_cache_mib * 1.5
    assert f"--address={cluster['metadata']['name']}-head-svc:6379 --num-cpus=0 " in server("ray")["args"][0]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= set(variables("ray"))
    lock = (ROOT / "requirements" / "ray.txt").read_text()
    assert f"\nray=={cluster['spec']['rayVersion']} " in lock
    assert "\nasyncpg==" in lock


def test_names_in_the_guide_are_served() -> None:
    """The metrics and the files that it speaks of."""
    guide = (ROOT / "docs" / "guides" / "kubernetes.md").read_text()
    names = {metric.name for metric in METRICS}
    told = set(re.findall(r"`((?:vllm:|antiphon_)\w+)`", guide)) - {"vllm:cache_config_info"}

    assert {name for name in names if name.startswith("vllm:")} < told <= names
    assert all((ROOT / path).is_file() for path in re.findall(r"deploy/[\w/]+\.yaml", guide))


def dockerfile() -> str:
    """The recipe of the image."""
    return (DEPLOY / "Dockerfile").read_text()


def test_image_copies_and_runs_what_there_is() -> None:
    """Its files exist and its command is one of ours."""
    for sources in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile(), re.MULTILINE):
        for source in sources.replace("${LOCK}", "runtime").split():
            assert (ROOT / source).exists(), source
    for lock in re.findall(r"LOCK=(\w+)", dockerfile()):
        assert (ROOT / "requirements" / f"{lock}.txt").is_file()
    assert 'CMD ["serve", "--host", "0.0.0.0"]' in dockerfile()


@pytest.mark.skipif(
    shutil.which("hadolint", path=str(Path(sys.executable).parent)) is None,
    reason="the linter has no wheel for this machine",
)
def test_image_passes_a_linter() -> None:
    """hadolint, all of its rules."""
    lint = [Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile"]
    run = subprocess.run(lint, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout) == (0, "")
