"""The notebook as a file and as a page: valid, complete, and the same on every machine."""

import ast
import base64
import copy
import io
import re
from html import unescape

import nbformat
import pytest
from PIL import Image

from compare import frames, png
from execute import FILM, contents, page, picture, still
from notebook_file import CHINESE, NOTEBOOK, ROOT, code_cells, definitions, has_tag, read


@pytest.fixture(scope="module")
def outputs(stored):
    """(The cell's id, an output), for each output."""
    return [(cell.id, output) for cell in code_cells(stored) for output in cell.outputs]


def draws(cell):
    return any(map(png, cell.outputs))


def test_the_file_is_as_make_refresh_writes_it(stored):
    """nbval has compared every output; what is left is how the file is written."""
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert nbformat.writes(stored) + "\n" == text
    assert len(text.encode()) < 2_200_000   # half are pictures, and a third the film, which it holds twice


def test_metadata_is_the_same_on_every_machine(stored):
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert stored.metadata.kernelspec.name == "python3" and "version" not in stored.metadata.language_info
    keys = {key for cell in stored.cells for key in cell.metadata}
    assert keys == {"tags", "alt", "drawn", "holds", "any_seed", "jupyter", "cellView"}


def test_outputs_are_text_and_pictures_and_the_field_to_write_in(outputs):
    """No error, no warning, no widget; one output is a page that runs by itself."""
    kinds = {(mime, cell_id if mime == "text/html" else "any") for cell_id, output in outputs
             for mime in output.get("data", [output.get("name")])}
    assert kinds == {("stdout", "any"), ("text/plain", "any"), ("image/png", "any"), ("text/html", "draw")}


def test_no_output_has_a_path(outputs):
    texts = [output.get("text") or output.data["text/plain"] for _, output in outputs]
    assert [text for text in texts if re.search(r"(?<![\w.])/(?:[\w.-]+/)+[\w.-]+|[A-Z]:\\", text)] == []


def test_no_widgets(stored):
    """Colab would store them in a way that GitHub takes for an invalid notebook."""
    pattern = r"tqdm\.(auto|notebook|autonotebook)|ipywidgets"
    assert [cell.id for cell in code_cells(stored) if re.search(pattern, cell.source)] == []


def test_every_picture_has_its_image_and_words(stored):
    for cell in code_cells(stored):
        assert sum(png(output) is not None for output in cell.outputs) <= 1, cell.id
        assert draws(cell) or "plt.show()" not in cell.source or has_tag(cell, "definition"), cell.id
        assert len(cell.metadata.get("alt", "")) > 20 or not draws(cell), f"{cell.id} has no alt text"


