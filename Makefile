# make check     style, types and all tests: the gate, the same as in CI
# make test      all tests
# make simulate  SEEDS histories from FIRST on, on JOBS processors; or ORDERS interleavings of each small history

PYTHON ?= python
SEEDS ?= 1000
FIRST ?= 0
JOBS ?= 2
ORDERS ?= 0

.PHONY: check test simulate

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest

test:
	$(PYTHON) -m pytest

simulate:
	$(PYTHON) -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS) --orders $(ORDERS)
