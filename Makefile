# One target per habit. `make run` and `make test` set up all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK ?= requirements/cpu.lock
REAL := training/configs/bbh-smollm2.toml
PIP := $(BIN)/python -m pip install --no-deps --no-compile
PACKAGES := $(VENV)/.packages-$(notdir $(LOCK))
READY := $(VENV)/.ready-$(notdir $(LOCK))
# Where a CPU build of torch comes from when the configured package index has none.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help setup run sample test integration e2e kill upgrades lint format type proto bench lock clean

help: ## Show the targets.
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Make the virtual environment with pinned packages.

$(PACKAGES): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: name one with make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing pinned packages (a few minutes the first time)"
	$(PIP) $$(grep '^torch==' $(LOCK)) || $(PIP) --index-url $(TORCH_CPU_INDEX) $$(grep '^torch==' $(LOCK))
	$(PIP) -r $(LOCK) || { echo "pip failed: check that it reaches its package index, then run make again"; exit 2; }
	@touch $@

$(READY): $(PACKAGES) pyproject.toml
	@$(PIP) --no-build-isolation --quiet --editable .
	@touch $@

# A distilled student and its knowledge, as training packs them (training/sample/README.md).
run: $(READY) ## Load the sample knowledge, serve, ask a question. ONCE=1: stop after the answer.
	@cd training/sample && set -ae && . ./nesycd.env && nesycd=$(abspath $(BIN)/nesycd) && \
	  $$nesycd setup && $$nesycd kb load dump && $$nesycd serve --ask-sample $(if $(ONCE),--once)

sample: $(READY) ## Make the sample anew, by the real run: hours. DATA=DIR holds the files its configuration names.
	$(BIN)/nesycd train run $(REAL) --data $(DATA) --out runs/bbh
	$(BIN)/python -m training.sample $$($(BIN)/nesycd train package $(REAL) --data $(DATA) --out runs/bbh)

test: $(READY) ## The fast suite.
	$(BIN)/python -m pytest -m "not integration and not e2e" $(ARGS)

integration: $(READY) ## Real vLLM and Ray with tiny models, Neo4j, Kubernetes, Prometheus.
	$(BIN)/python -m pytest -m integration $(ARGS)

e2e: $(READY) ## The whole service with the real student.
	$(BIN)/python -m pytest -m e2e $(ARGS)

kill: $(READY) ## Kill writers and servers at random moments; nothing may be lost.
	$(BIN)/python -m tests.kill --rounds 100
	$(BIN)/python -m tests.kill --rounds 60 --store neo4j
	$(BIN)/python -m tests.kill --rounds 40 --store neo4j --victim server

upgrades: $(READY) ## Upgrade a running service in every way, under load; no call may fail.
	$(BIN)/python -m tests.upgrades

lint: $(READY) ## Format and lint, without changing files.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(READY) ## Format and mend what can be mended.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: $(READY) ## Strict types.
	$(BIN)/mypy

proto: $(READY) ## Generate services/genproto from proto/.
	$(BIN)/python -m grpc_tools.protoc -Iservices/genproto=proto \
	  --python_out=. --pyi_out=. --grpc_python_out=. proto/nesycd/v1/*.proto

bench: $(READY) ## All benchmarks; results go to bench/results/.
	$(BIN)/python -m bench.retrieval
	$(BIN)/python -m bench.stores
	$(BIN)/python -m bench.load
	$(BIN)/python -m bench.serving
	$(BIN)/python -m bench.start
	$(BIN)/python -m bench.training
	$(BIN)/python -m bench.evaluation
	$(BIN)/python -m bench.teacher

UV := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
  --no-header --quiet --no-emit-index-url --no-emit-find-links
# The CPU build of torch has a version of its own: pip's folders may hold it, or the index above.
TORCH_CPU_SOURCE := $(if $(PIP_FIND_LINKS),$(addprefix --find-links=,$(PIP_FIND_LINKS)),\
  --index-strategy unsafe-best-match --extra-index-url $(TORCH_CPU_INDEX))
TEXT_ONLY := --no-emit-package torchvision --no-emit-package torchaudio --no-emit-package torchcodec
# One lock for the tests, one for GPUs, and one for each image (helm/images), with the same versions.
lock: $(READY) ## Pin all packages anew (Linux, x86-64).
	$(UV) $(TORCH_CPU_SOURCE) --extra cpu --extra train --extra eval --extra dev -o requirements/cpu.lock $(TEXT_ONLY)
	$(UV) --extra gpu --extra train --extra eval -o requirements/gpu.lock
	$(UV) -c requirements/cpu.lock -o requirements/gateway.lock
	$(UV) $(TORCH_CPU_SOURCE) -c requirements/cpu.lock --extra cpu -o requirements/serving-cpu.lock $(TEXT_ONLY)
	$(UV) -c requirements/gpu.lock --extra gpu -o requirements/serving-gpu.lock
	$(UV) $(TORCH_CPU_SOURCE) -c requirements/cpu.lock --extra cpu --extra train --extra eval -o requirements/jobs.lock $(TEXT_ONLY)

clean: ## Remove the virtual environment and caches of the tools.
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
