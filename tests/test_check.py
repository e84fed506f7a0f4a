"""Nothing slips past the check: each gap that nbval leaves by itself, shown closed on a small notebook."""

import base64
import copy
import io
import time
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import cells
import nbval_strict
import outputs
from cells import NOTEBOOK, ROOT
from execute import executed, refreshed
from outputs import PIXEL_TOLERANCE, same_outputs, same_picture, words

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, {}])\nplt.show()"
BARS = """import time
seconds = {"first": time.perf_counter() % 1, "second": 2.0}
fig, ax = plt.subplots()
ax.barh(list(seconds), seconds.values())
ax.plot([1, 2], [0, seconds["first"]], label="line")
ax.set(title="Two bars", xlabel="seconds")
ax.legend()
plt.show()"""
DRAWN = {"series": [["line", "[1, 2]", "[0, seconds['first']]"], ["", "list(seconds)", "list(seconds.values())"],
                    ["GPU", "[]", "[]"]]}
CELLS = [
    new_code_cell("print('accuracy', 0.9652)", id="number"),
    new_code_cell("print('it took 0.3 s on cpu')", id="duration", metadata={"tags": ["varies"]}),
    new_code_cell("{'a': 1}", id="value"),
    new_code_cell(PLOT.format(3), id="plot"),
    new_code_cell("x = 1", id="quiet", metadata={"holds": ["x == 1"]}),
    new_code_cell(BARS, id="bars", metadata={"tags": ["varies"], "drawn": DRAWN}),
    new_markdown_cell("So x is 1.00<!-- = x -->.", id="text"),
]


@pytest.fixture(scope="module")
def good():
    """A small executed notebook."""
    return executed(new_notebook(cells=copy.deepcopy(CELLS)))


@pytest.fixture
def check(pytester, monkeypatch, good):
    """Run pytest, with this project's settings, on a small notebook that `change` has changed."""
    pytester.makeconftest("pytest_plugins = ['nbval_strict']")
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    monkeypatch.setattr(nbval_strict, "has_mnist", lambda: True)   # the small notebook needs none
    monkeypatch.setattr(outputs, "BUILD", pytester.path / "build")

    def run(change=None, *options, plugins=()):
        nb = copy.deepcopy(good)
        if change is not None:
            change(nb.cells)
        nbformat.write(nb, pytester.path / NOTEBOOK.name)
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--color=no", NOTEBOOK.name, *options,
                                               plugins=plugins)
        return result.ret, "\n".join(result.outlines + result.errlines)
    return run


def fails(outcome, saying):
    status, text = outcome
    assert status != 0 and saying in text, text
    return True


def test_the_small_notebook_passes(check):
    status, text = check()
    assert status == 0 and f"{len(CELLS)} passed" in text, text


def printed(text):
    return lambda cell: cell.outputs[0].update(text=text)


def code(was, becomes):
    return lambda cell: cell.update(source=cell.source.replace(was, becomes))


def without_picture(cell):
    del cell.outputs[0].data["image/png"]


def swapped(cell):
    cell.source += "\nprint('done')"
    cell.outputs.insert(0, new_output("stream", name="stdout", text="done\n"))


