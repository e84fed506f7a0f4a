"""How the notebook is checked: it is executed once, by nbval, and everything that needs a run asks that kernel.

A pytest plugin, which conftest.py at the top loads.
- What nbval lets through by itself is closed here; test_check.py shows each gap closed.
- A cell tagged `varies` is compared by its words; of a picture of durations, the words and the points, which
  are in the cell's metadata under `drawn` (tools/drawn.py).
- What a cell has in its metadata under `holds` must be true right after it: results of the course's own settings.
- The exercises' answers run where they stand, and at the end each figure in the text, of the Chinese edition too, is
  compared with the run.
"""

import json
import re
from dataclasses import replace
from queue import Empty

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

import answers
import drawn
import prose
import surroundings
from cells import CHINESE, LOST, NOTEBOOK, ROOT, TAGS, code_cells, has_tag, read
from outputs import comparable, kind, pictures, png, same_picture

surroundings.shut_out()

NO_MNIST = "MNIST is not in data/"
ELSEWHERE = ("Left out here: the notebook in other places (instruction sets, Jupyter in a browser, papermill, other "
             "settings, the stand-in, …) and a sample of mutants. `make everywhere` checks them. Before a release: "
             "`make matrix` and `make mutants`.")


def has_mnist():
    """Whether MNIST lies under data/, where data/prepare.py has checked it."""
    return (ROOT / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()


def pytest_configure(config):
    """Refuse to run in a way that would check less."""
    if not config.getoption("nbval", False) or config.getoption("nbval_lax") or config.getoption("nbval_sanitize_with"):
        raise pytest.UsageError("The notebook's outputs would not be compared: run pytest with --nbval, "
                                "as pyproject.toml does, without --nbval-lax and without --nbval-sanitize-with.")


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        # By itself nbval compares no pictures.
        collector.skip_compare = tuple(key for key in collector.skip_compare if key not in ("image/png", "image/jpeg"))


# The items of a notebook: its cells, and between and behind them what asks the kernel

class Asking(pytest.Item):
    """A question to the kernel that has executed the cells before it."""

    def reportinfo(self):
        return self.path, 0, self.name

    def repr_failure(self, excinfo):
        return str(excinfo.value)


class Answer(Asking):
    """The answer to an exercise, executed where the exercise stands."""

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell

    def runtest(self):
        outcome = json.loads(ask(self.parent.kernel, answers.question(self.cell)))
        assert outcome is None, outcome


class Figure(Asking):
    """A figure in the text, compared with the run."""

    def __init__(self, claim, **kwargs):
        super().__init__(**kwargs)
        self.claim = claim

    def runtest(self):
        if not hasattr(self.parent, "values"):
            self.parent.values = json.loads(ask(self.parent.kernel, prose.question(self.parent.claims)))
        value = self.parent.values[self.claim.expression]
        assert not isinstance(value, str), f"{self.claim.expression} can't be evaluated: {value}"
        assert self.claim.holds(value), f"the run gives {value:.6g}, but the text says: {self.claim.sentence}"


def collect(notebook, nbval_collect=IPyNbFile.collect):
    """nbval's items, with each exercise's answer in its place, and the figures at the end."""
    collected = list(nbval_collect(notebook))
    if any("id" not in cell for cell in notebook.nb.cells):
        raise notebook.CollectError(LOST.format(notebook.path))
    exercises = [(re.match(r"\*\*Exercise (\d+)", cell.source), cell.id) for cell in notebook.nb.cells]
    if unknown := [found[1] for found, id in exercises if found and not id.startswith("exercise-")]:
        raise notebook.CollectError(f"The cells of these exercises have other ids than exercise-…, so no answer of theirs "
                                    f"would run: {', '.join(unknown)}.")
    items = {item.cell.id: item for item in collected}
    for cell in notebook.nb.cells:
        if cell.id in items:
            yield items[cell.id]
        elif cell.id.startswith("exercise-"):
            yield Answer.from_parent(notebook, name=f"answer to {cell.id}", cell=cell)
    notebook.claims = prose.claims(notebook.nb)
    if notebook.path == NOTEBOOK:
        notebook.claims += [replace(claim, cell=f"zh {claim.cell}") for claim in prose.claims(read(CHINESE))]
    for claim in notebook.claims:
        yield Figure.from_parent(notebook, name=f"figure in {claim}", claim=claim)


def setup(notebook, nbval_setup=IPyNbFile.setup):
    nbval_setup(notebook)
    ask(notebook.kernel, drawn.START)


def teardown(notebook, nbval_teardown=IPyNbFile.teardown):
    nbval_teardown(notebook)
    if hasattr(notebook.kernel, "km"):   # a kernel that died is not stopped by nbval, but its sockets are open
        notebook.kernel.stop()


def ask(kernel, code):
    """Execute code in nbval's kernel. Returns what it prints."""
    asked, printed = kernel.execute_cell_input(code, allow_stdin=False), []
    while True:
        message = kernel.get_message("iopub", timeout=300)
        if message["parent_header"].get("msg_id") == asked:
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif content.get("execution_state") == "idle":
                return "".join(printed)


def compare_outputs(cell, fresh, stored, skip_compare=None, nbval_compare=IPyNbCell.compare_outputs):
    """nbval's comparison, with the order of the outputs, pictures compared as pictures, and what varies as words."""
    if [kind(output) for output in stored] != [kind(output) for output in fresh]:
        cell.comparison_traceback = [f"The outputs are {[kind(output) for output in fresh]}, "
                                     f"stored are {[kind(output) for output in stored]}."]
        return False
    varies = has_tag(cell.cell, "varies")
    for i, (before, after) in enumerate(zip(stored, fresh)):
        name = f"{cell.cell.get('id')}-{i}"
        if not varies and not all(same_picture(*pair, name=name) for pair in zip(pictures(before), pictures(after))):
            cell.comparison_traceback = [f"The picture differs: see build/{name}-stored.png, -fresh.png "
                                         "and -difference.png."]
            return False
        if "data" in before and comparable(before, varies) == comparable(after, varies):
            after.data = before.data
    if varies:
        words = [[comparable(output, varies=True)[1] for output in outputs] for outputs in (stored, fresh)]
        if words[0] != words[1]:
            cell.comparison_traceback = [f"Without what varies, the outputs are {words[1]}, stored are {words[0]}."]
        return words[0] == words[1]
    return nbval_compare(cell, fresh, stored, skip_compare)


def runtest(cell, nbval_runtest=IPyNbCell.runtest):
    """nbval's check of a cell; then what its metadata says of its picture and of its results."""
    kernel, expected, holds = cell.parent.kernel, cell.cell.metadata.get("drawn"), cell.cell.metadata.get("holds", [])
    if expected is not None:
        ask(kernel, f"{drawn.IN_THE_KERNEL}.forget()")
    nbval_runtest(cell)
    if expected is not None:
        wrong = ask(kernel, f"print('; '.join({drawn.IN_THE_KERNEL}.faults({json.dumps(expected)}, globals())))").strip()
        if wrong:
            cell.raise_cell_error(f"The picture is another: {wrong}.")
    for expression in holds:
        if ask(kernel, f"print(bool({expression}))") != "True\n":
            cell.raise_cell_error(f"With the course's settings this must hold: {expression}")


def get_message(kernel, stream, timeout=None, nbval_get_message=RunningKernel.get_message):
    """nbval's waiting for a message, which ends at once when the kernel has died."""
    waited = 0
    while True:
        try:
            return nbval_get_message(kernel, stream, min(timeout, 1))
        except Empty:
            waited += 1
            if not kernel.is_alive():
                raise RuntimeError("the kernel died (out of memory?)") from None
            if waited >= timeout:
                raise


IPyNbFile.collect, IPyNbFile.setup, IPyNbFile.teardown = collect, setup, teardown
IPyNbCell.compare_outputs, IPyNbCell.runtest = compare_outputs, runtest
RunningKernel.get_message = get_message


# The whole run

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Refuse a notebook in which a cell would not be checked; skip what needs MNIST; the longest first."""
    notebooks = {}
    for item in items:
        if isinstance(item, IPyNbCell):
            notebooks.setdefault(item.parent, []).append(item)
    for notebook, collected in notebooks.items():
        cells = code_cells(notebook.nb)
        faults = [f"{item.name} ({item.cell.get('id')}) would not be compared" for item in collected
                  if item.options["skip"] or item.options["check_exception"] or not item.options["check"]]
        faults += [f"{cell.get('id')} has an unknown tag: {tag}" for cell in notebook.nb.cells
                   for tag in cell.metadata.get("tags", []) if tag not in TAGS]
        if len(collected) != len(cells) and not any("::" in arg for arg in config.args):
            faults.append(f"{len(collected)} of {len(cells)} code cells were collected")
        if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
            faults.append("the code cells were not all executed once, top to bottom: run make refresh")
        for cell in cells:
            if has_tag(cell, "varies") and any(map(png, cell.outputs)) != ("drawn" in cell.metadata):
                faults.append(f"{cell.get('id')}: a picture that varies needs `drawn` in its cell's metadata, "
                              "and only such a cell has it")
        if faults:
            raise pytest.UsageError(f"{notebook.name}: {'; '.join(faults)}.")
    if not has_mnist():
        for item in items:
            if isinstance(item.parent, IPyNbFile) or item.get_closest_marker("mnist"):
                item.add_marker(pytest.mark.skip(reason=NO_MNIST))
    items.sort(key=lambda item: not isinstance(item.parent, IPyNbFile))


def pytest_terminal_summary(terminalreporter, config):
    if not has_mnist():
        terminalreporter.section("MNIST can't be had", yellow=True)
        terminalreporter.line("Left out for want of MNIST: comparing the notebook's outputs and the figures in its text with "
                              "a run. `make everywhere` executes it on the stand-in.")
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        terminalreporter.section("Not all is checked here")
        terminalreporter.line(ELSEWHERE)