def test_what_is_folded_is_folded_everywhere(stored):
    """In Jupyter by one mark, in Colab by another; the first line is what a reader sees there."""
    cells = code_cells(stored)
    hidden = [cell.id for cell in cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert hidden == [cell.id for cell in cells if cell.metadata.get("cellView") == "form"]
    assert hidden == [cell.id for cell in cells if cell.source.startswith("# @title ")]


def test_it_is_as_short_as_it_promises(stored):
    """A picture in the first eight cells, a training soon, functions easy to take in, no line to scroll."""
    unfolded = [cell.source for cell in code_cells(stored) if "jupyter" not in cell.metadata]
    text = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    text = re.sub(r"<details>.*?</details>|<!--.*?-->", "", text, flags=re.S)
    lines = [line for source in unfolded for line in source.splitlines() if line.strip()]
    sizes = {"cells": len(stored.cells), "unfolded lines": len(lines), "words": len(text.split())}
    most = {"cells": 150, "unfolded lines": 420, "words": 6600}
    assert [f"{sizes[what]} {what}, at most {most[what]}" for what in most if sizes[what] > most[what]] == []
    assert any(draws(cell) for cell in stored.cells[:8] if cell.cell_type == "code")
    assert [bool(re.search(r"(?<!def )\bfit\(", source)) for source in unfolded].index(True) <= 22
    assert len(definitions(stored)["DIGIT_FIELD"].splitlines()) <= 100
    assert [line for cell in code_cells(stored) for line in cell.source.splitlines() if len(line) > 99] == []
    for name, most in {"accuracy": 3, "loss_batch": 9, "evaluate": 12, "fit": 14, "to_device": 8}.items():
        function, = [node for cell in code_cells(stored) for node in ast.parse(cell.source).body
                     if getattr(node, "name", "") == name]
        body = function.body[1:]   # without the docstring
        assert 1 + body[-1].end_lineno - body[0].lineno + 1 <= most, name


def test_every_assertion_speaks(stored):
    """A reader may trip it: by a cell that runs twice, or by settings of their own."""
    asserts = [(cell.id, node) for cell in code_cells(stored) for node in ast.walk(ast.parse(cell.source))
               if isinstance(node, ast.Assert)]
    assert len(asserts) > 5 and [cell_id for cell_id, node in asserts if not node.msg] == []


def test_no_metric_varies(stored):
    """The numbers of a cell tagged `varies` aren't compared: no loss and no accuracy may be printed there."""
    for cell in code_cells(stored):
        if has_tag(cell, "varies"):
            printed = [ast.unparse(node) for node in ast.walk(ast.parse(cell.source))
                       if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"]
            assert not re.search("loss|metric|accura|score|right|confus|predict", " ".join(printed)), cell.id


def test_the_film(stored):
    """It plays once, beside README; where no films are shown and in the title, its last frame stands."""
    film = picture(stored, "hidden-units")
    assert FILM.read_bytes() == film, f"{FILM.name} is not the film that the notebook draws: run make refresh"
    assert len(film) <= 400_000
    assert stored.cells[0].attachments == {FILM.name: {"image/png": base64.b64encode(still(film)).decode()}}
    assert f"(attachment:{FILM.name})" in stored.cells[0].source
    assert f"({FILM.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text(encoding="utf-8")
    (last, untimed), *moving = frames(film)
    assert untimed is None and last.tobytes() == moving[-1][0].tobytes()
    assert [duration for _, duration in moving] == [250] * 19
    assert all(before.tobytes() != after.tobytes() for (before, _), (after, _) in zip(moving, moving[1:]))
    with Image.open(io.BytesIO(film)) as image:
        assert image.info["loop"] == 1


# The page

def loaded(html):
    """What a page would fetch from elsewhere."""
    return re.findall(r'<(?:link|script|img|iframe)\b[^>]*?(?:src|href)="(?!data:)', html)


@pytest.mark.parametrize("path, language", [(NOTEBOOK, "en"), (CHINESE, "zh")])
def test_the_page_has_all_and_is_small(path, language):
    """What is to be guessed first is folded; the contents name every heading; nothing is loaded."""
    nb = read(path)
    html = page(nb, language)
    assert len(html.encode()) <= 1_500_000 and loaded(html) == []
    to_guess = [cell for cell in code_cells(nb) if has_tag(cell, "guess")]
    assert html.count('<details class="guess">') == len(to_guess) == 8
    anchors = [anchor for _, _, anchor in contents(nb)]
    assert len(anchors) > 25 and [anchor for anchor in anchors if f'id="{anchor}"' not in html] == []
    drawing = [cell for cell in code_cells(nb) if draws(cell)]
    assert html.count("image/webp") == len(drawing) + 1 and "acTL" not in html   # no film
    assert html.count({"en": "The last picture of the film. ", "zh": "动画的最后一帧。"}[language]) == 1
    words = unescape(html)
    assert [cell.id for cell in drawing if cell.metadata.alt not in words] == []


@pytest.fixture
def short(stored):
    """The notebook's first cells."""
    nb = copy.deepcopy(stored)
    nb.cells = nb.cells[:3]
    return nb


def test_the_page_says_what_it_is(short):
    """To search engines, and with a picture to those who share its address."""
    head = page(short, address="https://example.org/course/").split("</head>")[0]
    assert "<title>A neural network that reads handwritten digits</title>" in head
    told = {name: content for content, name in
            re.findall(r'<meta content="([^"]*)" (?:name|property)="([\w:]+)"', head)}
    assert told["og:image"] == "https://example.org/course/hidden-units.png"
    assert 50 < len(told["description"]) < 160
    assert "og:image" not in page(short)


@pytest.mark.parametrize("written, shown", [
    ("It is $x^2$, 5 % of it.", "<msup>"), (r"It costs \$5 and \$6.", "$5 and $6"),
    ("Broken: $x_$ here.", "$x_$ here"), ("`$x$` is code.", "<code>$x$</code>"),
    ("| a |\n|---|\n| 5 % |", "5\u00a0%")])
def test_what_a_reader_of_a_copy_writes_is_on_the_page(short, written, shown):
    """Whatever the first cell says, with a picture of another kind pasted into it."""
    short.cells[0].source = f"# My copy\n\n{written}\n\n## Its `fit` & *more*\n\n![](attachment:a.jpg)"
    short.cells[0].attachments = {"a.jpg": {"image/jpeg": "/9j/4AAQ"}}
    html = page(short)
    links = set(re.findall(r'<a href="#([^"]*)"', html))
    assert len(links) == 1 and links <= set(re.findall(r' id="([^"]*)"', html))
    html = unescape(html)
    assert shown in html and "<title>My copy</title>" in html and "data:image/jpeg;base64,/9j/4AAQ" in html
    assert ("<math" in html) == (shown == "<msup>")
