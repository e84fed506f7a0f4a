"""Every figure in the text is tied to the run; nbval_strict.py compares them with it."""

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from prose import Claim, claims, unreadable_comments, untied_figures


def test_every_figure_is_tied(stored):
    assert untied_figures(stored) == []


def test_every_comment_is_read(stored):
    assert unreadable_comments(stored) == []


@pytest.mark.parametrize("number, kind, value, holds", [
    ("96.5", "=", 96.52, True), ("96.5", "=", 96.46, True), ("96.5", "=", 96.56, False), ("96.5", "=", 96.44, False),
    ("25,450", "=", 25450, True), ("25,450", "=", 25451, False),
    ("96", "<", 96.7, True), ("96", "<", 95.9, False), ("96", "<", 97.1, False),
    ("92", ">", 91.6, True), ("92", ">", 92.1, False), ("92", ">", 90.9, False),
    ("1e6", "~", 2.5e6, True), ("1e6", "~", 4e6, False), ("1e6", "~", 3e5, False), ("0.1", "=", float("nan"), False)])
def test_what_fits(number, kind, value, holds):
    assert Claim("cell", "sentence", number, kind, "x").holds(value) == holds


def notebook_saying(text):
    return new_notebook(cells=[new_markdown_cell(text, id="cell")])


def test_claims_are_found():
    found = claims(notebook_saying("It has 25,450<!-- = n --> weights. It gets 96.5 %<!-- = 100 * a --> right, "
                                   "a million times<!-- 1e6 ~ r --> more than 86 %<!-- given -->."))
    assert [(claim.number, claim.kind, claim.expression) for claim in found] == [
        ("25,450", "=", "n"), ("96.5", "=", "100 * a"), ("1e6", "~", "r")]
    assert found[0].sentence == "It has 25,450 weights."


@pytest.mark.parametrize("text", ["It gets 97 % right.", "A loss of 0.12.", "All 48,000 images.", "With 784 inputs"])
def test_an_untied_figure_is_found(text):
    assert len(untied_figures(notebook_saying(text))) == 1


@pytest.mark.parametrize("text", ["It gets 97 %<!-- = a --> right.", "`0.12`", "$0.12$", "28 × 28", "## 5.1 Test"])
def test_what_need_not_be_tied(text):
    assert untied_figures(notebook_saying(text)) == []


@pytest.mark.parametrize("text", ["97 %<!-- a -->", "97 %<!-- == a -->", "many<!-- = a -->", "97 % of all the images that it saw<!-- = a -->"])
def test_an_unreadable_comment_is_found(text):
    assert unreadable_comments(notebook_saying(text))
