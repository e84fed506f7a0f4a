"""The exercises as a reader meets them: each has a hint and an answer that folds out. tests/answers.py runs the answers."""

import re

import pytest

from answers import CHECKS, FOLDED, answer
from cells import read
from figures import COMMENT

QUESTIONS_TITLE = "**Questions**"
EXERCISES = {cell.id: cell.source.split(QUESTIONS_TITLE)[0] for cell in read().cells if cell.id.startswith("exercise-")}
QUESTIONS = {cell.id: COMMENT.sub("", cell.source.split(QUESTIONS_TITLE)[1])
             for cell in read().cells if QUESTIONS_TITLE in cell.source}


def test_every_exercise_has_a_check_and_a_number():
    assert set(CHECKS) == set(EXERCISES)
    numbers = [int(re.search(r"^\*\*Exercise (\d+)[.,]", text, re.M)[1]) for text in EXERCISES.values()]
    assert numbers == list(range(1, len(EXERCISES) + 1)) and len(numbers) >= 8


@pytest.mark.parametrize("name", EXERCISES)
def test_hint_and_answer_fold_out(name):
    """As GitHub, JupyterLab and Colab want it: an empty line around what is folded, so that it is read as Markdown."""
    text = EXERCISES[name]
    assert [summary for summary, _ in FOLDED.findall(text)] == ["Hint", "Answer"]
    assert text.count("<details>") == text.count("</details>") == 2
    code = answer(text)
    assert code and max(map(len, code.splitlines())) <= 79


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_have_answers_of_one_sentence(name):
    folded = FOLDED.findall(QUESTIONS[name])
    assert len(QUESTIONS) == 4 and folded and QUESTIONS[name].count("<details>") == len(folded)
    assert not any("`" in question for question, _ in folded), "what is in <summary> isn't read as Markdown: use <code>"
    for question, its_answer in folded:
        assert question.endswith("?") and re.fullmatch(r"[^.?!]+(\d\.\d[^.?!]*)*\.", its_answer), its_answer
