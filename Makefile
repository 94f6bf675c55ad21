# Two commands for a newcomer: make demo, make test. Everything lies in .venv; Python 3.11 or later and make are enough.
PYTHON ?= python3.11
PIP = .venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO = demo

.PHONY: help demo test check fix bench clean

help:
	@echo "make demo    make a dataset of sample_corpus/, train a tiny model on it, examine it (no key, no network service, no GPU)"
	@echo "make test    run all tests"
	@echo "make check   formatting, lint, types"
	@echo "make fix     mend formatting and lint"
	@echo "make bench   measure (prints tables)"

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

# Torch first and by pip: other packages then find it installed and pull nothing larger.
.venv/dev: .venv/core
	$(PIP) torch
	$(PIP) --editable ".[train,qlora,dev]"
	@touch $@

# A second environment with the built wheel and no torch, for the tests of what is shipped.
.venv-wheel/ready: .venv/dev $(shell find raft_cli prompts sample_corpus -type f -not -name '*.pyc' 2>/dev/null | grep -v ' ')
	rm -rf .venv-wheel dist
	.venv/bin/python -m build --wheel --outdir dist . >/dev/null
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	@touch $@

demo: .venv/dev
	.venv/bin/raft generate sample_corpus --out $(DEMO)/data --teacher extractive --chunk-size 256
	test -e $(DEMO)/tiny || .venv/bin/raft init --tiny-model $(DEMO)/tiny
	.venv/bin/raft train $(DEMO)/data --model $(DEMO)/tiny --out $(DEMO)/run --preset smoke
	.venv/bin/raft eval $(DEMO)/data --model $(DEMO)/run --baseline $(DEMO)/tiny --out $(DEMO)/report

test: .venv-wheel/ready
	.venv/bin/python -m pytest

check: .venv/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

fix: .venv/dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/dev
	.venv/bin/python benchmarks/generate.py

clean:
	rm -rf .venv .venv-wheel dist $(DEMO) .mypy_cache .ruff_cache .hypothesis