# What is done to a copy of a cell, and what the check says of it. None: it passes.
CHANGES = [
    ("number", printed("accuracy 0.9653\n"), "Cell outputs differ"),
    ("value", lambda cell: cell.outputs[0].data.update({"text/plain": "{'a': 2}"}), "Cell outputs differ"),
    ("quiet", code("x = 1", "import sys; x = 1; print('oops', file=sys.stderr)"), "stderr"),
    ("quiet", lambda cell: cell.metadata.update(holds=["x == 1", "x == 2"]), "this must hold: x == 2"),
    ("plot", code("3]", "3.05]"), "-0-stored.png"),
    ("plot", without_picture, "The outputs are"),
    ("plot", lambda cell: cell.update(source="pass"), "The outputs are"),
    ("plot", swapped, "The outputs are"),
    # What varies
    ("duration", printed("it took 17.2 s on cpu\n"), None),
    ("duration", printed("it took 3e-05 s on cuda:0\n"), None),
    ("duration", printed("it took    1,000 s on cpu\n"), None),
    ("duration", printed("it has taken 0.3 s on cpu\n"), "Without what varies"),
    ("duration", printed("it took 0.3 s on cpu, 2 times\n"), "Without what varies"),
    ("duration", printed("it took 0.3 ms on cpu\n"), "Without what varies"),
    ("bars", code("time.perf_counter() % 1", "0.5"), None),
    ("bars", code("Two bars", "Three bars"), "its words are"),
    ("bars", code('"seconds")', '"second")'), "its words are"),
    ("bars", code('label="line"', 'label="curve"'), "its series are"),
    ("bars", code("ax.legend()", "ax.plot([1], [1])"), "its series are"),
    ("bars", code("ax.plot([1, 2], [0", "ax.plot([1, 2], [0.1"), "the y values"),
    ("bars", code("ax.plot([1, 2]", "ax.plot([1, 3]"), "the x values"),
    ("bars", code("seconds.values())\n", "[1, 2])\n"), "the y values"),
    ("bars", code("ax.barh(list(seconds)", "ax.barh(list(seconds)[::-1]"), "the x values"),
    ("bars", code("ax.legend()", "plt.show(); plt.plot([1])"), "The outputs are"),
    ("bars", code("plt.show()", ""), "The outputs are"),
    # Figures in the text
    ("text", code("1.00", "1.01"), "the run gives 1, but the text says: So x is 1.01"),
    ("text", code("= x", "= y"), "y can't be evaluated"),
]


def test_every_change_is_noticed(check, pytester):
    """All changed copies in one notebook, each under an id of its own."""
    def add_copies(cells):
        by_id = {cell.id: cell for cell in cells}
        for i, (cell_id, change, _) in enumerate(CHANGES):
            changed = copy.deepcopy(by_id[cell_id])
            changed.id = f"{cell_id}-{i}"
            change(changed)
            cells.append(changed)
        for i, cell in enumerate(cell for cell in cells if cell.cell_type == "code"):
            cell.execution_count = i + 1

    reports = {}

    class Listener:
        def pytest_runtest_logreport(self, report):
            if report.when == "call":
                reports[report.nodeid.split("::", 1)[1]] = report

    check(add_copies, plugins=[Listener()])
    names = []   # in the order of the copies
    number = sum(cell.cell_type == "code" for cell in CELLS)
    for i, (cell_id, _, _) in enumerate(CHANGES):
        is_text = cell_id == "text"
        names.append(next(name for name in reports if name.startswith(f"figure in text-{i}")) if is_text else f"Cell {number}")
        number += not is_text
    for name, (cell_id, _, saying) in zip(names, CHANGES, strict=True):
        report = reports.pop(name)
        assert report.passed if saying is None else report.failed and saying in report.longreprtext, (name, report.longreprtext)
    assert len(reports) == len(CELLS) and all(report.passed for report in reports.values())
    for kind in ("stored", "fresh", "difference"):
        with Image.open(pytester.path / "build" / f"plot-4-0-{kind}.png") as image:
            assert image.width > 100


@pytest.mark.parametrize("figure, wrong", [("1.00", False), ("1.01", True)])
def test_the_chinese_figures_are_compared_too(check, pytester, monkeypatch, figure, wrong):
    (pytester.path / "zh").mkdir()
    chinese = new_notebook(cells=[new_markdown_cell(f"第一句。所以 x 等于 {figure}<!-- = x -->。还有一句。", id="text")])
    nbformat.write(chinese, pytester.path / "zh" / NOTEBOOK.name)
    monkeypatch.setattr(nbval_strict, "NOTEBOOK", pytester.path / NOTEBOOK.name)
    monkeypatch.setattr(nbval_strict, "CHINESE", pytester.path / "zh" / NOTEBOOK.name)
    status, text = check()
    assert ("FAILED" in text and "figure in zh text: 1.01 = x" in text and "says: 所以 x 等于 1.01。" in text) == wrong
    assert status == wrong and f"{len(CELLS) + 1 - wrong} passed" in text


