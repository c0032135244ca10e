"""Questions for the planner, from the catalogue or made up."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.architecture import (
    Checkpoint,
    Experts,
    LatentAttention,
    LocalAttention,
    ModelDescription,
)
from freehold.api.modeldeployment import Parallelism, Workload
from freehold.catalog.builtin import builtin_catalog
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.plan import NoPlan, Plan, Rejection
from freehold.plan.planner import Option, Question, make_plan

CATALOG = builtin_catalog()
CLASSES = sorted(CATALOG.classes)


def known(repository: str) -> ModelDescription:
    found = CATALOG.model(repository)
    assert found is not None, repository
    return found.description


def accelerator(name: str) -> Accelerator:
    found = resolve_class(name, CATALOG.classes, "accelerator")
    assert isinstance(found, Accelerator), found
    return found


def a_class(name: str, **spec: Any) -> AcceleratorClass:
    """Return a user's class; ``spec`` in the names of YAML."""
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "AcceleratorClass",
        "metadata": {"name": name},
        "spec": spec,
    }
    return AcceleratorClass.model_validate_json(json.dumps(data))


def made_up(
    memory_mib: int, devices: tuple[int, ...] = (8,), fast: bool = True, vendor: str = "nvidia"
) -> Accelerator:
    """Return an accelerator that can do everything and has so much memory."""
    formats = ["bf16", "fp8", "mxfp4", "nvfp4", "int8", "int4-weights", "fp8-kv"]
    spec = {
        "vendor": vendor,
        "memory": f"{memory_mib}Mi",
        "features": formats,
        "interconnect": {"type": "Link", "fast": fast},
        "nodeShapes": [{"name": f"n{n}", "provider": "onprem", "devices": n} for n in devices],
    }
    found = resolve_class("made-up", {"made-up": a_class("made-up", **spec)}, "accelerator")
    assert isinstance(found, Accelerator), found
    return found


def ask(
    model: ModelDescription | str,
    on: Accelerator | str,
    *,
    context: int | None = None,
    workload: tuple[int, int, int] | None = None,
    split: tuple[int, int] | None = None,
    **settings: Any,
) -> Question:
    """Return the question of one model on one accelerator.

    ``workload`` is requests, prompt and output tokens; ``split`` tensor and pipeline parallel.
    """
    description = known(model) if isinstance(model, str) else model
    device = accelerator(on) if isinstance(on, str) else on
    pinned = Parallelism(tensor=split[0], pipeline=split[1]) if split else None
    load = None
    if workload:
        requests, prompt, output = workload
        load = Workload(concurrent_requests=requests, prompt_tokens=prompt, output_tokens=output)
    options = (Option("only", device, parallelism=pinned),)
    return Question(description, EngineSettings(**settings), context, load, options)


def the_plan(question: Question) -> Plan:
    answer = make_plan(question)
    assert isinstance(answer, Plan), answer.rejected[0].message
    return answer


def the_refusal(question: Question) -> Rejection:
    answer = make_plan(question)
    assert isinstance(answer, NoPlan), answer
    (rejection,) = answer.rejected
    return rejection


ALL_MODELS = [item.description for item in CATALOG.models.values()]
# Different descriptions only: many repositories share one.
MODELS = list({repr(item): item for item in ALL_MODELS}.values())


@st.composite
def experts(draw: st.DrawFn, layers: int) -> Experts:
    """Draw the mixture part of a model with so many layers."""
    return Experts(
        count=draw(st.integers(1, 384)),
        per_token=draw(st.integers(1, 8)),
        intermediate_size=128 * draw(st.integers(1, 64)),
        layers=draw(st.integers(1, layers)),
        shared=draw(st.integers(0, 2)),
    )


@st.composite
def architectures(draw: st.DrawFn) -> ModelDescription:
    """Draw a model that nobody has trained, of any size that could be."""
    layers = draw(st.integers(1, 130))
    kv_heads = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 10, 16]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 4, 5, 8, 16]))
    head_dim = draw(st.sampled_from([64, 80, 128, 192, 256]))
    return ModelDescription(
        layers=layers,
        hidden_size=draw(st.sampled_from([512, 2880, 4096, 5120, 8192, 16384])),
        attention_heads=heads,
        key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=128 * draw(st.integers(4, 420)),
        vocabulary_size=draw(st.integers(1000, 260_000)),
        tied_embeddings=draw(st.booleans()),
        max_context_length=draw(st.sampled_from([2048, 8192, 40_960, 131_072, 1_048_576])),
        latent_attention=draw(
            st.none() | st.just(LatentAttention(kv_lora_rank=512, rope_head_dim=64))
        ),
        local_attention=draw(
            st.none()
            | st.tuples(st.sampled_from([128, 512, 4096, 8192]), st.integers(1, layers)).map(
                lambda it: LocalAttention(window=it[0], layers=it[1])
            )
        ),
        experts=draw(st.none() | experts(layers)),
        checkpoint=Checkpoint(
            size=f"{draw(st.integers(64, 1_600_000))}Mi",
            precision=draw(st.sampled_from(["bf16", "fp8", "mxfp4", "nvfp4"])),
            block_size=draw(st.sampled_from([None, 128])),
        ),
    )


models = st.integers(0, len(MODELS) - 1).map(MODELS.__getitem__) | architectures()
memories = st.integers(8 * 1024, 300 * 1024)
nodes = st.sampled_from([(1,), (8,), (1, 2, 4, 8), (4,), (16,)])
contexts = st.integers(64, 1_048_576)
loads = st.none() | st.tuples(st.integers(1, 512), st.integers(1, 8000), st.integers(1, 2000))
