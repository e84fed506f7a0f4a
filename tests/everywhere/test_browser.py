"""The notebook in JupyterLab, started as `make lab` starts it, and in Notebook 7: a real Chromium opens and runs it.

Everything happens on a copy in a temporary folder. Each test leaves a screenshot in build/.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

from cells import BUILD, NOTEBOOK, ROOT, core, has_tag, read
from handwriting import PLAIN, logits, n_read, seen, with_mouse
from compare import words

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(1800)]

LAB, NOTEBOOK7 = ["lab", NOTEBOOK.name], ["notebook", NOTEBOOK.name]

PROGRESS_BARS = re.compile(r"(?:\s*\d+%\|[^|\n]*\|.*)*\s*")
# Reads the model: cells far down the page may not be drawn.
CELLS = """() => {
  const cells = jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
  return cells.map(cell => cell.toJSON());
}"""
READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.content?.model?.sharedModel.cells.length > 1
      && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""
RUN_ALL = "() => jupyterapp.commands.execute('notebook:run-all-cells')"
# Whether every picture in the cell has been drawn, or every equation typeset.
DRAWN = """async index => {
  const content = jupyterapp.shell.currentWidget.content;
  await content.scrollToItem(index, 'center');
  for (let wait = 0; wait < 50; wait++) {
    const node = content.widgets[index].node;
    const pictures = [...node.querySelectorAll('.jp-OutputArea img')];
    const drawn = pictures.length + node.querySelectorAll('mjx-container svg, mjx-container mjx-math').length;
    if (drawn > 0 && pictures.every(picture => picture.naturalWidth > 0)) return drawn;
    await new Promise(done => setTimeout(done, 100));
  }
  return 0;
}"""
# How many lines a cell has printed, looked at twenty times a second.
WATCH = """index => {
  const area = jupyterapp.shell.currentWidget.content.widgets[index].model.outputs;
  window.seen = [];
  setInterval(() => {
    const text = area.toJSON().map(output => [output.text].flat().join('')).join('');
    window.seen.push(text.split('\\n').length - 1);
  }, 50);
}"""

# How far a cell's progress bar is. The cell is scrolled to, for JupyterLab draws only what is near.
WATCH_BAR = """async index => {
  const content = jupyterapp.shell.currentWidget.content;
  await content.scrollToItem(index, 'center');
  window.bar = [];
  setInterval(() => {
    const found = content.widgets[index].node.textContent.match(/\\b(\\d+)\\/5\\b/);
    if (found) window.bar.push(Number(found[1]));
  }, 100);
}"""


# Whether a cell's code can be seen: as it is, and after a click on what stands in its place.
UNFOLDED = """async index => {
  const content = jupyterapp.shell.currentWidget.content;
  await content.scrollToItem(index, 'center');
  const node = content.widgets[index].node;
  const seen = () => (node.querySelector('.jp-InputArea-editor')?.getClientRects().length ?? 0) > 0;
  const before = seen();
  node.querySelector('.jp-InputPlaceholder')?.click();
  await new Promise(done => setTimeout(done, 300));
  return [before, seen()];
}"""


def start(command, app, nb, folder):
    """Start a Jupyter server on a notebook, written to `folder`. Returns (process, address of the notebook)."""
    work, settings = folder / "work", folder / "settings"
    work.mkdir()
    nbformat.write(nb, work / NOTEBOOK.name)
    (work / "data").symlink_to(ROOT / "data", target_is_directory=True)
    news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    env = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"} | {
        "JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_DATA_DIR": str(folder / "share"), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_TOKEN": token}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", *command, "--no-browser", "--ip=127.0.0.1", f"--port={port}",
             "--ServerApp.port_retries=0", "--allow-root", f"--{app}.expose_app_in_browser=True"],
            cwd=work, env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for attempt in range(300):
        try:
            urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=5).close()
            break
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.1)
    page = "lab/tree" if command[0] == "lab" else "notebooks"
    return process, f"{address}/{page}/{NOTEBOOK.name}?token={token}"


@pytest.fixture
def opened(chromium, tmp_path, request):
    """The notebook or its core, open in the program that `request.param` names."""
    command, app, part = request.param
    process, address = start(command, app, part(read()), tmp_path)
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_function(READY)
    yield page
    page.close()
    process.terminate()
    process.wait(timeout=30)


def whole(nb):
    return nb


def opening(command, app, part):
    return pytest.mark.parametrize("opened", [(command, app, part)], indirect=True, ids=[part.__name__])


def number(page, name):
    """The position of the cell with this id."""
    return [cell["id"] for cell in page.evaluate(CELLS)].index(name)


def text(cell):
    """What a cell has printed, without progress bars."""
    return "".join("".join(output.get("text", "")) for output in cell["outputs"] if output.get("name") != "stderr")


def run_all(page):
    """Run all cells and check that every one ran, in order, and none failed. Returns the cells by their id."""
    assert page.evaluate(RUN_ALL) is True, [
        output for cell in page.evaluate(CELLS) for output in cell.get("outputs", []) if output["output_type"] == "error"]
    cells = page.evaluate(CELLS)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    assert counts == list(range(counts[0], counts[0] + len(code)))
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"
                or output.get("name") == "stderr" and not PROGRESS_BARS.fullmatch("".join(output["text"]))]
    return {cell["id"]: cell for cell in cells}


def check_drawn(page, cells, screenshot):
    """Every picture and every equation appears on the page when the reader gets there."""
    pictures = [name for name, cell in cells.items()
                if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))]
    equations = [name for name, cell in cells.items()
                 if cell["cell_type"] == "markdown" and "$" in "".join(cell["source"])]
    assert len(pictures) > 5 and equations
    for name in equations + pictures:
        assert page.evaluate(DRAWN, list(cells).index(name)), f"nothing drawn for cell {name}"
    for name in (equations[0], "accuracy-curves"):
        page.evaluate(DRAWN, list(cells).index(name))
        page.screenshot(path=BUILD / f"{screenshot}-{name}.png")


def check_folds(page, cells, screenshot):
    """The code of the folded cells is hidden until it is clicked, and that of the others is there."""
    folded = {name: cell["metadata"].get("jupyter", {}).get("source_hidden", False) for name, cell in cells.items()
              if cell["cell_type"] == "code"}
    assert sum(folded.values()) > 8
    page.evaluate(DRAWN, list(cells).index("regions"))
    page.screenshot(path=BUILD / f"{screenshot}-folded.png")
    for name in [name for name, is_folded in folded.items() if is_folded] + ["accuracy", "fit"]:
        assert page.evaluate(UNFOLDED, list(cells).index(name)) == [not folded[name], True], name


def asked(page, code):
    """What the kernel prints, asked beside the notebook."""
    return page.evaluate("""async code => {
      const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
      const future = kernel.requestExecute({code, store_history: false});
      let printed = '';
      future.onIOPub = message => { printed += message.content.text ?? ''; };
      await future.done;
      return printed;
    }""", code)


def check_digits(page, cells, screenshot):
    """The field to write in answers, and as the model does that the kernel holds."""
    page.evaluate("""async index => {
      await jupyterapp.shell.currentWidget.content.scrollToItem(index, 'start');
      document.querySelector('.digit-canvas').scrollIntoView();
    }""", list(cells).index("draw"))
    assert n_read(page, with_mouse, PLAIN) >= 9
    page.screenshot(path=BUILD / f"{screenshot}-digit.png")
    code = f"print(model(torch.tensor([{seen(page)}], device=device) / 255).tolist()[0])"
    assert max(abs(a - b) for a, b in zip(logits(page), json.loads(asked(page, code)), strict=True)) < 0.01


@opening(LAB, "LabApp", whole)
def test_lab(opened):
    """Run all: the stored results, with epochs and progress bars appearing as they come."""
    page = opened
    BUILD.mkdir(exist_ok=True)
    stored = read()
    page.evaluate(WATCH, number(page, "first-fit"))
    page.evaluate(WATCH_BAR, number(page, "sizes-run"))
    cells = run_all(page)
    bar = page.evaluate("window.bar")
    assert len(set(bar)) > 5 and bar[-1] == 5 and bar == sorted(bar), f"the progress bar showed {bar}"
    page.screenshot(path=BUILD / "lab-progress.png")
    assert {1, 2, 3, 4, 5} <= set(page.evaluate("window.seen")), "the epochs' lines did not appear one by one"
    for before in stored.cells:
        if before.cell_type == "code":
            comparable = words if has_tag(before, "varies") else str
            assert comparable(text(before)) == comparable(text(cells[before.id])), before.id
    check_drawn(page, cells, "lab")
    check_folds(page, cells, "lab")
    check_digits(page, cells, "lab")


@opening(LAB, "LabApp", core)
def test_lab_with_a_changed_setting_and_a_restart(opened):
    """Change a setting and run all; restart the kernel half-way and run all again."""
    page = opened
    BUILD.mkdir(exist_ok=True)
    settings = "hidden_size = 64\nepochs = 1\nfine_epochs = 1"
    page.evaluate("""([index, lines]) => {
      const cell = jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel;
      cell.setSource(cell.getSource() + '\\n' + lines);
    }""", [number(page, "parameters"), settings])
    cells = run_all(page)
    assert "[64, 784]" in text(cells["model-create"]) and text(cells["first-fit"]).count("\n") == 1
    page.evaluate(DRAWN, list(cells).index("hidden-units"))
    page.screenshot(path=BUILD / "lab-changed.png")

    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells').then(done => { window.done = done; }); }")
    half_way = number(page, "first-fit")
    page.wait_for_function("""index => {
      const cell = jupyterapp.shell.currentWidget.content.widgets[index].model;
      return cell.executionState === 'running';
    }""", arg=half_way)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:restart-kernel').then(() => { window.again = true; }); }")
    page.click(".jp-Dialog .jp-mod-accept")
    page.wait_for_function("() => window.done === false && window.again")
    page.wait_for_function(READY)
    page.screenshot(path=BUILD / "lab-restarted.png")
    assert page.evaluate(CELLS)[number(page, "second-fit")]["execution_count"] is None
    cells = run_all(page)
    assert cells["imports"]["execution_count"] == 1
    page.evaluate(DRAWN, list(cells).index("hidden-units"))
    page.screenshot(path=BUILD / "lab-after-restart.png")


@opening(NOTEBOOK7, "JupyterNotebookApp", core)
def test_notebook7(opened):
    BUILD.mkdir(exist_ok=True)
    cells = run_all(opened)
    assert "epoch 5 of 5: validation loss 0.1" in text(cells["second-fit"])
    check_drawn(opened, cells, "notebook7")
    check_folds(opened, cells, "notebook7")
    check_digits(opened, cells, "notebook7")