@pytest.mark.parametrize("count", [None, 7])
def test_a_cell_not_run_in_order_fails(check, count):
    assert fails(check(lambda cells: cells[4].update(execution_count=count)), "not all executed once, top to bottom")


def test_a_new_cell_never_run_fails(check):
    assert fails(check(lambda cells: cells.insert(2, new_code_cell("print('new')", id="new"))), "not all executed once")


@pytest.mark.parametrize("tag", ["raises-exception", "nbval-skip", "nbval-ignore-output", "nbval-raises-exception", "other"])
def test_a_tag_that_silences_fails(check, tag):
    assert fails(check(lambda cells: cells[0].metadata.update(tags=[tag])), "tag" if tag == "other" else "would not be compared")


@pytest.mark.parametrize("comment", ["# NBVAL_SKIP", "# NBVAL_IGNORE_OUTPUT", "# NBVAL_RAISES_EXCEPTION"])
def test_a_comment_that_silences_fails(check, comment):
    assert fails(check(lambda cells: cells[0].update(source=comment + "\n" + cells[0].source)), "would not be compared")


@pytest.mark.parametrize("options", [["--nbval-lax"], ["-o", "addopts="], ["--nbval-sanitize-with=rules.cfg"]])
def test_a_run_that_compares_less_is_refused(check, options):
    assert fails(check(None, *options), "would not be compared")


def test_a_dead_kernel_is_noticed_at_once(check):
    start = time.monotonic()
    assert fails(check(lambda cells: cells[4].update(source="import os; os._exit(1)")), "the kernel died")
    assert time.monotonic() - start < 60   # the limit for a cell is 300 s


def test_a_picture_of_durations_needs_its_series(check):
    assert fails(check(lambda cells: cells[5].metadata.pop("drawn")), "needs `drawn`")
    assert fails(check(lambda cells: cells[1].metadata.update(drawn=DRAWN)), "only such a cell has it")


# Pictures

def drawn(y=3.0, title="title", dpi=100):
    """A line plot as PNG."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        fig = Figure(figsize=(6, 4), dpi=dpi)
        fig.subplots().plot([1, 2, y], "o-")
        fig.axes[0].set(title=title, ylim=(0, 4))
        file = io.BytesIO()
        fig.savefig(file)
        return file.getvalue()


def test_the_same_curve_drawn_again_passes():
    assert same_picture(drawn(), drawn())
    assert same_picture(drawn(3.0), drawn(3.0 + 1e-6))   # what another processor may make of it


@pytest.mark.parametrize("other", [dict(y=3.01), dict(title="titel"), dict(dpi=101)])
def test_another_picture_does_not_pass(other):
    """A height of 0.01 is three quarters of a pixel here."""
    assert not same_picture(drawn(), drawn(**other))


def without_ids(nb):
    for cell in nb.cells:
        del cell["id"]
    nb.nbformat_minor = 4


def renumbered(nb):
    for i, cell in enumerate(nb.cells):
        cell.id = f"cell-{i}"


@pytest.mark.parametrize("lose", [without_ids, renumbered])
def test_lost_ids_are_said(stored, tmp_path, monkeypatch, capsys, lose):
    """As Kaggle's format, nbstripout and some editors do: one sentence with the way back, and nothing is written."""
    nb = copy.deepcopy(stored)
    lose(nb)
    path = tmp_path / NOTEBOOK.name
    path.write_text(nbformat.writes(nb))
    before = path.read_bytes()
    monkeypatch.setattr(cells, "NOTEBOOK", path)
    with pytest.raises(SystemExit, match=f"have lost their ids.*git checkout {path}"):
        cells.read(path)
    notebook = SimpleNamespace(path=path, nb=nbformat.read(path, 4), CollectError=RuntimeError)
    with pytest.raises(RuntimeError, match="have lost their ids|would run: 1, 2, 3"):
        list(nbval_strict.collect(notebook, lambda notebook: []))
    assert path.read_bytes() == before and capsys.readouterr() == ("", "")


