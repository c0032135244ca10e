"""The catalogue's data files: complete, free of unit mistakes, and as large as published."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CATALOG = ROOT / "operator" / "freehold" / "catalog"
GIB = 1 << 30

MODELS = yaml.safe_load((CATALOG / "models.yaml").read_text(encoding="utf-8"))
ARCHITECTURES: dict[str, dict[str, Any]] = {a["name"]: a for a in MODELS["architectures"]}
CHECKPOINTS: dict[str, dict[str, Any]] = {c["repository"]: c for c in MODELS["checkpoints"]}
CLASSES: dict[str, dict[str, Any]] = {
    d["metadata"]["name"]: d["spec"]
    for d in yaml.safe_load_all((CATALOG / "accelerators.yaml").read_text(encoding="utf-8"))
}
SHAPES = [(name, shape) for name, spec in CLASSES.items() for shape in spec["nodeShapes"]]

# Row of the table -> class: written out, so that a renamed or lost class is noticed.
ROWS = {
    "L4": "l4-24gb",
    "A10G": "a10g-24gb",
    "A100-40GB": "a100-40gb",
    "A100-80GB": "a100-80gb",
    "L40S": "l40s-48gb",
    "H100-80GB": "h100-80gb",
    "H100-NVL-94GB": "h100-nvl-94gb",
    "H200": "h200-141gb",
    "B200": "b200-180gb",
    "GB200": "gb200-186gb",
    "MI300X": "mi300x-192gb",
    "MI325X": "mi325x-256gb",
    "MI355X": "mi355x-288gb",
    "Gaudi3": "gaudi3-128gb",
    "TPU-v5e": "tpu-v5e-16gb",
    "TPU-v6e": "tpu-v6e-32gb",
    "Trainium2": "trainium2-96gb",
}
BESIDE_THE_TABLE = {"gh200-96gb", "rtx-pro-6000-96gb", "h800-80gb", "h20-96gb", "cpu"}

# GiB of weights as others publish them: Kaito's model catalogue (bf16 8B, 70B, distils, Gemma,
# DeepSeek, Mistral), a measurement in vllm#6746 (Meta's 405B FP8: 57.752 GiB on each of 8), and
# parameter counts of the model cards for the rest. Kaito's gpt-oss figures count every file twice.
PUBLISHED_GIB = {
    "meta-llama/Llama-3.1-8B-Instruct": 14.96,
    "meta-llama/Llama-Guard-3-8B": 14.96,
    "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8": 8.5,
    "meta-llama/Llama-3.3-70B-Instruct": 131.42,
    "neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8": 67.7,
    "meta-llama/Llama-3.1-405B-Instruct": 756.0,
    "meta-llama/Llama-3.1-405B-Instruct-FP8": 462.0,
    "neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8": 381.9,
    "nvidia/Llama-3.1-405B-Instruct-FP8": 381.9,
    "amd/Llama-3.1-405B-Instruct-FP8-KV": 381.9,
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": 748,
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8": 376,
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": 202,
    "nvidia/Llama-4-Scout-17B-16E-Instruct-FP8": 103,
    "Qwen/Qwen3-235B-A22B": 437.9,
    "Qwen/Qwen3-235B-A22B-FP8": 220,
    "deepseek-ai/DeepSeek-V3": 641.3,
    "deepseek-ai/DeepSeek-R1": 641.3,
    "openai/gpt-oss-120b": 60.8,
    "mistralai/Mistral-Large-3-675B-Instruct-2512": 634.70,
    "mistralai/Mistral-7B-Instruct-v0.3": 13.50,
    "google/gemma-3-4b-it": 8.01,
    "google/gemma-3-27b-it": 51.10,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": 27.51,
}
# KiB of bf16 KV cache that one token takes in all layers (DeepSeek: one rank, replicated).
PUBLISHED_KV_KIB = {
    "llama-3.1-8b": 128,
    "llama-3.1-70b": 320,
    "llama-3.1-405b": 504,
    "llama-4-maverick": 192,
    "llama-4-scout": 192,
    "qwen3-235b-a22b": 188,
    "gpt-oss-120b": 72,
    "deepseek-v3": 68.6,
}


def table() -> dict[str, dict[str, str]]:
    text = (ROOT / "hack" / "accelerators.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["name"]: row for row in csv.DictReader(lines)}


def mebibytes(spec: dict[str, Any]) -> int:
    match = re.fullmatch(r"([0-9]+)Mi", spec["memory"])
    assert match, spec["memory"]
    return int(match[1])


def test_generated_file_is_current() -> None:
    script = ROOT / "hack" / "generate_accelerators.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_row_has_a_class() -> None:
    assert set(table()) == set(ROWS)
    assert set(CLASSES) == set(ROWS.values()) | BESIDE_THE_TABLE


@pytest.mark.parametrize("row", ROWS)
def test_memory_is_what_the_table_calls_usable(row: str) -> None:
    usable = float(table()[row]["mem_gib_usable"]) * 1024
    assert mebibytes(CLASSES[ROWS[row]]) == pytest.approx(usable, rel=0.01)


@pytest.mark.parametrize(
    ("name", "label_mib"),
    [("h100-80gb", 81920), ("h200-141gb", 144384), ("a100-80gb", 81920), ("b200-180gb", 183359)],
)
def test_memory_never_exceeds_the_label(name: str, label_mib: int) -> None:
    """Karpenter labels the nominal size; the driver leaves less (H100: 81559 of 81920)."""
    assert mebibytes(CLASSES[name]) <= label_mib


@pytest.mark.parametrize("name", [n for n in CLASSES if n != "cpu"])
def test_memory_is_in_binary_units_of_the_nominal_size(name: str) -> None:
    """GB taken for MiB or GiB, or KiB for MiB, is off by far more than what a driver reserves."""
    nominal = int(name.rsplit("-", 1)[1].removesuffix("gb"))
    assert 0.92 <= mebibytes(CLASSES[name]) / 1024 / nominal <= 1.001


@pytest.mark.parametrize("name", CLASSES)
def test_bandwidths_are_in_gigabytes_per_second(name: str) -> None:
    spec = CLASSES[name]
    if name != "cpu":
        assert 200 <= spec["memoryBandwidth"] <= 10_000
        assert 30 <= spec["interconnect"]["bandwidth"] <= 2_000
    assert spec["interconnect"]["fast"] == (
        spec["interconnect"]["type"] not in ("PCIe", "NVLink-C2C")
    )


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("a100-80gb", {"fp8-weights", "fp8-kv"}, {"fp8", "nvfp4"}),
        ("l4-24gb", {"fp8"}, {"fp8-weights", "nvfp4"}),
        ("h100-80gb", {"fp8", "fp8-kv", "mxfp4-weights"}, {"nvfp4", "mxfp4"}),
        ("b200-180gb", {"fp8", "nvfp4", "mxfp4"}, set()),
        ("mi300x-192gb", {"fp8"}, {"nvfp4", "mxfp4"}),
        ("mi355x-288gb", {"fp8", "mxfp4"}, {"nvfp4"}),
        ("tpu-v6e-32gb", {"int8"}, {"fp8"}),
        ("cpu", {"bf16"}, {"fp8", "int8"}),
    ],
)
def test_features_follow_the_silicon(name: str, has: set[str], lacks: set[str]) -> None:
    features = CLASSES[name]["features"]
    assert len(features) == len(set(features))
    assert has <= set(features)
    assert not lacks & set(features)


@pytest.mark.parametrize("column", ["aws", "azure", "gcp", "oci"])
def test_prices_agree_with_the_table(column: str) -> None:
    """A node's price taken for a device's would be off by the number of devices."""
    compared = 0
    for row, name in ROWS.items():
        opening = re.match(r"[0-9.]+(?!.*\(A10)", table()[row][f"{column}_od_per_acc_hr"])
        amounts = [
            float(price["amount"])
            for shape in CLASSES[name]["nodeShapes"]
            for price in shape.get("prices", [])
            if shape["provider"] == column and price["purchase"] == "OnDemand"
        ]
        if opening:
            wanted = float(opening[0])
            assert any(a == pytest.approx(wanted, rel=0.01) for a in amounts), (row, amounts)
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[f"{n}/{s['name']}" for n, s in SHAPES])
def test_shapes_are_complete(name: str, shape: dict[str, Any]) -> None:
    assert shape["devices"] >= 1
    if name not in ("cpu", "gaudi3-128gb"):
        assert shape["nodeSelectorTerms"]
    for term in shape.get("nodeSelectorTerms", []):
        for one in term["matchExpressions"]:
            assert one["operator"] in ("In", "NotIn", "DoesNotExist")
            assert bool(one.get("values")) == (one["operator"] != "DoesNotExist")
            assert all(isinstance(value, str) for value in one.get("values", []))
        assert term["matchExpressions"][0]["operator"] == "In"
    for price in shape.get("prices", []):
        assert re.fullmatch(r"[0-9]+\.[0-9]{2,6}", price["amount"])
        assert price["asOf"] and price["region"] and price["currency"] == "USD"


@pytest.mark.parametrize("name", CLASSES)
def test_shape_names_are_unique_in_a_class(name: str) -> None:
    names = [shape["name"] for shape in CLASSES[name]["nodeShapes"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", one) for one in names)


def test_no_node_matches_two_classes() -> None:
    """One label set must not read as two accelerators, or capacity is counted twice."""
    owner: dict[tuple[tuple[str, str], ...], str] = {}
    for name, shape in SHAPES:
        for term in shape.get("nodeSelectorTerms", []):
            expressions = [e for e in term["matchExpressions"] if e["operator"] == "In"]
            for first in expressions[0]["values"]:
                rest = [(e["key"], "|".join(e["values"])) for e in expressions[1:]]
                key = ((expressions[0]["key"], first), *rest)
                assert owner.setdefault(key, name) == name, key


def test_only_x86_nvidia_classes_have_an_image() -> None:
    with_image = {name for name, spec in CLASSES.items() if "images" in spec}
    nvidia = {name for name, spec in CLASSES.items() if spec["vendor"] == "nvidia"}
    assert with_image == nvidia - {"gb200-186gb", "gh200-96gb"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_is_sane(name: str) -> None:
    shape = ARCHITECTURES[name]
    assert shape["source"]
    if "latentAttention" not in shape:
        assert shape["attentionHeads"] % shape["keyValueHeads"] == 0
    assert shape["headDim"] % 2 == 0
    assert shape["vocabularySize"] > 30_000
    assert shape["maxContextLength"] >= 8192
    if local := shape.get("localAttention"):
        assert 0 < local["layers"] <= shape["layers"]
        assert local["window"] < shape["maxContextLength"]
    if experts := shape.get("experts"):
        assert 0 < experts["perToken"] <= experts["count"]
        assert 0 < experts["layers"] <= shape["layers"]


@pytest.mark.parametrize("name", PUBLISHED_KV_KIB)
def test_shape_gives_the_published_kv_cache(name: str) -> None:
    shape = ARCHITECTURES[name]
    width = 2 * shape["keyValueHeads"] * shape["headDim"]
    if latent := shape.get("latentAttention"):
        width = latent["kvLoraRank"] + latent["ropeHeadDim"]
    kib = shape["layers"] * width * 2 / 1024
    assert kib == pytest.approx(PUBLISHED_KV_KIB[name], rel=0.005)


def expert_parameters(shape: dict[str, Any]) -> int:
    experts = shape["experts"]
    each = 3 * shape["hiddenSize"] * experts["intermediateSize"]
    return int(experts["layers"] * (experts["count"] + experts["shared"]) * each)


def linear_parameters(shape: dict[str, Any]) -> int:
    """Weights of attention (not MLA's, which is a few percent) and of the feed-forward parts."""
    experts = shape.get("experts")
    dense_layers = shape["layers"] - (experts["layers"] if experts else 0)
    total = 3 * dense_layers * shape["hiddenSize"] * shape["intermediateSize"]
    total += expert_parameters(shape) if experts else 0
    if "latentAttention" not in shape:
        heads = 2 * shape["attentionHeads"] + 2 * shape["keyValueHeads"]
        total += shape["layers"] * shape["hiddenSize"] * shape["headDim"] * heads
    return int(total)


# Room for what a method leaves in 16 bits: Meta's FP8 all of attention, NVIDIA's FP4 of DeepSeek
# attention and the multi-token-prediction layer; elsewhere vision towers and MLA.
LEFT_IN_16_BITS = {("fbgemm_fp8", "llama-3.1-405b"): 1.30, ("modelopt_fp4", "deepseek-v3"): 1.14}
BYTES = {"bf16": 2.0, "fp8": 1.0, "nvfp4": 0.5625, "mxfp4": 0.53125, "int4": 0.52}


@pytest.mark.parametrize("repository", CHECKPOINTS)
def test_size_follows_from_the_shape(repository: str) -> None:
    """Between what the linear layers alone take, and that plus all else in 16 bits."""
    checkpoint = CHECKPOINTS[repository]
    shape = ARCHITECTURES[checkpoint["architecture"]]
    linear = linear_parameters(shape)
    low = linear * BYTES[checkpoint["precision"]]
    embeddings = 2 * 2 * shape["vocabularySize"] * shape["hiddenSize"]
    method = (checkpoint.get("quantization", ""), checkpoint["architecture"])
    kept = LEFT_IN_16_BITS.get(method, 1.08)
    assert low * 0.99 <= checkpoint["weightBytes"] <= (low + embeddings) * kept + 2 * GIB


@pytest.mark.parametrize("repository", PUBLISHED_GIB)
def test_size_is_the_published_one(repository: str) -> None:
    size = CHECKPOINTS[repository]["weightBytes"] / GIB
    assert size == pytest.approx(PUBLISHED_GIB[repository], rel=0.02)


def test_parameters_of_llama_8b_are_exact() -> None:
    assert CHECKPOINTS["meta-llama/Llama-3.1-8B"]["weightBytes"] == 2 * 8_030_261_248


def text_parameters(shape: dict[str, Any]) -> int:
    """Exact parameter count of a text-only model with grouped-query attention."""
    family = shape["modelClass"]
    hidden, layers = shape["hiddenSize"], shape["layers"]
    norms = 4 if family.startswith("Gemma3") else 2
    small = norms * hidden
    if family.startswith(("Qwen3", "Gemma3")):
        small += 2 * shape["headDim"]  # query and key norms
    if family.startswith("Qwen2"):
        small += (shape["attentionHeads"] + 2 * shape["keyValueHeads"]) * shape["headDim"]
    if experts := shape.get("experts"):
        small += hidden * experts["count"]  # router
    matrices = 1 if shape["tiedEmbeddings"] else 2
    embeddings = matrices * shape["vocabularySize"] * hidden
    return int(linear_parameters(shape) + layers * small + hidden + embeddings)


TEXT_ONLY = [
    repository
    for repository, checkpoint in CHECKPOINTS.items()
    if checkpoint["precision"] == "bf16"
    and "ForCausalLM" in ARCHITECTURES[checkpoint["architecture"]]["modelClass"]
]


@pytest.mark.parametrize("repository", TEXT_ONLY)
def test_plain_size_is_exactly_two_bytes_a_parameter(repository: str) -> None:
    """To the byte, so that one wrong head count or width in a shape shows."""
    checkpoint = CHECKPOINTS[repository]
    shape = ARCHITECTURES[checkpoint["architecture"]]
    expected = {2 * text_parameters(shape)}
    if shape["tiedEmbeddings"]:  # some are stored with both copies
        expected.add(2 * (text_parameters(shape) + shape["vocabularySize"] * shape["hiddenSize"]))
    assert checkpoint["weightBytes"] in expected


def test_metas_fp8_is_not_the_all_linear_one() -> None:
    """Meta keeps attention in bf16: planning with 382 GiB would not fit what 382 GiB fits."""
    meta = CHECKPOINTS["meta-llama/Llama-3.1-405B-Instruct-FP8"]["weightBytes"]
    linear = CHECKPOINTS["neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8"]["weightBytes"]
    assert meta > 1.15 * linear


def test_names_and_repositories() -> None:
    assert len(ARCHITECTURES) == len(MODELS["architectures"])
    assert len(CHECKPOINTS) == len(MODELS["checkpoints"])
    assert len({repository.lower() for repository in CHECKPOINTS}) == len(CHECKPOINTS)
    for name in [*ARCHITECTURES, *CLASSES]:
        assert re.fullmatch(r"[a-z0-9.-]+", name)
    for repository in CHECKPOINTS:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", repository)


@pytest.mark.parametrize("repository", CHECKPOINTS)
def test_checkpoint_is_consistent(repository: str) -> None:
    checkpoint = CHECKPOINTS[repository]
    shape = ARCHITECTURES[checkpoint["architecture"]]
    assert checkpoint["source"].startswith(("read: ", "computed: "))
    assert ("quantization" in checkpoint) == (checkpoint["precision"] != "bf16")
    assert checkpoint.get("maxContextLength") != shape["maxContextLength"]
    meta_or_google = repository.startswith(("meta-llama/", "google/"))
    assert checkpoint.get("gated", False) == meta_or_google
    if block := checkpoint.get("blockSize"):
        widths = [shape["hiddenSize"], shape["intermediateSize"]]
        widths += [shape["experts"]["intermediateSize"]] if "experts" in shape else []
        assert all(width % block == 0 for width in widths)


def test_every_architecture_has_a_checkpoint() -> None:
    assert {c["architecture"] for c in CHECKPOINTS.values()} == set(ARCHITECTURES)
