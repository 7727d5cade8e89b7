# make demo   the whole system once, offline, into demo-out/
# make test   the quick tests; make test-slow the rest; make lint; make bench
# make compat the uploaded model code under the oldest transformers it promises, and the newest
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo-out

.PHONY: demo test test-slow lint format bench compat clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/emonet-face demo --out $(DEMO)

test: .venv/.installed
	$(BIN)/pytest

test-slow: .venv/.installed
	$(BIN)/pytest -m slow

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed
	$(BIN)/python benchmarks/bench_demo.py

compat: .venv/.installed
	$(BIN)/python tests/compatibility.py

clean:
	rm -rf .venv .compat $(DEMO)