@pytest.mark.parametrize("spoil, said", [
    (lambda text: text.replace("\n", "\n<<<<<<< HEAD\n", 1), "git conflict"), (lambda text: text[:5000], "cut short"),
    (lambda text: text.replace('"id": "item-intro"', '"id": "title"'), "the same id")])
def test_a_notebook_that_can_t_be_read_is_said(tmp_path, spoil, said):
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert spoil(text) != text
    (tmp_path / "a.ipynb").write_text(spoil(text), encoding="utf-8")
    with pytest.raises(SystemExit, match=said):
        cells.read(tmp_path / "a.ipynb")


def test_no_answer_is_left_out_silently(stored):
    nb = copy.deepcopy(stored)
    next(cell for cell in nb.cells if cell.id == "exercise-abs").id = "a1b2c3"
    notebook = SimpleNamespace(path="elsewhere", nb=nb, CollectError=RuntimeError)
    with pytest.raises(RuntimeError, match="would run: 2\\."):
        list(nbval_strict.collect(notebook, lambda notebook: []))


def shifted(levels):
    """A grey image, one pixel of which is brighter by so many levels."""
    pixels = np.full((20, 30), 100, dtype=np.uint8)
    pixels[10, 10] += levels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_the_tolerance_is_for_a_single_pixel():
    assert same_picture(shifted(0), shifted(PIXEL_TOLERANCE))
    assert not same_picture(shifted(0), shifted(PIXEL_TOLERANCE + 1))


def picture_output(data, text="<Figure>"):
    return new_output("display_data", {"image/png": base64.b64encode(data).decode(), "text/plain": text})


def printed(text, name="stdout"):
    return new_output("stream", text=text, name=name)


def test_what_make_refresh_takes_for_the_same():
    assert same_outputs([picture_output(drawn())], [picture_output(drawn())])
    assert not same_outputs([picture_output(drawn())], [picture_output(drawn(3.5))])
    assert same_outputs([picture_output(drawn())], [picture_output(drawn(3.5))], varies=True)
    assert not same_outputs([picture_output(drawn())], [picture_output(drawn(3.5), "<Figure!>")], varies=True)
    assert not same_outputs([picture_output(drawn())], [], varies=True)
    assert same_outputs([printed("1\n2\n")], [printed("1\n"), printed("2\n")])
    assert not same_outputs([printed("1\n2\n")], [printed("1\n"), printed("2\n", "stderr")])


@pytest.mark.parametrize("text, expected", [
    ("loading      0.064 s", "loading# s"), ("28% of an epoch", "#% of an epoch"), ("26× faster", "#× faster"),
    ("on cuda:0, True", "on #, #"), ("wider than: [512, 2048]", "wider than:#"), ("wider than: []", "wider than:#"),
    ("1,234 of 3e-05.", "# of#."), ("sha256 v2 0x1f x1", "sha256 v2 0x1f x1"), ("nan inf cpus", "nan inf cpus"),
    ("accuracy: -0.5", "accuracy:#")])
def test_what_is_left_out_of_a_cell_that_varies(text, expected):
    assert words(text) == expected


def changed(nb, index, **fields):
    other = copy.deepcopy(nb)
    other.cells[index].outputs[0].update(fields)
    return other


def test_refresh_keeps_what_is_the_same_and_the_figures_of_one_run(good):
    again = changed(changed(good, 0, text="accuracy 0.9652\n"), 1, text="it took 9.9 s on cpu\n")
    assert refreshed(good, again).cells[1].outputs == good.cells[1].outputs
    other = changed(again, 0, text="accuracy 0.9653\n")
    assert refreshed(good, other).cells[0].outputs == other.cells[0].outputs
    assert refreshed(good, other).cells[1].outputs == other.cells[1].outputs
    assert refreshed(good, other).cells[3].outputs == good.cells[3].outputs


def test_refresh_writes_the_words_of_a_picture_of_durations(good):
    assert good.cells[5].metadata.drawn["words"] == ["Two bars", "seconds"]
