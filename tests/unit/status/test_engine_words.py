"""Out of what an engine leaves behind when it dies, the one line that says why."""

from __future__ import annotations

import pytest

from freehold.status.engine_words import engine_words, telling_words

# As vLLM 0.29 and Ray 2.60 print them; paths shortened.
TOO_LONG = """Traceback (most recent call last):
  File "/site-packages/vllm/engine/arg_utils.py", line 1809, in create_model_config
    return ModelConfig(
           ^^^^^^^^^^^^
  File "/site-packages/pydantic/_internal/_dataclasses.py", line 121, in __init__
    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (4096) is greater than the derived max_model_len \
(max_position_embeddings=512.0 or model_max_length=None in model's config.json). \
[type=value_error, input_value=ArgsKwargs((), {'model': ...}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
BAD_DTYPE = """pydantic_core._pydantic_core.ValidationError: 2 validation errors for ModelConfig
dtype.literal['auto','half','float16','bfloat16','float','float32']
  Input should be 'auto', 'half', 'float16', 'bfloat16', 'float' or 'float32' \
[type=literal_error, input_value='floaty', input_type=str]
    For further information visit https://errors.pydantic.dev/2.14/v/literal_error
dtype.is-instance[dtype]
  Input should be an instance of dtype [type=is_instance_of, input_value='floaty', input_type=str]
"""
REPLICA = """The deployment failed to start 3 times in a row. This may be due to a problem with \
its constructor or initial health check failing. See controller logs for details. Error:
\x1b[36mray::ServeReplica:chat:FreeholdServer:chat.initialize_and_get_metadata()\x1b[39m \
(pid=812, ip=127.0.0.1, actor_id=ad3, repr=<ray.serve._private.replica.ServeReplica object>)
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 449, in result
    return self.__get_result()
  File "/site-packages/ray/serve/_private/replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "/site-packages/ray/llm/_internal/serve/engines/vllm/vllm_engine.py", line 310, in start
    ) = self._prepare_engine_config(node_initialization)
ray.exceptions.RayTaskError(ValueError): \x1b[36mray::_get_vllm_engine_config()\x1b[39m (pid=815)
  File "/site-packages/vllm/config/vllm.py", line 900, in __post_init__
ValueError: Total number of attention heads (4) must be divisible by tensor parallel size (3).
"""
CORE = """(EngineCore pid=5544) ERROR 11-22 07:18:25 [core.py:981] EngineCore failed to start.
(EngineCore pid=5544) ERROR 11-22 07:18:25 [core.py:981] Traceback (most recent call last):
(EngineCore pid=5544) ERROR 11-22 07:18:25 [core.py:981]   File "/v1/worker/worker.py", line 3
(EngineCore pid=5544) ERROR 11-22 07:18:25 [core.py:981] torch.OutOfMemoryError: CUDA out of \
memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.57 GiB
(APIServer pid=5489) Traceback (most recent call last):
(APIServer pid=5489) RuntimeError: Engine core initialization failed. See root cause above. \
Failed core proc(s): {'EngineCore_DP0': 1}
"""
CUT_FILE = """RuntimeError: Traceback (most recent call last):
freehold.serving.weights.WeightsError: the weights in /mnt/models/a (seen by a-worker-x): \
model.safetensors has 12 of 34 bytes. Copy the model there again.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/site-packages/ray/llm/_internal/common/callbacks/base.py", line 94, in run_callback
Exception: Error running callback method 'on_after_node_init' on WeightsCheck: the weights in a
"""
PREFIXED = """(EngineCore pid=7) ERROR 11-22 07:18:25 [core.py:981] \
pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig
(EngineCore pid=7) ERROR 11-22 07:18:25 [core.py:981]   Value error, Cannot find the config file \
for awq [type=value_error, input_value=ArgsKwargs((), {'mo...}), input_type=ArgsKwargs]
"""
# Ray hands on what vLLM's settings say in an error of its own.
CONFIG = """ray.exceptions.RayTaskError(RuntimeError): \x1b[36mray::_get_engine_config()\x1b[39m
    raise RuntimeError(f"Failed to create vLLM engine config: {e}") from None
RuntimeError: Failed to create vLLM engine config: 1 validation error for VllmConfig
  Value error, Total number of attention heads (4) must be divisible by tensor parallel size (3). \
[type=value_error, input_value=ArgsKwargs((), {'model_co...}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
WORKER = """(Worker_TP1 pid=71) ERROR 11-22 [multiproc_executor.py:870] safetensors_rust.\
SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered
(EngineCore pid=70) ERROR 11-22 [core.py:981] Exception: WorkerProc initialization failed due to \
an exception in a background process. See stack trace for root cause.
(EngineCore pid=70) BrokenPipeError: [Errno 32] Broken pipe
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
MISSING = """OSError: Error no file named model.safetensors found in directory /srv/chat.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/site-packages/vllm/v1/executor/multiproc_executor.py", line 77, in _init_executor
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
DIED = """ray.exceptions.RayActorError: The actor died unexpectedly before finishing this task.
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)
"""


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        (
            TOO_LONG,
            "ValidationError: User-specified max_model_len (4096) is greater than the derived",
            "in model's config.json).",
        ),
        (BAD_DTYPE, "ValidationError: dtype.literal['auto'", "'float' or 'float32'"),
        (
            REPLICA,
            "ValueError: Total number of attention heads (4) must be divisible",
            "tensor parallel size (3).",
        ),
        (CORE, "OutOfMemoryError: CUDA out of memory. Tried", "capacity of 23.57 GiB"),
        (CUT_FILE, "WeightsError: the weights in /mnt/models/a (seen by", "there again."),
        (PREFIXED, "ValidationError: Cannot find the config file for awq", "for awq"),
        (
            CONFIG,
            "RuntimeError: Failed to create vLLM engine config: Total number of attention heads",
            "tensor parallel size (3).",
        ),
        (WORKER, "SafetensorError: Error while deserializing header", "file not fully covered"),
        (MISSING, "OSError: Error no file named model.safetensors", "directory /srv/chat."),
        (
            "\x1b[31mKeyError: 'pid'\x1b[39m",
            "KeyError: 'pid'",
            "KeyError: 'pid'",
        ),
        (
            "torch._inductor.exc.InductorError: CppCompileError: C++ compile error",
            "InductorError: CppCompileError",
            "C++ compile error",
        ),
    ],
)
def test_the_telling_line_is_found(text: str, begins: str, ends: str) -> None:
    words = engine_words(text)
    assert words.startswith(begins)
    assert words.endswith(ends)
    assert telling_words(text) == words


def test_of_several_causes_the_last_one_counts() -> None:
    assert engine_words("ValueError: first\nsome line\n  KeyError: second\n") == "KeyError: second"


def test_words_that_only_pass_on_a_failure_are_taken_where_there_are_no_others() -> None:
    assert telling_words(DIED) == ""
    assert engine_words(DIED).startswith("EngineDeadError: EngineCore encountered an issue")


@pytest.mark.parametrize(
    "text",
    ["", "INFO 11-22 07:16:45 loading weights took 3.1 s", "no error: none", "Error:\nsomething"],
)
def test_a_log_without_an_error_has_no_words(text: str) -> None:
    assert engine_words(text) == ""


def test_a_count_without_its_lines_is_not_fatal() -> None:
    line = "ValidationError: 1 validation error for X"
    assert engine_words(line) == line


def test_words_are_kept_short() -> None:
    assert len(engine_words(f"ValueError: {'x' * 5000}")) == 1000
