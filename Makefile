# The two commands: `make repro` (everything, ending in report/index.html) and `make test`. Both set up .venv first.
.PHONY: help setup repro study test lint bench plan preset

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

help:
	@echo "make setup | repro | study | test | lint | bench | plan | preset NAME=$$(ls presets | sed 's/\.yaml$$//' | paste -sd '|')"

setup:
	@scripts/setup.sh

repro: setup
	dvc repro

study: setup
	python -m pipeline.study

test:
	@scripts/setup.sh test
	python -m pytest -n 2 --dist loadgroup

lint: setup
	ruff check
	ruff format --check
	mypy

bench: setup
	python -m benchmarks.run

plan: setup
	@python -m pipeline.plan

preset:
	@test -n "$(NAME)" && test -f "presets/$(NAME).yaml" || \
	  { echo "error: no preset '$(NAME)'; choose one: make preset NAME=$$(ls presets | sed 's/\.yaml$$//' | paste -sd '|')" >&2; exit 1; }
	cp "presets/$(NAME).yaml" params.yaml
