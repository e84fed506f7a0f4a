# make run         execute a copy of the notebook: build/04-feedforward-nn.ipynb and .html
# make lab         open the notebook in JupyterLab; make lab-zh: 中文版
# make refresh     execute the notebook in place, and build the Chinese edition from it
# make zh          build the Chinese edition from the notebook and zh/04-feedforward-nn.po
# make test        the checks (three minutes)
# make everywhere  the notebook in other places and programs (five to ten minutes)
# make matrix      the whole notebook in every way that this machine can run it (an hour or more)
# make seeds       what the text says in general, with seeds 1 to 6 (ten minutes)
# make mutants     change the code in small ways: does a check notice? (an hour or more)
# make bench       compare with other libraries: benchmarks/README.md
PYTHON ?= python3
BIN := .venv/bin

TEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: run lab lab-zh refresh zh test everywhere matrix mutants seeds bench install install-tests
run: install
	@$(BIN)/python tools/execute.py run

# Without MNIST (status 3) the tests say themselves what they leave out.
test: install-tests
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@$(TEST)

everywhere: install-tests
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@$(TEST) tests/everywhere

# The Chinese notebook looks for the data beside itself, as any notebook does. Jupyter must be told that root may start it.
lab: folder := .
lab-zh: folder := zh
lab lab-zh: as_root := $(if $(filter 0,$(shell id -u)),--allow-root)
lab lab-zh: install
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@[ $(folder) = . ] || [ -d zh/data ] || ln -sfn ../data zh/data
	@$(BIN)/python -m jupyterlab $(as_root) $(folder)/04-feedforward-nn.ipynb

refresh: install-tests
	@$(BIN)/python data/prepare.py
	@$(BIN)/python tools/execute.py refresh
	@$(BIN)/python tools/chinese.py

zh: install-tests
	@$(BIN)/python tools/chinese.py

matrix mutants seeds: install-tests
	@$(BIN)/python data/prepare.py
	@$(BIN)/python tests/$@.py

install:
	@"$(PYTHON)" tools/install.py

install-tests:
	@"$(PYTHON)" tools/install.py --tests

bench: install .venv-bench/installed
	@$(BIN)/python data/prepare.py
	@.venv-bench/bin/python benchmarks/bench.py

.venv-bench/installed: benchmarks/requirements.txt
	"$(PYTHON)" -m venv .venv-bench
	.venv-bench/bin/python -m pip install --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
