# Everything that one does here by hand. Each target makes .venv first if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test check bench bench-large crash simulate

run: $(READY)
	$(BIN)/python run.py --sandbox

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict

bench: $(READY)
	$(BIN)/python -m benchmarks --write

bench-large: $(READY)
	$(BIN)/python -m benchmarks large --messages 10000000

crash: $(READY)
	WABOT_KILLS=1000 $(BIN)/python -m pytest tests/crash

simulate: $(READY)
	$(BIN)/python -m simulation --runs 1000 --days 10 --small

$(READY): requirements.txt tests/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r tests/requirements.txt
	touch $@
