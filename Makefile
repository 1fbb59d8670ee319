# make demo   a simulated patient, from scan to report        make test   everything CI runs
# Both make their own virtual environment in .venv; nothing else of the machine is touched
# (make test, as root on Debian, installs Chromium, dicom3tools and Orthanc when missing).
# make validate   every benchmark and validation table, into validate/: hours, resumable

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEED := Install it with:  apt-get install -y make git python3-venv

.PHONY: demo test lint validate clean

demo: $(VENV)/run.stamp
	$(BIN)/petechia demo --out demo

test: $(VENV)/test.stamp outside
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

lint: $(VENV)/test.stamp
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Petechia needs Python 3.11 or newer; $(PYTHON) is older. Give another: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments. $(NEED)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,pacs]'
	@touch $@ $(VENV)/run.stamp

# programs of other people that some tests ask, as package=command (or file): a browser that opens
# the report, a validator of DICOM, a PACS; without one its tests are skipped and say so.
# A server that a package would start by itself is kept from it: the tests start their own.
OUTSIDE := chromium=chromium dicom3tools=dciodvfy orthanc=Orthanc openssl=openssl \
  orthanc-dicomweb=/usr/share/orthanc/plugins/libOrthancDicomWeb.so
POLICY := /usr/sbin/policy-rc.d
outside:
	@missing=; for pair in $(OUTSIDE); do what=$${pair#*=}; \
	  [ -e $$what ] || command -v $$what >/dev/null || missing="$$missing $${pair%=*}"; done; \
	if command -v google-chrome >/dev/null; then missing=$$(echo "$$missing" | sed 's/ chromium//'); fi; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    [ -e $(POLICY) ] || { made=1; printf '#!/bin/sh\nexit 101\n' > $(POLICY); chmod +x $(POLICY); }; \
	    apt-get update -qq >/dev/null 2>&1; for package in $$missing; do \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package >/dev/null 2>&1 \
	      || echo "$$package could not be installed: its tests will be skipped"; done; \
	    [ -z "$$made" ] || rm -f $(POLICY); \
	  else echo "Missing:$$missing: their tests will be skipped"; fi; fi
.PHONY: outside

# hours, resumable: what is finished in VALIDATE is not done again
VALIDATE := validate
validate: $(VENV)/test.stamp
	$(BIN)/python benchmarks/bench_methods.py --gain --table $(VALIDATE)/methods.md
	$(BIN)/python validation/unwrapping.py $(VALIDATE)/unwrapping --people 2 --table $(VALIDATE)/unwrapping.md
	$(BIN)/python validation/offsets.py $(VALIDATE)/offsets --table $(VALIDATE)/offsets.md
	$(BIN)/python validation/imaging.py $(VALIDATE)/imaging --people 3 --table $(VALIDATE)/imaging.md
	$(BIN)/python validation/contrast.py $(VALIDATE)/imaging/raw/demo_light_0 --table $(VALIDATE)/contrast.md
	$(BIN)/python validation/acceptance.py $(VALIDATE)/acceptance --people 20 --light
	$(BIN)/python validation/baseline.py $(VALIDATE)/baseline --people 3 --table $(VALIDATE)/baseline.md
	$(BIN)/python validation/susceptibility.py $(VALIDATE)/susceptibility --people 2 --seed 9600 --table $(VALIDATE)/susceptibility.md
	$(BIN)/python validation/signs.py $(VALIDATE)/signs --people 8 --seed 9500 --table $(VALIDATE)/signs.md
	$(BIN)/python validation/follow.py $(VALIDATE)/follow --pairs 8 --seed 9500 --table $(VALIDATE)/follow.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster,cohort]'
	$(BIN)/python validation/cohort.py $(VALIDATE)/cohort --people 60 --table $(VALIDATE)/cohort.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'
	$(BIN)/python training/heads.py $(VALIDATE)/training
	$(BIN)/python training/examples.py $(VALIDATE)/training
	$(BIN)/python training/fit.py $(VALIDATE)/training
	$(BIN)/python validation/detector.py $(VALIDATE)/training --table $(VALIDATE)/detector.md

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache
