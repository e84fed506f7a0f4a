"""The notebook as a file: valid, executed top to bottom, complete, and free of what is no use to a reader."""

import ast
import base64
import copy
import io
import re
import statistics
from html import unescape

import nbformat
import pytest
from PIL import Image

from cells import CHINESE, NOTEBOOK, ROOT, TAGS, code_cells, has_tag, read
from execute import EDITIONS, FILM, contents, page, picture, still
from outputs import frames, png


README = ROOT / "README.md"


def outputs(nb):
    return [(cell, output) for cell in code_cells(nb) for output in cell.outputs]


def texts(nb):
    """Every text in the outputs, with the cell it belongs to."""
    for cell, output in outputs(nb):
        data = {mime: value for mime, value in output.get("data", {}).items() if not mime.endswith(("png", "html"))}
        for value in [output.get("text"), *data.values()]:
            if isinstance(value, str):
                yield cell.id, value


def test_valid_nbformat_4_5(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)


def test_cell_ids_are_unique(stored):
    assert len({cell.id for cell in stored.cells}) == len(stored.cells)


def test_outputs_are_text_and_pictures_and_the_field_to_write_in(stored):
    """Nothing that nbval leaves out (widgets); one output is a page that runs by itself."""
    kinds = {(mime, cell.id if mime == "text/html" else "any") for cell, output in outputs(stored)
             for mime in output.get("data", {})}
    assert kinds == {("text/plain", "any"), ("image/png", "any"), ("text/html", "draw")}


def test_no_error_and_no_warning(stored):
    assert [cell.id for cell, output in outputs(stored)
            if output.output_type == "error" or output.get("name") == "stderr"] == []


@pytest.mark.parametrize("what, pattern", [
    ("a path", r"(?<![\w.])/(?:[\w.-]+/)+[\w.-]+|[A-Z]:\\"), ("an object address", r"0x[0-9a-f]{6,}"),
    ("a warning", r"Warning"), ("an output cut off", r"output (?:was )?truncated|\[\.\.\.\]"), ("a progress bar", r"it/s|s/it")])
def test_no_output_has(stored, what, pattern):
    assert [(id, text) for id, text in texts(stored) if re.search(pattern, text)] == []


def draws(cell):
    return any(map(png, cell.outputs))


def test_every_picture_has_its_image_and_words(stored):
    for cell in code_cells(stored):
        assert sum(png(output) is not None for output in cell.outputs) <= 1, cell.id
        assert draws(cell) or "plt.show()" not in cell.source or has_tag(cell, "definition"), f"{cell.id} shows no picture"
        assert len(cell.metadata.get("alt", "")) > 20 or not draws(cell), f"{cell.id} has no alt text"


def test_alt_texts_reach_the_page(stored):
    html = unescape(page(stored))
    assert [cell.id for cell in code_cells(stored) if draws(cell) and cell.metadata.alt not in html] == []


def loaded(html):
    """What a page would fetch from elsewhere."""
    return re.findall(r'<(?:link|script|img|iframe)\b[^>]*?(?:src|href)="(?!data:)', html)


def test_the_page_says_what_it_is(stored):
    """To search engines, and with a picture to those who share its address; it loads nothing from anywhere."""
    head = page(stored, address="https://example.org/course/").split("</head>")[0]
    assert "<title>A neural network that reads handwritten digits</title>" in head
    told = {name: content for content, name in re.findall(r'<meta content="([^"]*)" (?:name|property)="([\w:]+)"', head)}
    assert told["og:image"] == "https://example.org/course/hidden-units.png" and 50 < len(told["description"]) < 160
    html = page(stored)
    assert "og:image" not in html
    assert loaded(html) == []


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["English", "Chinese"])
def test_the_page_is_small_and_leads_to_its_parts(path):
    """What a reader is to guess first is folded; the contents name every heading."""
    nb = read(path)
    html = page(nb, "zh" if path == CHINESE else "en")
    assert len(html.encode()) <= 1_500_000
    to_guess = [cell for cell in code_cells(nb) if has_tag(cell, "guess")]
    assert len(to_guess) == 8 and all(cell.outputs for cell in to_guess)
    assert html.count('<details class="guess">') == 8
    anchors = [anchor for _, _, anchor in contents(nb)]
    assert len(anchors) > 25 and [anchor for anchor in anchors if f'id="{anchor}"' not in html] == []
    assert html.count("image/webp") == sum(map(draws, code_cells(nb))) + 1 and "acTL" not in html
    assert html.count(EDITIONS["zh" if path == CHINESE else "en"][3]["film"]) == 1


