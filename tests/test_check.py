"""Nothing slips past the check: each gap that nbval leaves by itself, shown closed on a small notebook."""

import base64
import copy
import functools
import io
import re
from collections import defaultdict

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import check_notebook
import compare
from compare import difference, in_words, without_numbers
from execute import executed, refreshed
from notebook_file import NOTEBOOK, ROOT, code_cells

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()"
TIMES = """import time
x, seconds = [1, 2], [time.perf_counter() % 1, 2]
plt.plot(x, seconds, label="line")
plt.title("Times")
plt.ylabel("seconds")
plt.show()"""
DRAWN = "draws(['Times', 'seconds'], ('line', x, seconds), ('GPU', [], []))"
ANSWER = "<details><summary>Answer</summary>\n\n```python\nn = n + 1\nprint(n)\n```\n\n</details>"
CELLS = [
    new_markdown_cell("So n is 1.00<!-- = n -->.", id="title"),
    new_code_cell("n = 1", id="parameters", metadata={"holds": ["n == 1"]}),
    new_code_cell("print('accuracy', 0.9652)", id="number"),
    new_code_cell("print('it took 0.3 s on cpu')", id="duration", metadata={"tags": ["varies"]}),
    new_code_cell("{'a': 1}", id="value"),
    new_code_cell(PLOT, id="plot"),
    new_code_cell(TIMES, id="times", metadata={"tags": ["varies"], "holds": [DRAWN]}),
    new_markdown_cell(ANSWER, id="exercise-one",
                      metadata={"holds": ["'2' in printed"], "any_seed": {"It is two.": "n == 2"}}),
]
EXECUTED = functools.cache(lambda: executed(new_notebook(cells=CELLS)))


@pytest.fixture
def nb():
    return copy.deepcopy(EXECUTED())


@pytest.fixture
def check(pytester, monkeypatch):
    """Run pytest, with this project's settings, on a notebook or its text: its RunResult."""
    pytester.makeconftest("pytest_plugins = ['check_notebook']")
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    monkeypatch.setattr(check_notebook, "has_mnist", lambda: True)   # the small notebook needs none
    monkeypatch.setattr(compare, "BUILD", pytester.path / "build")
    chinese = new_notebook(cells=[new_markdown_cell("第一句。所以 n 约为一半<!-- ~ n -->。还有一句。", id="title"),
                                  new_markdown_cell(id="parameters")])
    nbformat.write(chinese, pytester.mkdir("zh") / NOTEBOOK.name)

    def run(notebook, *options):
        text = notebook if isinstance(notebook, str) else nbformat.writes(notebook)
        (pytester.path / NOTEBOOK.name).write_text(text, encoding="utf-8")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", NOTEBOOK.name, *options)
    return run


def code(was, becomes):
    return lambda cell: cell.update(source=cell.source.replace(was, becomes))


def printed(text):
    return lambda cell: cell.outputs[0].update(text=text)


# A cell, what is changed in a copy of it, and what the check must say of that: None if it passes.
CHANGES = [
    ("number", printed("accuracy 0.9653\n"), "[stream: stdout]\n-accuracy 0.9653\n+accuracy 0.9652\n"),
    ("number", code("print(", "# NBVAL_IGNORE_OUTPUT\nprint('test', "), "-accuracy 0.9652\n+test acc"),
    ("value", code("1", "2"), "+{'a': 2}"),
    ("parameters", code("n = 1", "import sys; n = 1; sys.stderr.write('oops')"), "+[stream: stderr]\n+oops"),
    ("parameters", code("n = 1", "n = 1 / 0"), "ZeroDivisionError"),
    ("parameters", lambda cell: cell.metadata.holds.append("n == 2"), "this must hold: n == 2"),
    ("plot", code("3]", "3.05]"), "+picture differs: build/plot-"),
    ("plot", lambda cell: cell.outputs[0].data.pop("image/png"), "+[display_data: image/png, text/plain]"),
    ("plot", code(PLOT, "pass"), "-[display_data: image/png, text/plain]"),
    ("plot", code("plt.show()", "plt.show()\nprint('done')"), "+[stream: stdout]"),
    # What varies
    ("duration", printed("it took    1,000 s on cuda:0\n"), None),
    ("duration", printed("it has taken 0.3 s on cpu\n"), "-it has taken# s on #\n+it took# s on #"),
    ("times", code("Times", "More times"), "its words are"),
    ("times", code('label="line"', 'label="curve"'), "'curve', is not 'line' of the run"),
    ("times", code("plt.show()", "plt.plot([1], [1]); plt.show()"), "2 lines were drawn instead of 1"),
    ("times", code("plt.show()", "plt.bar([1], [1]); plt.show()"), "it has more than lines"),
    ("times", code("plot(x, ", "plot([1, 3], "), "is not 'line' of the run"),
    ("times", code("x, seconds,", "x, [1, 2],"), "is not 'line' of the run"),
    ("times", code("plt.show()", "plt.show(); plt.plot([1])"), "+[display_data: image/png, text/plain]"),
    # Answers to exercises
    ("exercise-one", code("print(n)", ""), "'2' in printed is 0.0"),
    ("exercise-one", code("n + 1", "n + 9"), "n == 2 is 0.0. The answer printed:\n10"),
    ("exercise-one", code("n + 1", "n / 0"), "ZeroDivisionError"),
    # Figures in the text
    ("title", code("1.00", "1.01"), "the run gives 1, but the text says: So n is 1.01"),
    ("title", code("= n", "= nothing"), "nothing can't be evaluated"),
]


