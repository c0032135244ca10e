# Tasks. They need git, make, Python >= 3.11 and a C++ compiler; the rest they install
# into .venv, from the locked files under requirements/.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# where the example manifest looks for the demo model
MODELS := /var/tmp/freehold
COMPILE := $(UV) pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock"
LOCK := $(COMPILE) pyproject.toml
# what a real node is made of: see tests/node/README.md
PACKAGES := g++ containerd runc containernetworking-plugins iproute2 iptables nftables \
	ipset conntrack debootstrap buildah busybox-static redis-server
# what `make test` leaves to `make thorough`, so that it stays below half an hour
QUICKER := -m "not thorough"
# a control plane for each, and they mostly wait; on a cluster that is given, one after the other
BESIDE := $(if $(FREEHOLD_TEST_KUBECONFIG),--numprocesses=0,--numprocesses=3 --dist=loadfile)

.PHONY: help packages setup demo test check lint types generated unit integration thorough kills live on-node faults tools cluster cluster-down node node-down lock generate bench bench-operator bench-replicas bench-cold bench-autoscaling bench-simulator bench-scaling clean

help: ## Show the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

packages: ## Install what a real node needs of Debian, and a C++ compiler; needs root
	@dpkg --status $(PACKAGES) >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $(PACKAGES) >/dev/null; }

setup: $(VENV)/.ready ## Install everything into .venv and prepare the demo model
	@$(BIN)/python examples/demo/prepare_model.py --cache $(MODELS)/gemma-3-270m >/dev/null

$(VENV)/.ready: requirements/development.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(UV) pip sync --python $(BIN)/python --compile-bytecode \
		--require-hashes requirements/development.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Serve the demo model with two tensor-parallel workers; Ctrl-C stops it
	$(BIN)/freehold run examples/gemma-3-270m.yaml

test: setup check unit integration live on-node ## Everything: linters, unit tests, a real control plane, live Ray and vLLM, a real node

check: $(VENV)/.ready ## Linters, types, layers, generated files
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types generated

lint: $(VENV)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/hadolint Containerfile

types: $(VENV)/.ready
	$(BIN)/mypy --num-workers=2

generated: $(VENV)/.ready
	$(BIN)/python hack/generate_crds.py --check
	$(BIN)/python hack/generate_charts.py --check
	$(BIN)/python hack/generate_reference.py --check
	$(BIN)/python hack/generate_accelerators.py --check
	$(BIN)/python hack/generate_engine_schema.py --check
	$(BIN)/python hack/generate_faults.py --check
	$(BIN)/python hack/render_plan_picture.py --check

unit: $(VENV)/.ready ## Unit, property and golden tests
	$(BIN)/python -m pytest tests/unit --numprocesses=auto --dist=loadgroup

integration: tools ## Tests against a real control plane with simulated nodes
	$(BIN)/python -m pytest tests/integration $(QUICKER) $(BESIDE) --durations=8

thorough: tools setup ## What `make test` leaves out: variations, and what takes minutes; needs root
	$(BIN)/python -m pytest tests/integration -m thorough $(BESIDE) --durations=8
	$(BIN)/python -m pytest tests/live -m thorough --durations=8
	$(BIN)/python -m pytest tests/cluster -m thorough --durations=8

kills: tools ## 300 random kills of the operator while models change; FREEHOLD_SEED tells a story again
	FREEHOLD_KILLS=300 $(BIN)/python -m pytest tests/integration/test_random_kills.py

live: setup ## Tests against real Ray and real vLLM
	$(BIN)/python -m pytest tests/live $(QUICKER) --durations=8

on-node: tools setup ## Tests on a real node: pods, real Ray and vLLM in them; needs root
	$(BIN)/python -m pytest tests/cluster $(QUICKER) --durations=8

faults: tools setup ## Every fault of docs/faults.md that has no result yet, on a real node; needs root
	$(BIN)/python -m pytest tests/faults --durations=0; status=$$?; \
		$(BIN)/python hack/generate_faults.py; exit $$status

tools: $(VENV)/.ready ## Build etcd, Kubernetes, kwok, kubectl and Helm, once; needs Go or gets it
	@$(BIN)/python -m tests.control_plane.build

cluster: tools ## Bring up a cluster in the background, with KubeRay, the charts and simulated nodes
	@$(BIN)/python -m tests.installation up cluster

cluster-down: $(VENV)/.ready ## Take it down
	@$(BIN)/python -m tests.installation down cluster

node: tools setup ## Bring up a cluster with one real node, on which pods run; needs root
	@$(BIN)/python -m tests.installation up node

node-down: $(VENV)/.ready ## Take it down
	@$(BIN)/python -m tests.installation down node

generate: $(VENV)/.ready ## Write the generated files anew
	$(BIN)/python hack/generate_crds.py
	$(BIN)/python hack/generate_charts.py
	$(BIN)/python hack/generate_reference.py
	$(BIN)/python hack/generate_accelerators.py
	$(BIN)/python hack/generate_engine_schema.py
	$(BIN)/python hack/generate_faults.py
	$(BIN)/python hack/render_plan_picture.py

lock: $(VENV)/.ready ## Resolve the requirement files anew
	$(LOCK) --output-file requirements/operator.txt
	$(LOCK) --extra cpu --output-file requirements/cpu.txt
	$(LOCK) --extra gpu --output-file requirements/gpu.txt
	$(LOCK) --extra cpu --group dev --group demo --output-file requirements/development.txt
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) --group go --output-file requirements/go.txt

bench: setup ## Time to first answer and throughput, beside stock Ray and plain vLLM
	$(BIN)/python benchmarks/request_path.py

bench-operator: $(VENV)/.ready tools ## Many models at once, beside a bare client: time, memory, CPU at rest
	$(BIN)/python benchmarks/operator_scale.py --results benchmarks/results

bench-replicas: tools setup ## Replicas and worker pods that follow the queue, on a real node; needs root
	$(BIN)/python benchmarks/replicas_follow.py --results benchmarks/results

bench-cold: tools setup ## Time to a first token in pods, beside plain Ray and vLLM, on a real node; needs root
	$(BIN)/python benchmarks/cold_start.py --results benchmarks/results

bench-autoscaling: $(VENV)/.ready ## Scaling policies on production traces, simulated, beside peers and a clairvoyant
	$(BIN)/python benchmarks/autoscaling_policies.py --results benchmarks/results

bench-simulator: setup ## The simulator of the former beside vLLM on one core of this machine
	$(BIN)/python benchmarks/simulator_beside_engine.py --results benchmarks/results

bench-scaling: $(VENV)/.ready ## Real replicas follow idling, a ramp and a step; each decision made again
	$(BIN)/python benchmarks/scaling_live.py --results benchmarks/results

clean: ## Remove the environment
	rm -rf $(VENV)
