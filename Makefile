# On a fresh machine: `make course` runs the course, `make test` runs the tests, `make lab` opens JupyterLab,
# `make slides` writes the lectures.
# All of it happens in .venv, made with $(PYTHON), which may be any Python from 3.11 on.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CPU_WHEELS := https://download.pytorch.org/whl/cpu

.PHONY: course test lab slides lint format notebooks clean

course: $(VENV)/.ready
	$(PY) -m senet_edu course

lab: $(VENV)/.ready
	$(PY) -m jupyterlab notebooks/00_start.ipynb

# The lectures: reveal.js, MathJax and the widget manager are fetched once; from then on this needs no network.
slides: $(VENV)/.ready
	@$(PY) book/fetch.py
	@$(PY) book/slides.py

# Tests of pages without a kernel need files that npm fetches; without npm they are skipped, and say so.
test: $(VENV)/.ready-test lint
	@$(PY) book/fetch.py || echo "Going on without: the tests of pages without a kernel will be skipped"
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
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(PY) -m pip install --quiet --editable ".[course,test]"
	@touch $@

clean:
	rm -rf $(VENV) build dist _build *.egg-info
	rm -rf book/_static/mathjax book/_static/reveal tests/js/fetched
	find book/_static/widgets -type f ! -name paths.js -delete
