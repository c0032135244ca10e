"""Reads from a config.json in which number format the weights are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from freehold.api.architecture import Checkpoint, Precision
from freehold.api.faults import Fault
from freehold.sources.config_fields import ConfigFields

PRECISIONS: tuple[str, ...] = get_args(Precision)
_METHODS = "fp8, fbgemm_fp8, compressed-tensors, modelopt, mxfp4, awq, gptq, quark, bitsandbytes"
_PLAIN = ("bfloat16", "float16", "float32")
_QUARK = {"fp8_e4m3": "fp8", "int8": "int8", "int4": "int4", "uint4": "int4", "fp4": "mxfp4"}


@dataclass(frozen=True, slots=True)
class Format:
    """The number format of the linear layers' weights.

    Attributes:
        precision: One of the API's precisions.
        method: The engine's name for the method; None for plain weights.
        block: Rows and columns that share a scale; None where scales are coarser or per group.
    """

    precision: Precision
    method: str | None = None
    block: int | None = None


def checkpoint(
    config: Mapping[str, Any], fields: ConfigFields, weight_bytes: int, where: str
) -> Checkpoint | Fault:
    """Return the stored weights, or the fault of a format that cannot be planned."""
    quantization = config.get("quantization_config") or fields.get("quantization_config")
    if isinstance(quantization, Mapping):
        found = _quantized(quantization)
        if found is None:
            told = _told(quantization)
            allowed = f"one of {_METHODS}, in 4 or 8 bits"
            return Fault(f"{where}: quantization_config", told, allowed)
        return _checkpoint(weight_bytes, found)
    dtype = config.get("dtype") or config.get("torch_dtype") or fields.get("dtype", "torch_dtype")
    kind = str(dtype or "bfloat16").removeprefix("torch.")
    if kind not in (*_PLAIN, "auto"):
        return Fault(f"{where}: dtype", repr(kind), ", ".join(_PLAIN))
    # The engine loads a 32-bit checkpoint in 16 bits (vLLM's `dtype: auto`), so half the bytes
    # of the files are what a device will hold.
    size = -(-weight_bytes // 2) if kind == "float32" else weight_bytes
    return _checkpoint(size, Format("bf16"))


def _checkpoint(size: int, form: Format) -> Checkpoint:
    return Checkpoint(
        size=str(size),
        precision=form.precision,
        quantization=form.method,
        block_size=form.block,
    )


def _told(quantization: Mapping[str, Any]) -> str:
    names = ("quant_method", "quant_algo", "bits", "format")
    told = [f"{name} {quantization[name]!r}" for name in names if name in quantization]
    return ", ".join(told) or "no quant_method"


def _quantized(quantization: Mapping[str, Any]) -> Format | None:
    """Return the format that a quantization_config tells, or None where it is not known."""
    method = str(quantization.get("quant_method", "")).lower()
    if method in ("fp8", "fbgemm_fp8"):
        return Format("fp8", method, _block(quantization.get("weight_block_size")))
    if method == "compressed-tensors":
        return _compressed_tensors(quantization)
    if method.startswith("modelopt") or "quant_algo" in quantization:
        return _modelopt(quantization)
    if method in ("mxfp4", "gpt_oss_mxfp4"):
        return Format("mxfp4", method)
    if method == "quark":
        return _quark(quantization)
    return _integer(method, quantization)


def _block(size: Any) -> int | None:
    whole = isinstance(size, list) and all(type(n) is int and n > 0 for n in size)
    return max(size) if whole and size else None


def _integer(method: str, quantization: Mapping[str, Any]) -> Format | None:
    """Return the format of the methods that store whole numbers of so many bits."""
    if method == "bitsandbytes":
        # The format's own default is 8 bits unless 4 are switched on.
        four = quantization.get("load_in_4bit") or quantization.get("_load_in_4bit")
        return Format("int4" if four else "int8", method)
    bits = quantization.get("bits", quantization.get("w_bit"))
    if method in ("auto-round", "intel/auto-round"):
        method = "inc"
    if method not in ("awq", "gptq", "inc") or bits not in (4, 8):
        return None
    return Format("int4" if bits == 4 else "int8", method)


def _compressed_tensors(quantization: Mapping[str, Any]) -> Format | None:
    method = "compressed-tensors"
    groups = quantization.get("config_groups")
    found = [
        group["weights"]
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping) and isinstance(group.get("weights"), Mapping)
    ]
    if not found:
        # Only the KV cache is quantised: the weights are plain.
        return Format("bf16", method)
    # With several groups the narrowest asks most of a device.
    weights = min(found, key=lambda w: (w.get("num_bits") or 16, w.get("type") != "float"))
    block = _block(weights.get("block_structure")) if weights.get("strategy") == "block" else None
    kind = (weights.get("type", "int"), weights.get("num_bits"))
    if kind == ("float", 4):
        is_mx = "mxfp4" in str(quantization.get("format")) or weights.get("group_size") == 32
        return Format("mxfp4" if is_mx else "nvfp4", method)
    known: dict[Any, Precision] = {("float", 8): "fp8", ("int", 8): "int8", ("int", 4): "int4"}
    return Format(known[kind], method, block) if kind in known else None


def _modelopt(quantization: Mapping[str, Any]) -> Format | None:
    """Return the format of NVIDIA's Model Optimizer, from a config.json or hf_quant_config.json."""
    algorithm = str(quantization.get("quant_algo") or "").upper()
    if algorithm in ("MIXED_PRECISION", ""):
        return _modelopt_mixed(quantization, algorithm)
    if "MXFP8" in algorithm:
        return Format("fp8", "modelopt_mxfp8")
    if "FP4" in algorithm:
        return Format("nvfp4", "modelopt_fp4")
    return Format("fp8", "modelopt") if "FP8" in algorithm else None


def _modelopt_mixed(quantization: Mapping[str, Any], algorithm: str) -> Format | None:
    if not algorithm:
        # Only the KV cache is quantised: the weights are plain.
        return Format("bf16", "modelopt")
    layers = str(quantization.get("quantized_layers", "")).upper()
    return Format("nvfp4" if "FP4" in layers else "fp8", "modelopt_mixed")


def _quark(quantization: Mapping[str, Any]) -> Format | None:
    settings = quantization.get("global_quant_config")
    weight = settings.get("weight") if isinstance(settings, Mapping) else None
    kind = weight.get("dtype") if isinstance(weight, Mapping) else None
    precision = _QUARK.get(str(kind))
    return next((Format(p, "quark") for p in get_args(Precision) if p == precision), None)
