# Everything that one does here by hand. Each target makes .venv first if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' wabot/__init__.py)

.PHONY: run test check bench bench-large crash simulate notes tag

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

# What CHANGELOG.md says of this version, below a title such as "## 0.2.0 (2026-12-01)".
notes:
	@awk '/^## / {ours = $$2 == "$(VERSION)"; next} ours' CHANGELOG.md | grep . \
	  || { echo "CHANGELOG.md has no section \"## $(VERSION)\"" >&2; exit 1; }

# The version that wabot/__init__.py names, with these notes.
tag:
	@notes=$$($(MAKE) -s notes) && printf '%s\n' "$$notes" | git tag -a "v$(VERSION)" --cleanup=whitespace -F -

$(READY): requirements.txt tests/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r tests/requirements.txt
	touch $@
