"""How a checkpoint's bytes spread over the devices of a replica."""

from __future__ import annotations

from freehold.api.architecture import ModelDescription
from freehold.api.scalars import quantity_bytes

# Embeddings stay in 16 bits in every quantised checkpoint of the catalogue.
_EMBEDDING_BYTES = 2


def stage_layers(layers: int, pipeline: int) -> list[int]:
    """Return the layers of each pipeline stage, as vLLM deals them out.

    What does not divide goes one each to the stages before the last, from the back
    (``vllm/distributed/utils.py: get_pp_indices``): the last stage also holds the output head.
    """
    stages = [layers // pipeline] * pipeline
    for i in range(2, layers % pipeline + 2):
        stages[-i] += 1
    return stages


def weights_per_device(model: ModelDescription, tensor: int, pipeline: int) -> float:
    """Return the bytes of weights on the fullest device of a replica.

    Tensor parallelism divides every matrix. Pipeline stages hold whole layers; the first also the
    input embedding, the last the output head. No surcharge: what vLLM reports after loading is
    the checkpoint (Meta's Llama 3.1 405B FP8, 462.0 GiB, took 57.75 GiB on each of 8 devices,
    vllm-project/vllm#6746).
    """
    total = quantity_bytes(model.checkpoint.size)
    if pipeline == 1:
        return total / tensor
    embedding = min(model.vocabulary_size * model.hidden_size * _EMBEDDING_BYTES, total / 4)
    in_layers = total - embedding * (1 if model.tied_embeddings else 2)
    stages = [
        _stage_bytes(model, count, in_layers) for count in stage_layers(model.layers, pipeline)
    ]
    stages[0] += embedding
    stages[-1] += embedding
    return max(stages) / tensor


def _stage_bytes(model: ModelDescription, layers: int, in_layers: float) -> float:
    """Return the bytes of a stage of so many layers, with its share of the mixture layers."""
    mixtures = model.experts.layers if model.experts else 0
    dense, mixture = _layer_parameters(model)
    unit = in_layers / (mixture * mixtures + dense * (model.layers - mixtures))
    here = min(layers, -(-mixtures * layers // model.layers))
    return unit * (mixture * here + dense * (layers - here))


def _layer_parameters(model: ModelDescription) -> tuple[float, float]:
    """Return the parameters of a dense and of a mixture layer; only their ratio matters."""
    width = model.attention_heads + model.key_value_heads
    attention = 2.0 * model.hidden_size * model.head_dim * width
    dense = attention + 3.0 * model.hidden_size * model.intermediate_size
    if model.experts is None:
        return dense, 0.0
    experts = model.experts.count + model.experts.shared
    mixture = attention + 3.0 * model.hidden_size * model.experts.intermediate_size * experts
    return dense, mixture
