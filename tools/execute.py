"""Execute the notebook. `make run` and `make refresh` call this.

    python tools/execute.py run       execute a copy: build/04-feedforward-nn.ipynb, .html; both in Chinese
    python tools/execute.py refresh   execute the notebook in place; what comes out the same stays as it is
"""

import base64
import concurrent.futures
import copy
import io
import os
import re
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

import latex2mathml.converter
import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html_mistune
from PIL import Image
from tqdm import tqdm

from compare import difference, in_words, png
from files import replace
from notebook_file import BUILD, CHINESE, NOTEBOOK, ROOT, as_text, code_cells, has_tag, read
from texts import texts, with_texts

FILM = ROOT / ".github" / "hidden-units.png"   # what README opens with; its last frame, the notebook
EDITIONS = {"en": NOTEBOOK.stem, "zh": f"{NOTEBOOK.stem}.zh"}   # the files of build/ without their suffix
# The kernel warns of two things that do no harm here: it listens without encryption, and it was stopped.
QUIET = ["--log-level=CRITICAL"]
# Settings of Python, Jupyter, IPython and matplotlib that stay: encodings, and folders to write in.
ALLOWED = ["PYTHONUTF8", "PYTHONIOENCODING", "PYTHONPYCACHEPREFIX", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"]
EMPTY = tempfile.TemporaryDirectory(prefix="without-settings-", ignore_cleanup_errors=True)
STAND_IN_NOTICE = "These are NOT the MNIST digits but a stand-in; the figures in the text do not match."

# Kernels start as on a fresh account; nobody watches their progress bars. Settings of the user's own may take
# pictures away (MPLBACKEND), switch assertions off (PYTHONOPTIMIZE), show warnings (PYTHONDEVMODE) or more
# outputs (IPython's), or bring other packages and kernels in.
for name in [*os.environ]:
    if name.upper().startswith(("PYTHON", "JUPYTER", "IPYTHON", "MPL", "MATPLOTLIB")) and name not in ALLOWED:
        del os.environ[name]
os.environ |= {"IPYTHONDIR": EMPTY.name, "MATPLOTLIBRC": os.devnull, "TQDM_DISABLE": "1"}


def picture(nb, cell_id):
    """The bytes of the picture that a cell draws."""
    return next(png(output) for cell in nb.cells if cell.id == cell_id for output in cell.outputs)


# In the text, but not in code: a formula, and the space before a percent sign.
FORMULA = re.compile(r"```.*?```|`[^`]*`|\\.|\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^$\n]+)\$"
                     r"|(?<=\d)(?P<percent> %)", re.S)
# Names, signs and spaces, which page.css gives no colour: their marks are an eighth of the page.
PLAIN_CODE = re.compile(r'<span class="(?:n|nn|nb|bp|o|p|w)">([^<]*)</span>')


def for_browsers(text):
    """A Markdown text with its formulas in MathML, and percent signs that stay by their number."""
    def written(match):
        if match["percent"]:
            return "\u00a0%"
        tex, mode = match["display"] or match["inline"], "block" if match["display"] else "inline"
        try:
            return latex2mathml.converter.convert(tex, display=mode) if tex else match[0]
        except Exception:   # it has its own for each mistake in a formula: the reader sees what was written
            return match[0]
    return FORMULA.sub(written, text)


def still(film, format="PNG"):
    """A film's last frame, or a picture as it is: PNG (bytes) to PNG or lossless WebP."""
    with Image.open(io.BytesIO(film)) as image:   # of a film, the frame for programs that show none: the last
        file = io.BytesIO()
        image.convert("RGBA").save(file, format, lossless=True, method=6, optimize=True)
    return file.getvalue()


def webp(picture):
    """A PNG in base64 as WebP without a loss, a film as its last frame."""
    return base64.b64encode(still(base64.b64decode(picture), "WEBP")).decode()


def contents(nb):
    """The headings of a notebook's sections and parts: (level, text, anchor), as nbconvert makes them."""
    text = "\n\n".join(cell.source.replace("![", "[") for cell in nb.cells if cell.cell_type == "markdown")
    found = re.findall(r'<h([2-6]) id="([^"]*)">(.*?)<a class="anchor-link"', markdown2html_mistune(text))
    return [(level, unescape(re.sub("<[^>]+>", "", html)), unescape(anchor)) for level, anchor, html in found]


def page(nb, language="en", address=None):
    """A notebook as an HTML page that needs no other file and no network, linked to the other edition.

    The film stands still: its place is taken by the slider of the field. `address` is where the page's folder
    will be published, together with the film: those who share a link need it.
    """
    title, description = re.match(r"#* *(.*)\s*(?:\*(.*)\*)?", nb.cells[0].source).groups(default="")
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = for_browsers(cell.source)
        for attached in cell.get("attachments", {}).values():
            if "image/png" in attached:
                attached["image/webp"] = webp(attached.pop("image/png"))
    exporter = HTMLExporter(template_name="page", extra_template_basedirs=[str(Path(__file__).parent)],
                            filters={"webp": webp})
    resources = {"metadata": {"name": title}, "description": description, "contents": contents(nb),
                 "files": EDITIONS, "language": language, "address": address, "share_picture": FILM.name}
    return PLAIN_CODE.sub(r"\1", exporter.from_notebook_node(nb, resources)[0])


def files(nb, address=None):
    """What `make run` writes of an executed notebook: {path: content}."""
    written = {}
    for language, edition in {"en": nb, "zh": with_texts(nb, texts(read(CHINESE)))}.items():
        written[BUILD / f"{EDITIONS[language]}.ipynb"] = as_text(edition)
        written[BUILD / f"{EDITIONS[language]}.html"] = page(edition, language, address)
    return written


def run():
    """Execute a copy of the notebook into build/, on the stand-in if MNIST can't be had."""
    nb, _ = read(), read(CHINESE)   # what is wrong with one is said before the minutes of an execution
    status = subprocess.run([sys.executable, ROOT / "data" / "prepare.py"]).returncode
    if status == 3:
        print(f"\nGoing on without MNIST. {STAND_IN_NOTICE}\n", flush=True)
        subprocess.run([sys.executable, ROOT / "data" / "stand_in.py"], check=True)
        settings = next(i for i, cell in enumerate(nb.cells) if cell.id == "parameters")
        nb.cells.insert(settings + 1, nbformat.v4.new_code_cell('data_root = "data/stand-in"'))
    elif status:
        sys.exit(status)
    nb = executed(nb)
    BUILD.mkdir(exist_ok=True)
    for path, content in files(nb, os.environ.get("PAGE_ADDRESS")).items():
        replace(path, content)
    print()
    for cell in nb.cells:
        if has_tag(cell, "result"):
            print(cell.outputs[0].text, end="")
    if status == 3:
        print(STAND_IN_NOTICE)
    english, chinese = (f"build/{name}.html" for name in EDITIONS.values())
    print(f"To read it, open {english} in a browser. To work with it: make lab.")
    sys.stdout.reconfigure(errors="backslashreplace")   # a console may have no Chinese letters
    print(f"中文版：用浏览器打开 {chinese}，或者运行 make lab-zh。")


def executed(nb, before_it="", folder=ROOT):
    """A copy of a notebook, executed in `folder`. The kernel executes the code `before_it` first."""
    fresh = copy.deepcopy(nb)
    fresh.cells.append(nbformat.v4.new_code_cell(before_it))   # nbclient needs a place
    client = NotebookClient(fresh, record_timing=False, coalesce_streams=True, kernel_name="python3",
                            extra_arguments=QUIET, resources={"metadata": {"path": folder}})
    with client.setup_kernel():
        client.execute_cell(fresh.cells[-1], len(fresh.cells) - 1, store_history=False)
        for i, cell in enumerate(tqdm(fresh.cells[:-1], "Executing", unit="cell", disable=None)):
            client.execute_cell(cell, i)
    fresh.cells.pop()
    return fresh


def refreshed(stored, fresh):
    """A freshly executed notebook; cells whose outputs are the same keep the stored ones. Prints the others.

    If any cell's are not, durations come from the fresh run, too: the figures of one run stand together.
    """
    result = copy.deepcopy(fresh)
    pairs = list(zip(code_cells(stored), code_cells(result), strict=True))
    changes = {before.id: in_words(difference(before, after.outputs)) if before.outputs else
               ["new"] * bool(after.outputs) for before, after in pairs}
    for before, after in pairs:
        if not changes[before.id] and (not any(changes.values()) or not has_tag(after, "varies")):
            after.outputs = before.outputs
    result.metadata = copy.deepcopy(stored.metadata)
    for key in {*result.metadata.language_info} - {"name", "file_extension", "mimetype", "pygments_lexer"}:
        del result.metadata.language_info[key]   # JupyterLab adds what differs from machine to machine
    for cell_id, lines in changes.items():
        for line in lines:
            print(f"{cell_id}: {line}")
    if any(changes.values()):
        varying = [cell.id for cell in code_cells(result) if has_tag(cell, "varies")]
        print(f"These vary, and are of the same run now: {', '.join(varying)}")
    return result


def refresh():
    """Execute the notebook in place; put the film that it draws beside README, its last frame at the top."""
    before, stored = NOTEBOOK.read_bytes(), read()
    nb = refreshed(stored, executed(stored))
    if NOTEBOOK.read_bytes() != before:
        sys.exit("The notebook was changed while it was executed: nothing is written. "
                 "Save it, and run this again.")
    film = picture(nb, "hidden-units")
    nb.cells[0].attachments = {FILM.name: {"image/png": base64.b64encode(still(film)).decode()}}
    replace(NOTEBOOK, as_text(nb))
    replace(FILM, film)


if __name__ == "__main__":
    commands = {"run": run, "refresh": refresh}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    # In the main thread, Jupyter's client would make forty lines of Ctrl-C.
    work = concurrent.futures.ThreadPoolExecutor(1).submit(commands[sys.argv[1]])
    try:
        while concurrent.futures.wait([work], timeout=0.2).not_done:
            pass
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr, flush=True)
        EMPTY.cleanup()
        os._exit(130)   # the kernel sees it and ends as well
    work.result()
