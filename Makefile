# `make demo` and `make test` set up everything they need in .venv; nothing else is required.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# Threads that spin while they wait slow each other down on small machines.
export OMP_WAIT_POLICY ?= PASSIVE

# What `make study` needs besides: the real data sets, and a checkout of EasyEdit's main branch.
DATA_DIR ?= ../shared/data
STUDY ?= .cache/benchmarks/study
STUDY_JOBS ?= 2
RUN_STUDY = $(BIN)/python -m benchmarks run benchmarks/configs/study.yaml \
	--data-dir $(DATA_DIR) --out $(STUDY) --jobs $(STUDY_JOBS)
STAGES := pararel counterfact zsre tinyworld

# Files of tests that run at once.
TEST_JOBS ?= 2

.PHONY: help install demo study study-report $(STAGES:%=study-%) speed test lint types check clean

help:
	@echo "make demo   train DAFNet on a tiny world and edit with it, beside other methods"
	@echo "make study  every method on four data sets, about two hours on two cores; it goes on where it"
	@echo "            was stopped (DATA_DIR=..., EASYEDIT_HOME=...; one data set: make study-zsre)"
	@echo "make speed  time and memory beside the plain version, a quarter of an hour on two idle cores"
	@echo "make test   run the tests"
	@echo "make check  lint, types and tests, as continuous integration does"

install: $(INSTALLED)

# torch comes first: its version decides what the others bring along. easyeditor comes without
# its pins, which no current Python can satisfy; what its text editing needs is in pyproject.toml.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps easyeditor==0.0.1.dev0
	@touch $@

demo: install
	$(BIN)/python -m benchmarks demo

# One data set after another; each stage goes on where it was stopped. Failed cells (status 1) do
# not keep the others from running: the report shows them.
study: $(STAGES:%=study-%) study-report

$(STAGES:%=study-%): study-%: install
	$(RUN_STUDY) --only dataset=$* || [ $$? -eq 1 ]

study-report: install
	$(BIN)/python -m benchmarks report $(STUDY)

speed: install
	$(BIN)/python -m benchmarks.speed --readme

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

lint: install
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .

types: install
	$(BIN)/python -m mypy

check: lint types test
	$(BIN)/dafnet validate hparams

clean:
	rm -rf .venv .cache
