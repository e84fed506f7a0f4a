"""The notebook as a file, as a text and as a page: valid, complete, and the same on every machine."""

import ast
import base64
import io
import re
from html import unescape

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from PIL import Image

from answers import FOLDED, answer
from compare import frames, png
from execute import FILM, contents, page, picture, still
from figures import COMMENT, Claim, claims, unreadable_comments, untied_figures
from notebook_file import CHINESE, NOTEBOOK, as_text, code_cells, has_tag, read


def draws(cell):
    return any(map(png, cell.outputs))


def test_the_file_is_as_make_refresh_writes_it(stored):
    """With nothing that differs from machine to machine."""
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    as_written = NOTEBOOK.read_text(encoding="utf-8") == as_text(stored)
    assert as_written, "its JSON is written otherwise, by another program or by hand: run make refresh"
    assert len(as_text(stored)) < 2_200_000   # half are pictures, and a third the film, which it holds twice
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert stored.metadata.kernelspec.name == "python3" and "version" not in stored.metadata.language_info
    keys = {key for cell in stored.cells for key in cell.metadata}
    assert keys == {"tags", "alt", "holds", "any_seed", "jupyter", "cellView"}


def test_outputs_are_text_and_pictures_and_the_field_to_write_in(stored):
    """No error, no warning, no path; no widget, which GitHub can't show as Colab stores it."""
    outputs = [(cell.id, output) for cell in code_cells(stored) for output in cell.outputs]
    kinds = {(mime, cell_id if mime == "text/html" else "any") for cell_id, output in outputs
             for mime in output.get("data", [output.get("name")])}
    assert kinds == {("stdout", "any"), ("text/plain", "any"), ("image/png", "any"), ("text/html", "draw")}
    texts = "\n".join(output.get("text") or output.data["text/plain"] for _, output in outputs)
    assert re.findall(r"(?<![\w.])/(?:[\w.-]+/)+[\w.-]+|[A-Z]:\\", texts) == []
    code = "\n".join(cell.source for cell in code_cells(stored))
    assert re.findall(r"tqdm\.(?:auto|notebook|autonotebook)|ipywidgets", code) == []


def test_every_picture_has_its_image_and_words(stored):
    for cell in code_cells(stored):
        assert sum(png(output) is not None for output in cell.outputs) <= 1, cell.id
        assert len(cell.metadata.get("alt", "")) > 20 or not draws(cell), f"{cell.id} has no alt text"


def test_what_is_folded_is_folded_everywhere(stored):
    """In Jupyter by one mark, in Colab by another; the first line is what a reader sees there."""
    for cell in code_cells(stored):
        titled = cell.source.startswith("# @title ")
        assert cell.metadata.get("jupyter") == ({"source_hidden": True} if titled else None), cell.id
        assert cell.metadata.get("cellView") == ("form" if titled else None), cell.id


def test_it_is_as_short_as_it_promises(stored):
    """Functions easy to take in, no line to scroll."""
    unfolded = [cell.source for cell in code_cells(stored) if "jupyter" not in cell.metadata]
    text = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    words = re.sub(r"<details>.*?</details>|<!--.*?-->", "", text, flags=re.S).split()
    lines = [line for source in unfolded for line in source.splitlines() if line.strip()]
    assert len(stored.cells) <= 150
    assert len(lines) <= 420
    assert len(words) <= 6600
    assert [line for cell in code_cells(stored) for line in cell.source.splitlines() if len(line) > 99] == []
    bodies = {node.name: node.body[1:] for cell in code_cells(stored) for node in ast.parse(cell.source).body
              if isinstance(node, ast.FunctionDef)}   # without the docstring
    for name, most in {"accuracy": 3, "loss_batch": 9, "evaluate": 12, "fit": 14, "to_device": 8}.items():
        assert 1 + bodies[name][-1].end_lineno - bodies[name][0].lineno + 1 <= most, name


def test_every_assertion_speaks(stored):
    """A reader may trip it: by a cell that runs twice, or by settings of their own."""
    assert [cell.id for cell in code_cells(stored) for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Assert) and not node.msg] == []


