"""A copy of the notebook in JupyterLab and in Notebook 7, in a real Chromium. Screenshots go to build/."""

import os
import subprocess
import sys
import time

import nbformat
import pytest
from jupyter_server.serverapp import list_running_servers
from playwright.sync_api import expect

from handwriting import Field
from notebook_file import BUILD, ROOT, code_cells, core, read

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(1200)]

READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.content?.model?.sharedModel.cells.length > 1
      && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""


class Book:
    """A notebook that is open on a page, and its file. Cells are named by their ids."""

    def __init__(self, page, file):
        self.page, self.file = page, file

    def js(self, code, name=None):
        """What the code returns. It may use Jupyter's `panel` and the `cell` of this name."""
        start = """async name => {
            const panel = jupyterapp.shell.currentWidget, {content} = panel;
            const cell = content.widgets.find(widget => widget.model.id === name);"""
        return self.page.evaluate(start + code + "}", name)

    def scroll_to(self, name):
        """The cell on the page."""
        index = self.js("""const index = content.widgets.indexOf(cell);
                           await content.scrollToItem(index, 'center');
                           return index;""", name)
        return self.page.locator(f".jp-Notebook-cell[data-windowed-list-index='{index}']")

    def run_all(self):
        """Run all cells and save the notebook: each cell has run, in order. Returns what was saved."""
        assert self.js("const done = await jupyterapp.commands.execute('notebook:run-all-cells'); "
                       "await panel.context.save(); return done")
        nb = nbformat.read(self.file, as_version=4)
        counts = [cell.execution_count for cell in code_cells(nb)]
        assert counts == [*range(1, len(counts) + 1)]
        return nb


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab, which serves Notebook 7, too: the folder that it shows, its address and its token."""
    folder, home = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("jupyter")
    (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
    env = os.environ | {f"JUPYTER_{kind}_DIR": str(home) for kind in ("CONFIG", "DATA", "RUNTIME")}
    seen = [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", *seen]
    with subprocess.Popen(command, cwd=folder, env=env) as process:
        try:
            while not any(home.glob("jpserver-*-open.html")):   # the last that it writes before it answers
                assert process.poll() is None
                time.sleep(0.1)
            told, = list_running_servers(home)
            yield folder, told["url"], told["token"]
        finally:
            process.terminate()


@pytest.fixture
def book(chromium, server, request):
    """What `request.param` makes of the notebook, open in the program that it names."""
    (path, part), (folder, url, token) = request.param, server
    file = folder / f"{request.node.originalname}.ipynb"
    nbformat.write(part(read()), file)
    with chromium.new_page(viewport={"width": 1400, "height": 1000}) as page:
        page.set_default_timeout(60_000)
        page.goto(f"{url}{path}/{file.name}?token={token}")
        page.wait_for_function(READY)
        book = Book(page, file)
        yield book
        BUILD.mkdir(exist_ok=True)
        page.screenshot(path=BUILD / f"{file.stem}.png")
        book.js("await panel.sessionContext.shutdown()")


def check_what_the_reader_sees(book, nb):
    """Pictures and equations are drawn when the reader gets there, and folded code unfolds with a click.

    The field to write in reads, and the program's own shortcuts leave the keys of its parts alone.
    """
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            if "$" in cell.source:
                book.scroll_to(cell.id).locator("mjx-container :is(svg, mjx-math)").first.wait_for()
            continue
        on_page = book.scroll_to(cell.id)
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            on_page.locator(".jp-OutputArea img").first.evaluate("picture => picture.decode()")
        editor = on_page.locator(".jp-InputArea-editor")
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            expect(editor).to_be_hidden()
            on_page.locator(".jp-InputPlaceholder").click()
        expect(editor).to_be_visible()

    field = Field(book.page)
    book.scroll_to("draw")
    field.part("canvas").evaluate("canvas => canvas.scrollIntoView()")
    assert field.n_read() >= 9
    for name, key, value in [("moment", "ArrowLeft", "8"), ("ready", "ArrowDown", "119149")]:
        field.part(name).press(key)
        assert field.part(name).input_value() == value


@pytest.mark.parametrize("book", [("lab/tree", lambda nb: nb)], indirect=True)
def test_lab(book, differing):
    """The whole notebook: the stored results."""
    nb = book.run_all()
    assert differing(nb) == []
    check_what_the_reader_sees(book, nb)


@pytest.mark.parametrize("book", [("notebooks", core)], indirect=True)
def test_notebook7(book):
    """The core: change a setting and run all; restart the kernel half-way and run all again."""
    book.js("const {sharedModel} = cell.model; "
            "sharedModel.setSource(sharedModel.getSource() + '\\nhidden_size = 64')", "parameters")
    book.js("jupyterapp.commands.execute('notebook:run-all-cells').then(done => { window.done = done; })")
    book.js("while (cell.model.executionState !== 'running') await new Promise(requestAnimationFrame)",
            "first-fit")
    book.js("jupyterapp.commands.execute('notebook:restart-kernel').then(() => { window.again = true; })")
    book.page.click(".jp-Dialog .jp-mod-accept")
    book.page.wait_for_function("window.done === false && window.again")
    book.page.wait_for_function(READY)
    nb = book.run_all()
    assert any("[64, 784]" in cell.outputs[0].text for cell in nb.cells if cell.id == "model-create")
    check_what_the_reader_sees(book, nb)
