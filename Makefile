# make lab    JupyterLab on notebooks/00_quickstart.ipynb   (ARGS=--no-browser and any other option of jupyter lab)
# make test   every check                                   (ONLY="ruff-check mypy" for some of them)
# make build  the front end only
# make dist   wheel and sdist in dist/
# make bench  the benchmarks; a target that is missed fails
# make screenshots  pictures of the explorers and of the lessons in dist/screenshots, the README's copied to docs/
# make docs  the site in dist/site: pages, lessons with their pictures, reference
# make clean  takes away what the others made
# Each prepares what it needs first; PYTHON=python3.12 says which Python makes .venv.

ARGS ?=
ONLY ?=
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
NOTEBOOK := notebooks/00_quickstart.ipynb
IN_VENV := .venv/bin/python

.PHONY: lab test build dist bench screenshots docs clean python

lab: python
	$(PYTHON) .setup/prepare.py lab
	$(IN_VENV) -m jupyterlab --LabApp.default_url=/lab/tree/$(NOTEBOOK) $(ALLOW_ROOT) $(ARGS)

test: python
	$(PYTHON) .setup/prepare.py test
	$(IN_VENV) .setup/checks.py $(ONLY)

build: python
	$(PYTHON) .setup/prepare.py build

dist: python
	$(PYTHON) .setup/prepare.py test
	$(IN_VENV) -m hatchling build -t wheel -t sdist

bench: python
	$(PYTHON) .setup/prepare.py test
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.scrub
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.first_picture
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check -c .setup/constraints.txt -r .setup/bench-packages.txt
	$(IN_VENV) -m tests.benchmarks.capture
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.attention
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.dataset
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.frozen
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.memory
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.memory_scrub
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.large
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.saved
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.scale
	$(IN_VENV) -m tests.benchmarks.measures
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.benchmarks.health

screenshots: python
	$(PYTHON) .setup/prepare.py test
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.screenshots dist/screenshots
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.lesson_screenshots dist/screenshots
	cp dist/screenshots/onet-light-1400.png docs/onet-light.png
	cp dist/screenshots/g2p-dark-1400.png docs/g2p-dark.png
	cp dist/screenshots/attention-light-1400.png docs/attention-light.png
	cp dist/screenshots/memory-light-1400.png docs/memory-light.png
	cp dist/screenshots/07_debugging-light-1400-cell14.png docs/comparison-light.png
	cp dist/screenshots/07_debugging-light-1400-cell16.png docs/health-light.png

docs: python
	$(PYTHON) .setup/prepare.py test
	cd docs && OMP_NUM_THREADS=1 ../$(IN_VENV) -m site_builder $(ARGS)

clean:
	rm -rf .venv dist js/node_modules js/lib memviz_widgets/labextension memviz_widgets/nbextension memviz_widgets/static

python:
	@test -n "$(PYTHON)" || { echo "No Python 3.10 or newer found; name one: make PYTHON=/path/to/python3 lab"; exit 1; }
