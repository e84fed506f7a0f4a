"""The notebook as a file: valid, executed top to bottom, complete, and free of what is no use to a reader."""

import ast
import re
import statistics
from html import unescape

import nbformat
import pytest

from cells import NOTEBOOK, TAGS, code_cells, has_tag
from execute import README_PICTURE, page, picture
from outputs import VARIES, png


def outputs(nb):
    return [(cell, output) for cell in code_cells(nb) for output in cell.outputs]


def texts(nb):
    """Every text in the outputs, with the cell it belongs to."""
    for cell, output in outputs(nb):
        for value in [output.get("text"), *output.get("data", {}).values()]:
            if isinstance(value, str) and value != output.get("data", {}).get("image/png"):
                yield cell.id, value


def test_valid_nbformat_4_5(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)


def test_cell_ids_are_words_and_unique(stored):
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)
    assert [id for id in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", id)] == []


def test_executed_top_to_bottom(stored):
    assert [cell.execution_count for cell in code_cells(stored)] == list(range(1, len(code_cells(stored)) + 1))


def test_outputs_are_text_and_pictures(stored):
    """Nothing that a page must run, and nothing that nbval leaves out (widgets)."""
    assert {mime for cell, output in outputs(stored) for mime in output.get("data", {})} == {"text/plain", "image/png"}


def test_no_error_and_no_warning(stored):
    assert [cell.id for cell, output in outputs(stored)
            if output.output_type == "error" or output.get("name") == "stderr"] == []


@pytest.mark.parametrize("what, pattern", [
    ("a path", r"(?<![\w.])/(?:[\w.-]+/)+[\w.-]+|[A-Z]:\\"), ("an object address", r"0x[0-9a-f]{6,}"),
    ("a warning", r"Warning"), ("an output cut off", r"output (?:was )?truncated|\[\.\.\.\]"), ("a progress bar", r"it/s|s/it")])
def test_no_output_has(stored, what, pattern):
    assert [(id, text) for id, text in texts(stored) if re.search(pattern, text)] == []


def draws(cell):
    return "plt.show()" in cell.source or re.search(r"^show_varying\(", cell.source, re.M) is not None


def test_every_picture_has_its_image_and_words(stored):
    for cell in code_cells(stored):
        assert sum(png(output) is not None for output in cell.outputs) == draws(cell), cell.id
        assert len(cell.metadata.get("alt", "")) > 20 or not draws(cell), f"{cell.id} has no alt text"


def test_alt_texts_reach_the_page(stored):
    html = unescape(page(stored))
    assert [cell.id for cell in code_cells(stored) if draws(cell) and cell.metadata.alt not in html] == []


def test_every_code_cell_is_introduced(stored):
    """Not more than two code cells in a row: a sentence before and after says what happens."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in stored.cells)
    assert "ccc" not in kinds and kinds.startswith("m") and kinds.endswith("m")


def test_cells_are_short(stored):
    """One idea per cell: half of them have four lines or fewer, none more than 25, and no line needs scrolling."""
    lines = [cell.source.splitlines() for cell in code_cells(stored)]
    assert statistics.median(map(len, lines)) <= 4 and max(map(len, lines)) <= 25
    assert [line for cell in lines for line in cell if len(line) > 79] == []


def test_tags_are_known(stored):
    """A tag that a tool obeys in silence (raises-exception, skip-execution, nbval-…) has no place here."""
    used = {tag for cell in stored.cells for tag in cell.metadata.get("tags", [])}
    assert used == TAGS
    assert sum(has_tag(cell, "parameters") for cell in stored.cells) == 1
    assert not any("NBVAL" in cell.source.upper() for cell in code_cells(stored))


def test_no_metric_varies(stored):
    """What is put in angle brackets isn't compared; so no loss and no accuracy may stand there.

    But for one cell: it shows accuracies of 32-bit trainings because they differ.
    """
    for cell in code_cells(stored):
        for call in ast.walk(ast.parse(cell.source)):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "varies":
                used = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)} - {"varies"}
                metrics = [name for name in used if re.search("loss|metric|accura|right|confus|predict", name)]
                assert metrics == (["accuracy32"] if cell.id == "drift-accuracy" else []), cell.id
    assert all(VARIES.sub("", cell.source) == cell.source for cell in code_cells(stored) if cell.id != "varies")


def test_metadata_is_the_same_on_every_machine(stored):
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert stored.metadata.kernelspec.name == "python3" and "version" not in stored.metadata.language_info
    for cell in stored.cells:
        assert set(cell.metadata) <= {"tags", "alt"}, cell.id


def test_small_enough_to_read_on_github():
    assert NOTEBOOK.stat().st_size < 2_000_000


def test_refresh_changes_nothing(stored, fresh):
    """`make refresh` leaves an unchanged notebook as it was, byte for byte."""
    assert nbformat.writes(fresh) + "\n" == NOTEBOOK.read_text(encoding="utf-8")


def test_readme_shows_the_stored_picture(stored):
    assert README_PICTURE.read_bytes() == picture(stored, "curves")