@pytest.mark.parametrize("written, shown", [
    ("It is $x^2$, 5 % of it.", "<msup>"), (r"It costs \$5 and \$6.", "$5 and $6"), ("Broken: $x_$ here.", "$x_$ here"),
    ("`$x$` is code.", "<code>$x$</code>"), ("| a |\n|---|\n| 5 % |", "5\u00a0%")])
def test_what_a_reader_of_a_copy_writes_is_on_the_page(stored, written, shown):
    """Whatever the first cell says, with a picture of another kind pasted into it."""
    nb = copy.deepcopy(stored)
    nb.cells = nb.cells[:3]
    nb.cells[0].source = f"# My copy\n\n{written}\n\n## Its `fit` & *more*\n\n![](attachment:a.jpg)"
    nb.cells[0].attachments = {"a.jpg": {"image/jpeg": "/9j/4AAQ"}}
    html = page(nb)
    links = set(re.findall(r'<a href="#([^"]*)"', html))
    assert len(links) == 1 and links <= set(re.findall(r' id="([^"]*)"', html))
    html = unescape(html)
    assert shown in html and "<title>My copy</title>" in html and "data:image/jpeg;base64,/9j/4AAQ" in html
    assert ("<math" in html) == (shown == "<msup>")


def test_every_code_cell_is_introduced(stored):
    """Not more than two code cells in a row: a sentence before and after says what happens."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in stored.cells)
    assert "ccc" not in kinds and kinds.startswith("m") and kinds.endswith("m")


def folded(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def test_cells_are_short(stored, functions):
    """None is longer than a screen, but for a page in a string, and no line needs scrolling."""
    lines = {cell.id: cell.source.splitlines() for cell in code_cells(stored)}
    assert statistics.median(map(len, lines.values())) <= 9
    long = [cell.id for cell in code_cells(stored) if len(lines[cell.id]) > (40 if folded(cell) else 30)]
    assert long == ["digit-field"] and len(functions["DIGIT_FIELD"].splitlines()) <= 100
    assert [(name, line) for name, cell in lines.items() for line in cell if len(line) > 99] == []


def test_the_functions_are_short(stored):
    """Lines without the docstring: what a reader has to take in."""
    functions = {node.name: node for cell in code_cells(stored) for node in ast.parse(cell.source).body
                 if isinstance(node, ast.FunctionDef)}
    for name, most in {"accuracy": 3, "loss_batch": 9, "evaluate": 12, "fit": 14, "to_device": 8}.items():
        node, docstring = functions[name], functions[name].body[0]
        assert isinstance(docstring.value, ast.Constant), f"{name} has no docstring"
        lines = node.end_lineno - node.lineno + 1 - (docstring.end_lineno - docstring.lineno + 1)
        assert lines <= most, f"{name} has {lines} lines"


# The reader first

def outside_the_folds(nb):
    """The text that a reader sees without opening anything."""
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    return re.sub(r"<details>.*?</details>|<!--.*?-->", "", text, flags=re.S)


def test_it_is_no_longer_than_it_may_be(stored):
    unfolded = "\n".join(cell.source for cell in code_cells(stored) if not folded(cell))
    lines = [line for line in unfolded.splitlines() if line.strip()]
    assert len(stored.cells) <= 150 and len(lines) <= 420 and len(outside_the_folds(stored).split()) <= 6600


def test_digits_at_once_and_a_training_soon(stored):
    assert any(draws(cell) for cell in stored.cells[:8] if cell.cell_type == "code")
    unfolded = [cell for cell in code_cells(stored) if not folded(cell)]
    first = next(i for i, cell in enumerate(unfolded) if re.search(r"(?<!def )\bfit\(", cell.source))
    assert first <= 22


def test_no_sentence_stands_in_brackets_and_none_reports_an_attempt(stored):
    text = outside_the_folds(stored)
    assert re.findall(r"(?:^|[.!?:] )\([A-Z][^()]*[.!?]\)", text, re.M) == []
    assert re.findall(r"\bwe tried|could not get|have not run|not been run|[Aa]s a picture:", text) == []


def test_what_sets_up_or_draws_is_folded(stored):
    """In JupyterLab and Notebook 7 by one mark, in Colab by another; the first line is what a reader sees there."""
    hidden = [cell for cell in code_cells(stored) if folded(cell)]
    assert hidden == [cell for cell in code_cells(stored) if cell.metadata.get("cellView") == "form"]
    assert hidden == [cell for cell in code_cells(stored) if cell.source.startswith("# @title ")]
    long_pictures = [cell for cell in code_cells(stored) if draws(cell) and len(cell.source.splitlines()) > 8]
    assert [cell.id for cell in long_pictures if not folded(cell)] == []


def test_every_assertion_speaks(stored):
    """A reader may trip it: by a cell that runs twice, or by settings of their own."""
    asserts = [(cell.id, node) for cell in code_cells(stored) for node in ast.walk(ast.parse(cell.source))
               if isinstance(node, ast.Assert)]
    assert len(asserts) > 5 and [id for id, node in asserts if not node.msg or len(node.msg.value) < 10] == []


def test_no_widgets(stored):
    """Colab would store them in a way that GitHub takes for an invalid notebook."""
    assert [cell.id for cell in code_cells(stored) if re.search(r"tqdm\.(auto|notebook|autonotebook)|ipywidgets", cell.source)] == []


def test_every_tag_is_used(stored):
    """That there are no others, nbval_strict.py sees to."""
    assert {tag for cell in stored.cells for tag in cell.metadata.get("tags", [])} == TAGS
    assert sum(has_tag(cell, "parameters") for cell in stored.cells) == 1


def test_no_metric_varies(stored):
    """The numbers of a cell tagged `varies` aren't compared; so no loss and no accuracy may be printed there."""
    for cell in code_cells(stored):
        if has_tag(cell, "varies"):
            printed = [node for call in ast.walk(ast.parse(cell.source))
                       if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print" for node in ast.walk(call)]
            names = {node.id for node in printed if isinstance(node, ast.Name)}
            texts = " ".join(node.value for node in printed if isinstance(node, ast.Constant) and isinstance(node.value, str))
            metrics = [word for word in (*names, *re.findall(r"\w+", texts))
                       if re.search("loss|metric|accura|score|right|confus|predict", word)]
            assert metrics == [], cell.id


def test_metadata_is_the_same_on_every_machine(stored):
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert stored.metadata.kernelspec.name == "python3" and "version" not in stored.metadata.language_info
    for cell in stored.cells:
        assert set(cell.metadata) <= {"tags", "alt", "drawn", "holds", "any_seed", "jupyter", "cellView"}, cell.id


def test_no_larger_than_it_must_be():
    """Half of it are pictures, and a third the film, which it holds twice."""
    assert NOTEBOOK.stat().st_size < 2_200_000


def test_refresh_changes_nothing(stored):
    """nbval has compared every output; what is left is how the file is written."""
    assert nbformat.writes(stored) + "\n" == NOTEBOOK.read_text(encoding="utf-8")


def test_the_film(stored):
    """Beside README; where no films are shown, its last frame stands, and with that the notebook opens. It plays once."""
    film = picture(stored, "hidden-units")
    assert FILM.read_bytes() == film, f"{FILM.name} is not the film that the notebook draws: run make refresh"
    assert len(film) <= 400_000
    assert stored.cells[0].attachments == {FILM.name: {"image/png": base64.b64encode(still(film)).decode()}}
    assert f"(attachment:{FILM.name})" in stored.cells[0].source and f"({FILM.relative_to(ROOT).as_posix()})" in README.read_text(encoding="utf-8")
    (last, untimed), *moving = frames(film)
    assert untimed is None and last.tobytes() == moving[-1][0].tobytes() and len(moving) == 19
    assert [duration for _, duration in moving] == [250] * 19
    assert all(before.tobytes() != after.tobytes() for (before, _), (after, _) in zip(moving, moving[1:]))
    with Image.open(io.BytesIO(film)) as image:
        assert image.info["loop"] == 1