def test_no_metric_varies(stored):
    """The numbers of a cell tagged `varies` aren't compared: no loss and no accuracy may be printed there."""
    for cell in code_cells(stored):
        if has_tag(cell, "varies"):
            printed = [ast.unparse(node) for node in ast.walk(ast.parse(cell.source))
                       if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"]
            assert not re.search("loss|metric|accura|score|right|confus|predict", " ".join(printed)), cell.id


def test_the_film(stored):
    """It plays once; where no films are shown and in the title, its last frame stands."""
    film = picture(stored, "hidden-units")
    assert FILM.read_bytes() == film, f"{FILM.name} is not the film that the notebook draws: run make refresh"
    assert len(film) <= 400_000
    assert stored.cells[0].attachments == {FILM.name: {"image/png": base64.b64encode(still(film)).decode()}}
    (last, untimed), *moving = frames(film)
    assert untimed is None and last.tobytes() == moving[-1][0].tobytes() and len(moving) == 19
    with Image.open(io.BytesIO(film)) as image:
        assert image.info["loop"] == 1


# The text

def test_exercises_and_what_folds_out(stored):
    """Each exercise has a hint and an answer. What folds out is markdown between empty lines alone."""
    exercises = [cell.source.split("**Questions**")[0] for cell in stored.cells if "exercise-" in cell.id]
    for number, text in enumerate(exercises, 1):
        assert re.search(rf"^\*\*Exercise {number}[.,]", text, re.M), text
        assert [summary for summary, _ in FOLDED.findall(text)] == ["Hint", "Answer"] and answer(text), text
    for cell in stored.cells:
        folded = FOLDED.findall(cell.source)
        assert len(folded) == cell.source.count("<details>") == cell.source.count("</details>"), cell.id
        assert not any("`" in summary for summary, _ in folded), f"{cell.id}: code in a summary needs <code>"


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["en", "zh"])
def test_every_figure_is_tied_and_every_comment_read(path):
    """Without its comment, each is found. check_notebook.py compares them with the run."""
    nb = read(path)
    assert untied_figures(nb) == [] and unreadable_comments(nb) == []
    in_words = {(claim.cell, claim.number) for claim in claims(nb) if not claim.number[0].isdigit()}
    for cell in nb.cells:
        cell.source = COMMENT.sub("", cell.source)
    untied = {tuple(found.split(" in: ")[0].split(": ")) for found in untied_figures(nb)}
    assert in_words and in_words <= untied


@pytest.mark.parametrize("number, kind, fitting, other", [
    ("96.5", "=", 96.52, 96.56), ("96.5", "=", 96.46, float("nan")), ("25,450", "=", 25450, 25451),
    ("13", "~", 30, 40), ("13", "~", 5, 4), ("96", "<", 96.7, 95.9), ("92", ">", 91.6, 92.1),
    # In words, each beside what somebody might have written for it by mistake
    ("a third", "~", 0.32, 0.5), ("three fifths", "~", 0.62, 0.3), ("a fifth", ">", 0.185, 0.3),
    ("a tenth", "<", 0.185, 0.05), ("a millionth", "~", 8e-7, 8e-6), ("Six", "=", 6, 5), ("twice", "=", 2, 3),
    ("hundreds of millions", "~", 5e8, 5e6), ("a hundred", "=", 99, 9), ("三分之一", "~", 0.32, 0.5),
    ("一半", "~", 0.5, 0.32), ("五十分之一", "~", 0.02, 0.11), ("百万分之一", "~", 8e-7, 8e-5),
    ("几亿", "~", 5e8, 5e5), ("十一", "=", 11, 1), ("两", "=", 2, 4)])
def test_what_fits(number, kind, fitting, other):
    claim = Claim("cell", "sentence", number, kind, "x")
    assert claim.holds(fitting) and not claim.holds(other)


@pytest.mark.parametrize("text", [
    "97 %<!-- a -->", "97 %<!-- == a -->", "many<!-- = a -->", "97 % of all that it saw<!-- = a -->"])
def test_a_comment_that_ties_nothing_is_found(text):
    assert unreadable_comments(new_notebook(cells=[new_markdown_cell(text, id="cell")]))


# The page

def loaded(html):
    """What a page would fetch from elsewhere."""
    return re.findall(r'<(?:link|script|img|iframe)\b[^>]*?(?:src|href)="(?!data:)', html)


@pytest.mark.parametrize("path, language", [(NOTEBOOK, "en"), (CHINESE, "zh")])
def test_the_page_has_all_and_is_small(path, language):
    """What is to be guessed first is folded; the contents name every heading; nothing is loaded."""
    nb = read(path)
    html = page(nb, language, "https://example.org/")
    assert len(html.encode()) <= 1_500_000 and loaded(html) == []
    assert '<meta content="https://example.org/hidden-units.png" property="og:image"' in html
    to_guess = [cell for cell in code_cells(nb) if has_tag(cell, "guess")]
    assert html.count('<details class="guess">') == len(to_guess) > 0
    anchors = [anchor for _, _, anchor in contents(nb)]
    assert len(anchors) > 25 and [anchor for anchor in anchors if f'id="{anchor}"' not in html] == []
    drawing = [cell for cell in code_cells(nb) if draws(cell)]
    assert html.count("image/webp") == len(drawing) + 1 and "acTL" not in html   # no film
    assert html.count({"en": "The last picture of the film. ", "zh": "动画的最后一帧。"}[language]) == 1
    words = unescape(html)
    assert [cell.id for cell in drawing if cell.metadata.alt not in words] == []


def test_what_a_reader_of_a_copy_writes_is_on_the_page():
    text = "# My copy\n\nIt is $x^2$, 5 % of it. It costs \\$5 and \\$6. Broken: $x_$ here. `$y$`: code.\n\n"
    html = unescape(page(new_notebook(cells=[new_markdown_cell(text + "## Its `fit` & *more*", id="title")])))
    for shown in ("<title>My copy", "<msup>", "5\u00a0% of", "$5 and $6", "$x_$ here", "<code>$y$</code>"):
        assert shown in html
    assert set(re.findall(r'<a href="#([^"]*)"', html)) <= set(re.findall(r' id="([^"]*)"', html))
