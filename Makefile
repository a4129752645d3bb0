# Needs python3 (3.11 or newer) with venv, and make; everything else is installed into $(VENV) once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := subcore isa traces sim configs validate plots
DEMO_GPUS := rtx_a6000 h100_pcie

.PHONY: help demo test test-all bench library lint clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      set up, then simulate a tiled matmul and a transpose on two GPUs"
	@echo "make test      set up, then lint, type check and test"
	@echo "make test-all  the same with the slow tests"
	@echo "make bench     simulation speed on this machine"
	@echo "make library   capture the traces of traces/library again"
	@echo "make lint      ruff and mypy only"
	@echo "make clean     remove $(VENV) and all caches in this folder"

$(VENV)/.base: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "subcore needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.sass: $(VENV)/.base
	$(PIP) install --quiet --editable '.[sass]'
	@touch $@

$(VENV)/.dev: $(VENV)/.sass
	$(PIP) install --quiet --editable '.[sass,dev]'
	@touch $@

# Without the NVIDIA compiler the smaller traces in traces/library are replayed: `subcore` says so.
demo: $(VENV)/.base
	@$(MAKE) --no-print-directory $(VENV)/.sass || echo "make: the NVIDIA wheels cannot be installed" >&2
	@set -e; matmul=; transpose=; \
	if [ -e $(VENV)/.sass ]; then matmul="-p n=256"; transpose="-p width=1024 -p height=1024"; fi; \
	for gpu in $(DEMO_GPUS); do \
	  $(BIN)/subcore simulate matmul_tiled -c $$gpu $$matmul --force -o runs/matmul_tiled-$$gpu; echo; \
	  $(BIN)/subcore simulate transpose -c $$gpu $$transpose --force -o runs/transpose-$$gpu; echo; \
	done
	@$(BIN)/subcore plot stalls --force -o runs/stalls.svg \
	  $(foreach gpu,$(DEMO_GPUS),runs/matmul_tiled-$(gpu) runs/transpose-$(gpu))

lint: $(VENV)/.dev
	$(BIN)/ruff check $(PACKAGES) tests
	$(BIN)/ruff format --check $(PACKAGES) tests
	$(BIN)/mypy $(PACKAGES)

test: lint
	$(BIN)/pytest -q -n 2 --dist loadfile

test-all: lint
	$(BIN)/pytest -q -n 2 --dist loadfile -m "slow or not slow"

bench: $(VENV)/.dev
	$(BIN)/pytest -q tests/bench/bench_simulator.py -o python_files='bench_*.py' -o python_functions='bench_*' --benchmark-columns=min,median

library: $(VENV)/.sass
	@set -e; for trace in traces/library/*.sct; do \
	  name=$$(basename $$trace .sct); \
	  $(BIN)/subcore trace emulate $${name%.*} -a $${name##*.} --force -o $$trace; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
