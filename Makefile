# Every target does only what is missing. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
# What every stage understands; see `make`.
CONFIG ?= configs/watch.toml
DATA ?=
STORE ?=
RUN ?=
BUDGET ?=
SET ?=
BENCH ?= kernels peers stage stream allocator
GB ?= 10
ONLY ?=
SOURCE ?=
MINUTES ?=
SEEDS ?=
CROSSVAL ?=
# Only for `make env`: the interpreter that makes .venv, and TensorFlow for NVIDIA GPUs.
PYTHON ?= python3
GPU ?= $(if $(wildcard $(VENV)/requirements-gpu.stamp),1)

# ---- the environment: the active one if it has the package, else .venv ----
# -I: a left-over egg-info in this folder must not count as an installed package.
ACTIVE := $(shell test -n "$${VIRTUAL_ENV:-$${CONDA_PREFIX:-}}" \
	&& test ! "$${VIRTUAL_ENV:-}" -ef $(VENV) \
	&& python -I -c 'import importlib.metadata as m, sys; m.version("headrace"); print(sys.executable)' \
	2>/dev/null)
ifeq ($(ACTIVE),)
LOCK := $(if $(GPU),requirements-gpu.lock,requirements.lock)
INSTALLED := $(VENV)/$(basename $(LOCK)).stamp
RUNTIME := $(VENV)/headrace.stamp
TOOLS := $(VENV)/requirements-dev.stamp
KERNELS := $(VENV)/kernels.stamp
python = $(VENV)/bin/python
else
python = "$(ACTIVE)"
endif

# ---- options, quoted for the shell; a word of SET without "=" belongs to the word before it ----
quote = '$(subst ','\'',$(1))'
option = $(if $(2),$(1) $(call quote,$(2)))
words = $(foreach word,$(SET),$(if $(findstring =,$(word)),@set@)$(word))
space := $(subst ,, )
settings = $(if $(strip $(SET)),$(subst @set@,--set ',$(subst $(space)@set@,' @set@,$(subst ','\'',$(words))))')
options = --config $(call quote,$(CONFIG)) $(call option,--data,$(DATA)) \
	$(call option,--store,$(STORE)) $(call option,--run,$(RUN)) \
	$(call option,--budget,$(BUDGET)) $(settings)
# exec: the stage is the process that make started, so signals and limits reach it.
stage = @exec $(python) -m headrace $@ $(options)

.PHONY: help
help: ## List the targets
	@echo 'usage: make TARGET [CONFIG=$(CONFIG)] [DATA=my.h5] [STORE=my.zarr] [RUN=folder]'
	@echo '                   [BUDGET=1.5GiB] [SET="train.epochs=3 train.seed=1"]'
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: env
env: $(RUNTIME) $(KERNELS) ## Make .venv with every dependency, kernels compiled (GPU=1: with CUDA, untested)
ifneq ($(ACTIVE),)
	@echo "using the active environment: $(ACTIVE)"
	@$(python) -m headrace.pipeline.catalogue
else
	@echo "the environment is ready: $(VENV) (the command is $(VENV)/bin/headrace)"
endif

ifeq ($(ACTIVE),)
$(INSTALLED): $(LOCK)
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
			echo "Headrace needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
				"Name another: make env PYTHON=python3.12" >&2; exit 2; }; \
		$(PYTHON) -m venv --clear $(VENV); }
	@echo "installing into $(VENV), about 2 GB: minutes, once"
	$(VENV)/bin/python -m pip install --require-hashes --requirement $(LOCK)
	@touch $@

