# Needs make and Python 3.11 or newer; `make install PYTHON=python3.12` takes another than python3.

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
PROJECTS = pyproject.toml $(wildcard plugins/*/pyproject.toml)
PLUGINS = $(patsubst %/pyproject.toml,%,$(filter plugins/%,$(PROJECTS)))

DEMO_DATASET = imagenome
DEMO_METHODS = anaxnet
DEMO_TABLE = anaxnet-auc
DEMO_HARNESS = HARNESS_HOME=demo/home $(BIN)/harness

.DEFAULT_GOAL = help
.PHONY: help install demo test lint check bench clean

help: ## Print this.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

install: $(VENV)/installed ## Make .venv with the harness, every plugin and what the tests need.

# Everything in one command: only so does pip choose a torch and a torchvision that fit each other.
# A fitting pair that is there already (builds for the CPU, say) stays.
$(VENV)/installed: $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cxr-harness needs Python 3.11 or newer, and $(PYTHON) is not:" \
	    "make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install torch torchvision -e '.[test]' $(addprefix -e ./,$(PLUGINS))
	@$(BIN)/python -c 'import torchvision' || { \
	  echo "torch and torchvision come from different builds: rm -r $(VENV), or install both from" \
	    "one index (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL) and try again" >&2; exit 1; }
	@touch $@

demo: install demo/$(DEMO_DATASET) ## Train, evaluate and tabulate on drawn radiographs, in minutes.
	$(DEMO_HARNESS) run --plugin $(DEMO_METHODS) --dataset $(DEMO_DATASET) \
	  --root demo/$(DEMO_DATASET) --budget smoke --results demo/results
	$(DEMO_HARNESS) table $(DEMO_TABLE) --results demo/results
	@echo
	@echo "drawn radiographs          demo/$(DEMO_DATASET)"
	@echo "records, scores            demo/results"
	@echo "image stores, models       demo/home (HARNESS_HOME)"

demo/$(DEMO_DATASET): | install
	$(DEMO_HARNESS) data phantom $(DEMO_DATASET) --out $@ --images 600

# Processes of one thread each are done sooner than one process with as many threads.
test: install ## Run all tests, those of the plugins too; only those marked slow wait for -m slow.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: install ## Run ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## Run ruff, mypy and all tests.

bench: install ## Time what has to be fast: pytest-benchmark over benchmarks/.
	$(BIN)/python -m pytest benchmarks/bench_*.py --benchmark-only

clean: ## Remove what was made here: the demonstration, caches, builds; .venv stays.
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find harness plugins tests benchmarks \
	  \( -name __pycache__ -o -name build -o -name .pytest_cache \) -prune -exec rm -rf {} +
