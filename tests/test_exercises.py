"""Each exercise has a hint and an answer that folds out. tests/answers.py runs the answers."""

import re

import pytest

from answers import CHECKS, FOLDED, answer
from notebook_file import read

EXERCISES = {cell.id: cell.source.split("**Questions**")[0] for cell in read().cells
             if cell.id.startswith("exercise-")}


def test_every_exercise_has_a_check_and_a_number():
    assert set(CHECKS) == set(EXERCISES)
    numbers = [int(re.search(r"^\*\*Exercise (\d+)[.,]", text, re.M)[1]) for text in EXERCISES.values()]
    assert numbers == list(range(1, len(EXERCISES) + 1))


@pytest.mark.parametrize("text", EXERCISES.values(), ids=EXERCISES)
def test_hint_and_answer_fold_out(text):
    assert [summary for summary, _ in FOLDED.findall(text)] == ["Hint", "Answer"] and answer(text)


@pytest.mark.parametrize("cell", read().cells, ids=lambda cell: cell.id)
def test_what_folds_out_is_read_as_markdown(cell):
    """By GitHub, JupyterLab and Colab: between empty lines. <summary> is never read so: code needs <code>."""
    folded = FOLDED.findall(cell.source)
    assert len(folded) == cell.source.count("<details>") == cell.source.count("</details>")
    assert not any("`" in summary for summary, _ in folded)