# No isolation: the build backend is the locked one too.
$(RUNTIME): $(INSTALLED) pyproject.toml
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(KERNELS): $(RUNTIME) $(wildcard pipeline/catalogue/*.py headrace/compiled/*.py)
	$(VENV)/bin/python -m headrace.pipeline.catalogue
	@touch $@

$(TOOLS): requirements-dev.lock $(RUNTIME)
	$(VENV)/bin/python -m pip install --require-hashes --requirement requirements-dev.lock
	@touch $@
endif

.PHONY: tools
tools: $(TOOLS) $(KERNELS)
	@$(python) -c 'import furo, hypothesis, importlinter, jupytext, mypy, myst_parser, nbclient, pytest, pytest_timeout, xdist' || { \
		echo "The active environment lacks the development tools:" \
			"python -m pip install --requirement requirements-dev.lock" >&2; exit 2; }

.PHONY: data
data: $(RUNTIME) $(KERNELS) ## Fetch the default data set (11 MB) when its config asks for it
	@test -n $(call quote,$(DATA)) || test -e data/watch.h5 \
		|| ! grep -qsE '^data *= *"data/watch\.h5"' $(call quote,$(CONFIG)) \
		|| $(MAKE) --no-print-directory data/watch.h5

data/watch.h5:
	@echo "fetching the default data set: smartwatch shoulder exercises, inside the seglearn wheel"
	@mkdir -p data && wheels=$$(mktemp -d) && trap 'rm -rf "$$wheels"' EXIT \
		&& $(python) -m pip download --quiet --no-deps --only-binary :all: \
			--dest "$$wheels" seglearn==1.2.5 \
		&& $(python) -m headrace.stores.datasets.watch "$$wheels"/seglearn-1.2.5-*.whl $@

.PHONY: features
features: data ## Extract features from the source into the store
	$(stage)

.PHONY: train
train: features ## Train on the store
	$(stage)

# A run that is named and complete needs no training, whatever the config.
.PHONY: evaluate
evaluate: $(if $(RUN),$(if $(wildcard $(RUN)/model.keras),$(RUNTIME),train),train) ## Evaluate the run, with and without test-time augmentation
	$(stage)

.PHONY: crossval
crossval: features ## Train and evaluate every fold of groups, over the same store
	$(stage)

.PHONY: ablation
ablation: features ## What is each part worth? (MINUTES= a training, SEEDS=3, CROSSVAL=1)
	$(stage) $(call option,--minutes,$(MINUTES)) $(call option,--seeds,$(SEEDS)) $(if $(CROSSVAL),--crossval)

.PHONY: plan
plan: data ## Show what every stage will hold in memory, before any starts
	$(stage)

.PHONY: inspect
inspect: $(RUNTIME) ## Show what the store holds
	$(stage)

.PHONY: verify
verify: $(RUNTIME) ## Check the store: checksums, each window once, moments (SOURCE=1: every row made anew and compared)
	$(stage) $(if $(SOURCE),--source)

.PHONY: repair
repair: data ## Mend the store: make damaged shards anew (SOURCE=1: also those that differ from the source)
	@exec $(python) -m headrace features $(options) --repair$(if $(SOURCE),=source)

# Tests start a hundred processes: each would compile this package anew, and its own tests.
compiled = env -u PYTHONDONTWRITEBYTECODE $(python)

.PHONY: test
test: tools ## Run the tests, files side by side
	@exec $(compiled) -m pytest --numprocesses auto --dist loadfile

.PHONY: test-cases
test-cases: tools ## Run the further cases of what `make test` shows by one (3 minutes)
	@exec $(compiled) -m pytest --numprocesses auto --dist loadfile -m cases

.PHONY: test-quick
test-quick: tools ## Run the tests that start no process and no TensorFlow: a minute, between two edits
	@exec $(compiled) -m pytest --numprocesses auto --dist loadfile -p tests.quick -r fE

.PHONY: test-memory
test-memory: tools ## Run every stage under a kernel-enforced cap of 1 GiB, on GB= of data (10; ONLY=cap: that alone)
	@HEADRACE_TEST_GB=$(GB) exec $(python) -m pytest -m memory $(if $(ONLY),-k $(ONLY)) tests/pipeline/test_memory.py

.PHONY: test-faults
test-faults: tools ## Kill, tear and damage by the hundred (counts in docs/reliability.md; ONLY=ended: those)
	@exec $(python) -m pytest -m faults $(if $(ONLY),-k $(call quote,$(ONLY)))

.PHONY: test-own
test-own: tools ## Train networks of a user's own through whole stages (5 minutes)
	@exec $(python) -m pytest --numprocesses auto --dist loadfile -m own

.PHONY: test-published
test-published: tools ## Make stores of whole public data sets, in every format (2 minutes)
	@exec $(python) -m pytest -m published

.PHONY: test-slower
test-slower: tools ## Run .ci/run as on half of these cores, and with AVX2 alone (as root; an hour and a half)
	$(python) -m benchmarks.slower --share 50 .ci/run
	$(python) -m benchmarks.slower --without-avx512 .ci/run

.PHONY: test-docs
test-docs: tools ## Run every command of the documentation's pages, and the notebooks that load TensorFlow (4 minutes)
	@exec $(python) -m pytest -m docs

# PyTorch and what it brings stands beside the environment, whose packages it sees.
.torch-env/ready: requirements-dev.lock
	@$(python) -m venv --clear .torch-env
	@.torch-env/bin/python -m pip install --quiet --disable-pip-version-check "torch>=2.4" "torchdata>=0.11"
	@$(python) -c 'import site; print(site.getsitepackages()[0])' \
		>"$$(.torch-env/bin/python -c 'import site; print(site.getsitepackages()[0])')/headrace.pth"
	@touch $@

.PHONY: test-torch
test-torch: tools .torch-env/ready ## Run the tests of batches for PyTorch, in an environment of its own (6 GB)
	@exec .torch-env/bin/python -m pytest -m torch tests/pipeline/dataset/test_torch.py

.PHONY: test-wheel
test-wheel: tools ## Run every command of the installed wheel, beside modules named as its folders (7 minutes)
	@exec $(python) -m pytest -m wheel tests/test_wheel.py

.PHONY: test-experiments
test-experiments: tools ## Run the scripts of docs/howto/experiments.md with Optuna, MLflow and W&B, which it fetches (5 minutes)
	@exec $(python) -m pytest -m experiments tests/test_experiments.py

.PHONY: docs
docs: tools ## Write the documentation's site to docs/_build/html
	$(python) -m docs.generate.reference docs/reference
	$(python) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo docs/_build/html/index.html

.PHONY: audit
audit: ## Look the locked packages up in the advisories of PyPI (needs pip-audit and its network)
	@command -v pip-audit >/dev/null || { echo "pip-audit is missing: pipx install pip-audit" >&2; exit 2; }
	@set -e; for lock in requirements*.lock; do pip-audit --disable-pip --require-hashes --requirement $$lock; done

.PHONY: lint
lint: tools ## Check style, types and layering
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(python) -c 'import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())'

.PHONY: bench
bench: tools ## Run the benchmarks (35 minutes, 12 GB): BENCH="kernels peers stage stream allocator"
	@set -e; for part in $(BENCH); do $(python) -m benchmarks.$$part; done

.PHONY: bench-memory
bench-memory: tools ## Memory and time of each phase against training from arrays (20 minutes, as root)
	@exec $(python) -m benchmarks.memory

.PHONY: lock
lock: ## Resolve the lock files again (needs uv)
	$(call resolve,requirements.lock,)
	$(call resolve,requirements-dev.lock,--extra dev --constraint requirements.lock)
	$(call resolve,requirements-gpu.lock,--extra gpu --constraint requirements.lock)

resolve = uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" $(2) pyproject.toml --output-file $(1)

.PHONY: clean
clean: ## Remove caches and build output; .venv, data/ and runs/ stay
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(KERNELS)
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
