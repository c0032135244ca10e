{{/* written by hack/generate_charts.py from the planner's lists */}}
{{- define "freehold.ownedArguments" -}}
{
  "tensor_parallel_size": "spec.hardware.candidates[].parallelism.tensor sets it",
  "pipeline_parallel_size": "spec.hardware.candidates[].parallelism.pipeline sets it",
  "max_model_len": "spec.model.contextLength sets it",
  "model": "spec.model.source names the weights",
  "model_weights": "spec.model.source names the weights",
  "served_model_name": "spec.model.servedName sets it",
  "revision": "spec.model.revision sets it",
  "distributed_executor_backend": "Freehold sets it for the hardware",
  "prefill_context_parallel_size": "context parallelism is not offered; spec.hardware.candidates[].parallelism spreads a model over devices",
  "decode_context_parallel_size": "context parallelism is not offered; spec.hardware.candidates[].parallelism spreads a model over devices",
  "data_parallel_size": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_size_local": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_rank": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_start_rank": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_address": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_rpc_port": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_backend": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_external_lb": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_hybrid_lb": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_multi_port_external_lb": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "data_parallel_supervisor_port": "data parallelism inside a replica is not offered; spec.replicas or spec.autoscaling gives more replicas",
  "nnodes": "Freehold places the workers; spec.hardware.candidates[].parallelism.pipeline spreads a replica over nodes",
  "node_rank": "Freehold places the workers; spec.hardware.candidates[].parallelism.pipeline spreads a replica over nodes",
  "master_addr": "Freehold places the workers; spec.hardware.candidates[].parallelism.pipeline spreads a replica over nodes",
  "master_port": "Freehold places the workers; spec.hardware.candidates[].parallelism.pipeline spreads a replica over nodes",
  "device_ids": "Ray gives each worker its device; spec.hardware.candidates[] chooses the kind",
  "_api_process_count": "Freehold starts the server's processes; spec.replicas says how many replicas",
  "_api_process_rank": "Freehold starts the server's processes; spec.replicas says how many replicas",
  "kv_cache_memory_bytes": "the planner sizes the KV cache; spec.workload and spec.model.contextLength say what it must hold, gpu_memory_utilization how much of a device the engine may take",
  "num_gpu_blocks_override": "the planner sizes the KV cache; spec.workload and spec.model.contextLength say what it must hold, gpu_memory_utilization how much of a device the engine may take",
  "hf_overrides": "the plan follows the checkpoint's config.json; change the architecture there",
  "hf_config_path": "the plan follows the checkpoint's config.json; change the architecture there",
  "mm_ipc_gpu_memory_gb": "memory that the server's other processes take of a device is not counted",
  "spec_model": "a draft model's memory is not counted; speculative_config: {method: ngram} needs none"
}
{{- end -}}

{{- define "freehold.ownedWithinArguments" -}}
[
  {
    "argument": "speculative_config",
    "field": "model",
    "harmless": "null",
    "allowed": "no value here; a draft model's memory is not counted, so only methods without one",
    "hint": "Remove it and write a method such as ngram."
  },
  {
    "argument": "eplb_config",
    "field": "num_redundant_experts",
    "harmless": "0",
    "allowed": "0; the weights of experts that are kept more than once are not counted",
    "hint": "Remove it from the arguments."
  }
]
{{- end -}}

{{- define "freehold.removeArgument" -}}
Remove it from the arguments.
{{- end -}}
