# Everything a new machine needs: Python 3.11 and make.
#   make demo [DEMO="--once --json out.json"]   sets everything up and runs the main job
#   make demo-fabric [DEMO=...]                 the same on a network of three companies (needs Fabric's programs)
#   make demo-pharma [DEMO=...]                 a medicine from raw material to patient, played by five companies
#   make bench [BENCH="--quick --json out.json"]   measures it beside its peers: an hour, --quick two minutes
#   make test [TEST="-k receipt"]               sets everything up and passes the tests
#   make torture [TEST="-k kill"]               the long form of the tests that try to break each promise: hours;
#                                              SEALTRAIL_TORTURE_PART=0.1 makes it a tenth of that
# Each program that a test starts would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

.PHONY: env demo demo-fabric demo-pharma bench bench-fabric test pytest torture lint clean

env: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there; set PYTHON=, 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/sealtrail demo $(DEMO)

demo-fabric: $(STAMP)
	$(BIN)/sealtrail demo --fabric $(DEMO)

demo-pharma: $(STAMP)
	$(BIN)/sealtrail demo-pharma $(DEMO)

bench: $(STAMP)
	$(BIN)/sealtrail bench $(BENCH)

bench-fabric: $(STAMP)
	$(BIN)/python -m bench.fabric $(BENCH)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Lint runs beside the tests. These wait most of the time for programs that they started: three files at a time.
test: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 lint pytest

pytest: $(STAMP)
	$(BIN)/python -m pytest -n 3 $(TEST)

torture: $(STAMP)
	SEALTRAIL_TORTURE=long $(BIN)/python -m pytest tests/torture --timeout 0 -s $(TEST)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
