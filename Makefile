# On a fresh machine: `make course` runs the course, `make test` runs the tests, `make lab` opens JupyterLab, `make site`
# builds the site, `make slides` writes the lectures.
# All of it happens in .venv, made with $(PYTHON), which may be any Python from 3.11 on.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CPU_WHEELS := https://download.pytorch.org/whl/cpu
# What pages without a kernel load comes through npm, once; without npm there is a network to take it from.
FETCH = $(PY) book/fetch.py || echo "Going on without: formulas and widgets of the site will need a network"

.PHONY: course site slides test lab lint format notebooks clean

course: $(VENV)/.ready
	$(PY) -m senet_edu course
	@$(MAKE) --no-print-directory site
	@echo "To try things: make lab"

# From the committed notebooks. All pages each time, since only pages that are written can have their warnings seen.
site: $(VENV)/.ready
	@$(FETCH)
	$(VENV)/bin/jupyter-book build . --config book/_config.yml --toc book/_toc.yml --path-output . --all -W -n --keep-going -q
	@echo "To read the course: open _build/html/index.html"

lab: $(VENV)/.ready
	$(PY) -m jupyterlab notebooks/00_start.ipynb

# The lectures: reveal.js, MathJax and the widget manager are fetched once; from then on this needs no network.
slides: $(VENV)/.ready
	@$(PY) book/fetch.py
	@$(PY) book/slides.py

# Tests of pages without a kernel need what npm fetches; without it they are skipped, and say so.
test: $(VENV)/.ready-test lint
	@$(FETCH)
	SENET_EDU_SPEED=quick $(PY) -m pytest tests notebooks --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg

lint: $(VENV)/.ready-test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.ready-test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Run the chapters from their text and commit what comes out: their outputs are what Colab and the site show.
notebooks: $(VENV)/.ready
	$(PY) -m senet_edu course --out notebooks

# Without an NVIDIA GPU PyTorch's own CPU wheels spare 4 GB; where their index does not answer, PyPI's do. The index is
# asked first: pip, left to itself, would fill its gaps from elsewhere with a torchvision that does not fit the torch.
$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "senet-edu needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch, Jupyter and the course into $(VENV): a few minutes, and up to 6 GB"
	@if command -v nvidia-smi >/dev/null; then echo "NVIDIA GPU: PyPI's PyTorch"; \
	elif $(PY) -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' $(CPU_WHEELS)/torchvision/ 2>/dev/null; then \
		$(PY) -m pip install --quiet --index-url $(CPU_WHEELS) torch torchvision; \
	else echo "PyTorch's index of CPU wheels does not answer; taking PyPI's, which are larger"; fi
	$(PY) -m pip install --quiet --editable ".[course]"
	@$(PY) -c 'import torchvision' || { echo "torch and torchvision do not belong together: see the message above,"; \
		echo "then remove $(VENV) and try again, or install both by hand in one command"; exit 1; }
	@$(FETCH)
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(PY) -m pip install --quiet --editable ".[course,test]"
	@touch $@

clean:
	rm -rf $(VENV) build dist _build *.egg-info
	rm -rf book/_static/mathjax book/_static/reveal tests/js/fetched
	find book/_static/widgets -type f ! -name paths.js -delete