def test_every_change_is_noticed(check, nb):
    """All changed copies in one notebook, each under an id of its own; nbval's options make no difference."""
    by_id, said = {cell.id: cell for cell in nb.cells}, defaultdict(str)
    for i, (cell_id, change, _) in enumerate(CHANGES):
        nb.cells.append(copy.deepcopy(by_id[cell_id]))
        nb.cells[-1].id = f"{cell_id}-{i}"
        change(nb.cells[-1])
    for i, cell in enumerate(code_cells(nb)):
        cell.execution_count = i + 1
    result = check(nb, "--nbval-lax", "--nbval-current-env")
    for report in result.reprec.getreports("pytest_runtest_logreport"):
        assert report.nodeid.isascii()
        name = report.nodeid.split("::", 1)[1].split(":")[0]
        said[re.sub("^(figure in|answer to|holds after) ", "", name)] += report.longreprtext
    for i, (cell_id, _, saying) in enumerate(CHANGES):
        found = said.pop(f"{cell_id}-{i}")
        assert found == "" if saying is None else saying in found, found
    assert said.pop("zh title") == "the run gives 1, but the text says: 所以 n 约为一半。"
    assert said == dict.fromkeys(by_id, "")


# What is changed in the notebook or in its text, and what is said.
REFUSED = [
    (lambda nb: nb.cells.insert(2, new_code_cell("print('new')", id="new")), "not all executed once"),
    (lambda nb: nb.cells[2].metadata.update(tags=["nbval-skip"]), "number has an unknown tag, nbval-skip"),
    (lambda nb: nb.cells[6].metadata.update(holds=[]), "times varies and draws, but doesn't say"),
    (lambda nb: nb.cells.append(new_markdown_cell("**Exercise 2.** Why?", id="a1b2")), "a1b2 is an exercise"),
    (lambda nb: nb.cells.append(new_markdown_cell(id="exercise-two")), "exercise-two: an exercise has"),
    (lambda nb: nbformat.writes(nb).replace('"id": "value"', '"id": "number"'), "have the same id"),
    (lambda nb: nbformat.writes(nb).replace("\n", "\n<<<<<<< HEAD\n", 1), "git conflict"),
    (lambda nb: re.sub(' *"id": .*\n', "", nbformat.writes(nb)), "have lost their ids"),   # as Kaggle does
]


@pytest.mark.parametrize("change, saying", REFUSED, ids=[saying for _, saying in REFUSED])
def test_a_notebook_that_would_not_be_checked_in_full_is_refused(check, nb, change, saying):
    result = check(change(nb) or nb)
    assert result.ret == 2 and saying in str(result.stdout)


def test_without_mnist_the_last_line_says_that_nothing_was_compared(check, nb, monkeypatch):
    monkeypatch.setattr(check_notebook, "has_mnist", lambda: False)
    result = check(nb)
    assert result.ret == 0 and result.outlines[-1].startswith("THE DIGITS WERE NOT COMPARED")


def film(*grey_levels, duration=100, height=20):
    """What shows a film in HTML; black but for one pixel, which has a grey level in each frame."""
    frames = np.zeros((len(grey_levels), height, 30), np.uint8)
    frames[:, 10, 10] = grey_levels
    file, (first, *others) = io.BytesIO(), map(Image.fromarray, frames)
    first.save(file, "png", save_all=bool(others), append_images=others, duration=duration)
    html = f"<img src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}'>"
    return [new_output("display_data", {"text/html": html})]


@pytest.mark.parametrize("stored, fresh, same", [
    (film(9), film(13), True),   # for processors that round otherwise
    (film(9), film(14), False), (film(9), film(9, height=21), False), (film(9, 99), film(9, 98), True),
    (film(9, 99), film(9, 9), False), (film(9, 99), film(9, 99, 9), False),
    (film(9, 99), film(9, 99, duration=200), False)], ids=range(7))
def test_pictures(tmp_path, monkeypatch, stored, fresh, same):
    monkeypatch.setattr(compare, "BUILD", tmp_path / "build")
    found = in_words(difference(new_code_cell(outputs=stored, id="cell"), fresh))
    assert found == ([] if same else [
        "picture differs: build/cell-0-stored.png, -fresh.png and -difference.png"])
    assert (tmp_path / "build" / "cell-0-difference.png").exists() != same


def test_what_is_left_out_of_a_cell_that_varies():
    assert without_numbers("loading    0.064 s, 28% of -3e-05, 26×: 1,234. On cuda:0, True: [512, 2], []") \
        == "loading# s,#% of#,#×:#. On #, #:#,#"
    assert without_numbers("sha256 v2 0x1f x1 nan cpus") == "sha256 v2 0x1f x1 nan cpus"


def test_refresh_keeps_what_is_the_same_and_the_figures_of_one_run(nb, capsys):
    again = copy.deepcopy(nb)
    printed("it took 9.9 s on cpu\n")(again.cells[3])
    nb.metadata.language_info = {"name": "python", "version": "3.11.7"}   # as JupyterLab saves it
    kept = refreshed(nb, again)
    assert kept.cells == nb.cells and capsys.readouterr().out == ""
    assert kept.metadata.language_info == {"name": "python"}
    printed("accuracy 0.9661\n")(again.cells[2])
    assert refreshed(nb, again).cells == again.cells
    assert capsys.readouterr().out.splitlines() == [
        "number: accuracy 0.9652 → 0.9661",
        "These vary, and are of the same run now: duration, times"]
