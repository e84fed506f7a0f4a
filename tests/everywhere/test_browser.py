"""The notebook in JupyterLab, as `make lab` starts it, and in Notebook 7: a real Chromium opens and runs it.

Everything happens on a copy in a temporary folder. Each test leaves a screenshot in build/.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from playwright.sync_api import expect

from compare import without_numbers
from handwriting import Field
from notebook_file import BUILD, NOTEBOOK, core, has_tag, read

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(1800)]

PROGRESS_BARS = re.compile(r"(?:\s*\d+%\|[^|\n]*\|.*)*\s*")
# What `python -m jupyter` starts, the name of its program, and where it shows notebooks.
LAB, NOTEBOOK7 = ("lab", "LabApp", "lab/tree"), ("notebook", "JupyterNotebookApp", "notebooks")
READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.content?.model?.sharedModel.cells.length > 1
      && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""


class Book:
    """A notebook that is open on a page. Cells are named by their ids."""

    def __init__(self, page):
        self.page = page

    def js(self, code, name=None, argument=None):
        """What the code returns. It may use Jupyter's `panel`, the `cell` of this name, and `argument`."""
        start = """async ([name, argument]) => {
            const panel = jupyterapp.shell.currentWidget, {content} = panel;
            const cell = content.widgets.find(widget => widget.model.id === name);"""
        return self.page.evaluate(start + code + "}", [name, argument])

    def cells(self):
        """Read from the model: cells far down the page may not be drawn."""
        cells = self.js("return content.model.sharedModel.cells.map(cell => cell.toJSON())")
        return {cell["id"]: cell for cell in cells}

    def scroll_to(self, name):
        """The cell on the page."""
        index = self.js("""const index = content.widgets.indexOf(cell);
                           await content.scrollToItem(index, 'center');
                           return index;""", name)
        return self.page.locator(f".jp-Notebook-cell[data-windowed-list-index='{index}']")

    def run_all(self):
        """Run all cells and check that every one ran, in order, and none failed. Returns the cells."""
        done = self.js("return await jupyterapp.commands.execute('notebook:run-all-cells')")
        cells = self.cells()
        code = [cell for cell in cells.values() if cell["cell_type"] == "code"]
        outputs = [output for cell in code for output in cell["outputs"]]
        failures = [output for output in outputs if output["output_type"] == "error" or
                    output.get("name") == "stderr" and not PROGRESS_BARS.fullmatch("".join(output["text"]))]
        assert done and not failures, failures
        counts = [cell["execution_count"] for cell in code]
        assert counts == list(range(counts[0], counts[0] + len(code)))
        return cells


@pytest.fixture
def book(chromium, folder_with_data, request):
    """What `request.param` makes of the notebook, open in the program that it names."""
    (command, app, path), part = request.param
    nbformat.write(part(read()), folder_with_data / NOTEBOOK.name)
    home = folder_with_data / ".jupyter"
    home.mkdir()
    env = os.environ | {f"JUPYTER_{kind}_DIR": str(home) for kind in ("CONFIG", "DATA", "RUNTIME")}
    del env["TQDM_DISABLE"]   # here somebody watches
    with (chromium.new_page(viewport={"width": 1400, "height": 1000}) as page, open(home / "log", "w") as log,
          subprocess.Popen([sys.executable, "-m", "jupyter", command, "--no-browser", "--allow-root",
                            "--ip=127.0.0.1", "--port=0", f"--{app}.expose_app_in_browser=True"],
                           cwd=folder_with_data, env=env, stdout=log, stderr=log) as process):
        try:
            server = None
            while server is None:
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
                for file in home.glob("jpserver-*.json"):
                    with contextlib.suppress(OSError, ValueError):   # half written, or not listening yet
                        told = json.loads(file.read_text())
                        urllib.request.urlopen(f"{told['url']}api/status?token={told['token']}").close()
                        server = told
            page.set_default_timeout(60_000)
            page.goto(f"{server['url']}{path}/{NOTEBOOK.name}?token={server['token']}")
            page.wait_for_function(READY)
            yield Book(page)
            BUILD.mkdir(exist_ok=True)
            page.screenshot(path=BUILD / f"{request.node.originalname}.png")
        finally:
            process.terminate()


def text(cell):
    """What a cell has printed, without progress bars."""
    printed = [output.get("text", "") for output in cell["outputs"] if output.get("name") != "stderr"]
    return "".join(map("".join, printed))


