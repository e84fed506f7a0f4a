"""Every figure in the text is tied to the run; check_notebook.py compares them with it."""

import math

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from figures import Claim, claims, unreadable_comments, untied_figures
from notebook_file import CHINESE, NOTEBOOK, read


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["en", "zh"])
def test_every_figure_is_tied_and_every_comment_read(path):
    assert untied_figures(read(path)) == [] and unreadable_comments(read(path)) == []


@pytest.mark.parametrize("number, kind, fitting, others", [
    ("96.5", "=", [96.52, 96.46], [96.56, 96.44]), ("25,450", "=", [25450], [25451]),
    ("0.1", "=", [0.1], [math.nan]), ("13", "~", [30], [40, 4]),
    ("96", "<", [96.7], [95.9, 97.1]), ("92", ">", [91.6], [92.1, 90.9]),
    # In words, each beside what somebody might have written for it by mistake
    ("a third", "~", [0.32], [0.5]), ("a half", "~", [0.5], [0.32]), ("three fifths", "~", [0.62], [0.3]),
    ("a fifth", ">", [0.185], [0.3]), ("a tenth", ">", [0.1], [0.185]), ("a tenth", "<", [0.185], [0.05]),
    ("a tenth", "~", [0.11], [0.01]), ("a hundredth", "~", [0.01], [0.1]),
    ("a millionth", "~", [8e-7], [8e-6]), ("Six", "=", [6], [5, 7]), ("twice", "=", [1.99], [3]),
    ("dozens", "~", [30], [300]), ("hundreds of millions", "~", [5e8], [5e6]), ("a hundred", "=", [99], [9]),
    ("三分之一", "~", [0.32], [0.5]), ("一半", "~", [0.5], [0.32]), ("五分之三", "~", [0.62], [0.2]),
    ("十分之一", "~", [0.11], [0.01]), ("五十分之一", "~", [0.02], [0.11]), ("百万分之一", "~", [8e-7], [8e-5]),
    ("几亿", "~", [5e8], [5e5]), ("六", "=", [6], [5]), ("十一", "=", [11], [1, 10]),
    ("二十", "=", [20], [2, 10]), ("两", "=", [2], [4])])
def test_what_fits(number, kind, fitting, others):
    claim = Claim("cell", "sentence", number, kind, "x")
    assert all(map(claim.holds, fitting)) and not any(map(claim.holds, others))


def notebook_saying(text):
    return new_notebook(cells=[new_markdown_cell(text, id="cell")])


def test_the_nearest_figure_is_tied():
    found = claims(notebook_saying(
        "It has 25,450<!-- = n --> weights. It gets 96.5 %<!-- = 100 * a --> right, a third<!-- ~ s -->, "
        "hundreds of millions<!-- ~ r --> more than 86 %<!-- given -->. 用了六轮<!-- = u -->，两倍<!-- = x -->。"
        "A rate of 5, ten times<!-- = v --> that.\n\n```\n{x:.4f}\n```\n\nDozens<!-- ~ w -->."))
    assert [(claim.number, claim.kind, claim.expression) for claim in found] == [
        ("25,450", "=", "n"), ("96.5", "=", "100 * a"), ("a third", "~", "s"),
        ("hundreds of millions", "~", "r"), ("六", "=", "u"), ("两", "=", "x"), ("ten", "=", "v"),
        ("Dozens", "~", "w")]
    assert found[0].sentence == "It has 25,450 weights."


UNTIED = ["It gets 97 % right.", "A loss of 0.12.", "All 48,000 images.", "With 784 inputs", "# A\n\n97 %.",
          "It takes about a third of it.", "Twice the loss.", "After five epochs.", "Hundreds of millions of it.",
          "大约三分之一。", "用了六轮。", "是它的两倍。", "几亿倍。"]
NEED_NO_TIE = ["It gets 97 %<!-- = a --> right.", "`0.12`", "$0.12$", "28 × 28", "## 5.1 Test", "One epoch.",
               "The first half.", "Two layers are one.", "每一轮", "一张一张地"]
UNREADABLE = ["97 %<!-- a -->", "97 %<!-- == a -->", "many<!-- = a -->", "97 % of all that it saw<!-- = a -->"]


@pytest.mark.parametrize("find, text, n_found", [
    *((untied_figures, text, 1) for text in UNTIED), *((untied_figures, text, 0) for text in NEED_NO_TIE),
    *((unreadable_comments, text, 1) for text in UNREADABLE)])
def test_what_is_found(find, text, n_found):
    assert len(find(notebook_saying(text))) == n_found
