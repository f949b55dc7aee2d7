# Every target does the set-up that it needs; `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
DEMO_DIR ?= runs/digits

.PHONY: help setup beam demo test test-slow sanitize gpu-check lint clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Written last, when the library is complete.
LIBRARY := fcis_tf/ops/lib/operators.json

setup: $(LIBRARY)  ## make .venv with all that is needed, and build the native operators

.venv/.complete: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || \
	  { $(PYTHON) --version; echo 'Python 3.10, 3.11 or 3.12 is needed: make setup PYTHON=python3.12'; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r constraints.txt
	@touch $@

# Without a compiler everything runs on the portable operators.
$(LIBRARY): .venv/.complete $(shell find fcis_tf/ops/cc -type f) fcis_tf/ops/build.py
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m fcis_tf.ops.build || true

# For batch prediction, and its tests.
beam: setup .venv/.beam  ## add Apache Beam to .venv, for batch prediction

.venv/.beam: .venv/.complete constraints-beam.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r constraints-beam.txt
	@touch $@

demo: setup  ## train FCIS on scenes of digits, evaluate it, and draw what it finds
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m fcis_tf.demo $(DEMO_DIR)

# A process for each core, as far as memory goes: one takes up to 4 GB. Tests of a file share a process, and so its fixtures.
IN_PROCESSES := -n logical --maxprocesses 4 --dist loadfile

test: beam  ## run the tests
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest -q $(IN_PROCESSES)

test-slow: beam  ## run the tests that take minutes
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest -q -m slow

sanitize: setup  ## run the native operators' C++ on 100,000 random inputs under sanitizers
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m tests.ops.sanitize

# Needs nvcc and this repository alone. Without a GPU it is compiled all the same, and says so.
KERNELS := fcis_tf/ops/cc/kernels

gpu-check:  ## check and time the CUDA kernels on the GPU at hand
	@if ! command -v nvcc > /dev/null; then echo 'gpu-check: there is no nvcc on the PATH: nothing was checked'; exit 0; fi; \
	  mkdir -p build && \
	  nvcc -std=c++17 -O3 -arch=$$(nvidia-smi -L > /dev/null 2>&1 && echo native || echo sm_90) \
	    -Xcompiler -Wall,-Wextra,-ffp-contract=off -I$(KERNELS) $(KERNELS)/position_sensitive_gpu.cu \
	    tests/ops/gpu_check.cu -o build/gpu_check && \
	  build/gpu_check tests/ops/gpu_check_cases.txt

lint: setup  ## check the style
	$(BIN)/ruff check .

clean:  ## remove what make made, but not runs/
	rm -rf .venv fcis_tf/ops/lib build .pytest_cache .hypothesis .ruff_cache