def check_what_the_reader_sees(book, cells):
    """Pictures and equations are drawn when the reader gets there, and folded code unfolds with a click."""
    drawn, folded = set(), set()
    for name, cell in cells.items():
        if cell["cell_type"] == "markdown" and "$" in "".join(cell["source"]):
            book.scroll_to(name).locator("mjx-container :is(svg, mjx-math)").first.wait_for()
            drawn.add("equation")
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            pictures = book.scroll_to(name).locator(".jp-OutputArea img")
            pictures.first.wait_for()
            for picture in pictures.all():
                picture.evaluate("picture => picture.decode()")   # fails if it can't be drawn
            drawn.add(name)
        if cell["cell_type"] == "code":
            on_page = book.scroll_to(name)
            editor = on_page.locator(".jp-InputArea-editor")
            if cell["metadata"].get("jupyter", {}).get("source_hidden"):
                expect(editor).to_be_hidden()
                on_page.locator(".jp-InputPlaceholder").click()
                folded.add(name)
            expect(editor).to_be_visible()
    assert len(drawn) > 5 and "equation" in drawn and len(folded) > 8


def check_field(book):
    """The field to write in answers, and as the model does that the kernel holds."""
    field = Field(book.page)
    book.scroll_to("draw")
    field.part("canvas").evaluate("canvas => canvas.scrollIntoView()")
    assert field.share_read() >= 0.9
    field.part("moment").press("ArrowLeft")   # the program's own shortcuts leave it alone
    assert field.part("moment").input_value() == "8"
    field.part("moment").press("End")
    ink = field.pixels("seen")[..., 3].flatten().tolist()
    logits = book.js("""const {kernel} = panel.sessionContext.session;
                        const future = kernel.requestExecute({code: argument, store_history: false});
                        let printed = '';
                        future.onIOPub = message => { printed += message.content.text ?? ''; };
                        await future.done;
                        return JSON.parse(printed);""",
                     argument=f"print(model(torch.tensor([{ink}], device=device)).tolist()[0])")
    assert field.bars()[1] == pytest.approx(logits, abs=0.01)


@pytest.mark.parametrize("book", [(LAB, lambda nb: nb)], indirect=True)
def test_lab(book):
    """Run all: the stored results, with epochs and progress bars appearing as they come."""
    watch = "window[name] = new Set(); setInterval(() => window[name].add("
    book.js(watch + "JSON.stringify(cell.model.outputs.toJSON())), 50)", "first-fit")
    book.scroll_to("sizes-run")   # JupyterLab draws only what is near
    book.js(watch + "cell.node.textContent), 100)", "sizes-run")
    cells = book.run_all()
    lines = {printed.count("epoch ") for printed in book.js("return [...window[name]]", "first-fit")}
    assert lines >= {1, 2, 3, 4, 5}, "the epochs' lines did not appear one by one"
    shown = " ".join(book.js("return [...window[name]]", "sizes-run"))
    bar = re.findall(r"\b(\d)/5\b", shown)
    assert bar == sorted(bar) and set(bar) == set("012345"), f"the progress bar showed {bar}"
    for stored in read().cells:
        if stored.cell_type == "code":
            comparable = without_numbers if has_tag(stored, "varies") else str
            assert comparable(text(stored)) == comparable(text(cells[stored.id])), stored.id
    check_what_the_reader_sees(book, cells)
    check_field(book)


@pytest.mark.parametrize("book", [(NOTEBOOK7, core)], indirect=True)
def test_notebook7(book):
    cells = book.run_all()
    assert "epoch 5 of 5: validation loss 0.1" in text(cells["second-fit"])
    check_what_the_reader_sees(book, cells)
    check_field(book)


@pytest.mark.parametrize("book", [(LAB, core)], indirect=True)
def test_lab_with_a_changed_setting_and_a_restart(book):
    """Change a setting and run all; restart the kernel half-way and run all again."""
    book.js("cell.model.sharedModel.setSource(cell.model.sharedModel.getSource() + argument);", "parameters",
            "\nhidden_size = 64\nepochs = 1\nfine_epochs = 1")
    cells = book.run_all()
    assert "[64, 784]" in text(cells["model-create"]) and text(cells["first-fit"]).count("\n") == 1

    book.js("jupyterapp.commands.execute('notebook:run-all-cells').then(done => { window.done = done; })")
    book.js("while (cell.model.executionState !== 'running') await new Promise(requestAnimationFrame)",
            "first-fit")
    book.js("jupyterapp.commands.execute('notebook:restart-kernel').then(() => { window.again = true; })")
    book.page.click(".jp-Dialog .jp-mod-accept")
    book.page.wait_for_function("window.done === false && window.again")
    book.page.wait_for_function(READY)
    assert book.cells()["second-fit"]["execution_count"] is None
    assert book.run_all()["imports"]["execution_count"] == 1
    book.scroll_to("hidden-units")
