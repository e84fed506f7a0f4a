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
    ("13", "~", 30, True), ("13", "~", 40, False), ("13", "~", 4, False), ("0.1", "=", float("nan"), False),
    # In words, each beside what somebody might have written for it by mistake
    ("a third", "~", 0.32, True), ("a half", "~", 0.32, False), ("three fifths", "~", 0.62, True),
    ("a fifth", ">", 0.185, True), ("a tenth", ">", 0.185, False), ("a tenth", "<", 0.185, True),
    ("a tenth", "~", 0.11, True), ("a hundredth", "~", 0.11, False), ("a millionth", "~", 8e-7, True),
    ("six", "=", 6, True), ("five", "=", 6, False), ("twice", "=", 1.99, True), ("twice", "=", 3, False),
    ("hundreds of millions", "~", 5e8, True), ("hundreds of thousands", "~", 5e8, False), ("dozens", "~", 30, True),
    ("a hundred", "=", 100, True), ("a hundred", "=", 1000, False),
    ("三分之一", "~", 0.32, True), ("一半", "~", 0.32, False), ("五分之三", "~", 0.62, True), ("十分之一", "~", 0.11, True),
    ("百分之一", "~", 0.11, False), ("百万分之一", "~", 8e-7, True), ("万分之一", "~", 8e-7, False), ("几亿", "~", 5e8, True),
    ("几万", "~", 5e8, False), ("六", "=", 6, True), ("五", "=", 6, False), ("十一", "=", 11, True), ("二十", "=", 20, True),
    ("两", "=", 2, True), ("四", "=", 2, False)])
def test_what_fits(number, kind, value, holds):
    assert Claim("cell", "sentence", number, kind, "x").holds(value) == holds


def notebook_saying(text):
    return new_notebook(cells=[new_markdown_cell(text, id="cell")])


def test_claims_are_found():
    found = claims(notebook_saying("It has 25,450<!-- = n --> weights. It gets 96.5 %<!-- = 100 * a --> right, "
                                   "hundreds of millions of times<!-- ~ r --> more than 86 %<!-- given -->, "
                                   "about a third<!-- ~ s -->, 百万分之一<!-- ~ t -->，用了六轮<!-- = u -->。"))
    assert [(claim.number, claim.kind, claim.expression) for claim in found] == [
        ("25,450", "=", "n"), ("96.5", "=", "100 * a"), ("hundreds of millions", "~", "r"), ("a third", "~", "s"),
        ("百万分之一", "~", "t"), ("六", "=", "u")]
    assert found[0].sentence == "It has 25,450 weights."


def test_the_nearest_figure_is_tied():
    found = claims(notebook_saying("A rate of 5, ten times<!-- = r --> the usual.\n\n```\n{x:.4f}\n```\n\nDozens<!-- ~ n --> of steps, "
                                   "32 个单元时的两倍<!-- = m -->。"))
    assert [(claim.number, claim.expression) for claim in found] == [("ten", "r"), ("Dozens", "n"), ("两", "m")]


@pytest.mark.parametrize("text", ["It gets 97 % right.", "A loss of 0.12.", "All 48,000 images.", "With 784 inputs",
                                  "## Heading\n\nIt gets 97 % right.", "It takes about a third of it.", "Twice the loss.",
                                  "After five epochs.", "Hundreds of millions of times.", "大约三分之一。", "用了六轮。", "是它的两倍。", "几亿倍。"])
def test_an_untied_figure_is_found(text):
    assert len(untied_figures(notebook_saying(text))) == 1


@pytest.mark.parametrize("text", ["It gets 97 %<!-- = a --> right.", "`0.12`", "$0.12$", "28 × 28", "## 5.1 Test", "One epoch.", "The first half.",
                                  "Two layers are one.", "每一轮", "一张一张地"])
def test_what_need_not_be_tied(text):
    assert untied_figures(notebook_saying(text)) == []


@pytest.mark.parametrize("text", ["97 %<!-- a -->", "97 %<!-- == a -->", "many<!-- = a -->", "97 % of all the images that it saw<!-- = a -->"])
def test_an_unreadable_comment_is_found(text):
    assert unreadable_comments(notebook_saying(text))
