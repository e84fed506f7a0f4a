"""The exercises: each has a hint and an answer that folds out, and the answer does what the text says.

Sections 1 to 5 are executed in this process. Each answer runs where its exercise stands, as if a reader had
typed it there, and is checked there too. (The two exercises of section 7 find its functions, not its results.)
"""

import io
import math
import re
from contextlib import redirect_stdout

import pytest
import torch

from cells import ROOT, has_tag, read
from torch_settings import kept

# A kernel doesn't show these either: they are for matplotlib's authors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EXERCISES = {cell.id: cell.source for cell in read().cells if cell.id.startswith("exercise-")}
QUESTIONS = {cell.id: cell.source for cell in read().cells if cell.id.startswith("questions-")}
FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.S)


def answer(text):
    """The code of an exercise's answer."""
    folded = dict(FOLDED.findall(text))
    return "\n".join(re.findall(r"```python\n(.*?)```", folded["Answer"], re.S))


# Each gets the names that the reader has after the answer, and what the answer printed.

def check_seed(s, printed):
    assert s["first"] != s["second"] and 0.18 < s["in_both"] / len(s["first"]) < 0.22


def check_abs(s, printed):
    assert torch.equal(s["absolute"], s["x"].abs()) and s["x"].min() < 0 < s["x"].max()


def check_count(s, printed):
    assert s["counted"] == s["by_formula"] == 50_890 and printed == "50,890\n"
    assert 1.9 < s["counted"] / s["n_parameters"] < 2


def check_top_two(s, printed):
    assert printed == "1.0\n"
    outputs, labels = torch.rand(500, 10), torch.randint(10, (500,))
    higher = (outputs > outputs.gather(1, labels[:, None])).sum(dim=1)
    assert s["top_two"](outputs, labels) == (higher < 2).double().mean()


def check_gradients(s, printed):
    no_ink = s["xb"].flatten(1).amax(dim=0) == 0
    assert s["size"].shape == (784,) and (s["size"][no_ink] == 0).all() and (s["size"][~no_ink] > 0).any()


def check_average(s, printed):
    assert [size for size, _ in s["sizes_and_values"]] == [700] * 17 + [100]
    assert math.isclose(s["fair"], s["evaluate"](s["model"], s["F"].cross_entropy, s["valid_dl"], s["accuracy"])[2]) and not math.isclose(s["plain"], s["fair"])


def check_learning_rate(s, printed):
    assert s["values"][-1] < 0.2 and printed.endswith("hidden values above zero: 0\n")


def check_zeros(s, printed):
    assert s["values"][-1] < 0.2
    assert [name for name, p in s["trial"].named_parameters() if p.abs().max() > 0] == ["linear2.bias"]


def check_sigmoid(s, printed):
    assert 0.85 < s["values"][1] < s["all_metrics"][2]


def check_softmax(s, printed):
    assert s["double_losses"][-1] > 1.46 and 0.85 < s["values"][1] < s["all_metrics"][2]


def check_adam(s, printed):
    assert s["adam_values"][0.005][-1] > 0.9 and s["adam_values"][0.5][-1] < 0.5


def check_best_images(s, printed):
    assert torch.equal(s["values"][s["best"]], s["values"].sort(descending=True).values[:8])
    usual = s["test_dataset"].data.double().mean(0)
    assert ((s["test_dataset"].data[s["best"]].double().mean(0) - usual) * s["picture"]).sum() > 0


def check_few_images(s, printed):
    assert s["by_number"] == sorted(s["by_number"]) and s["by_number"][0] > 0.5
    assert [line.split(": ")[1] for line in printed.splitlines()] == ["480 steps"] * 4


def check_vote(s, printed):
    assert s["together"] > max(s["singles"]) and len(set(s["singles"])) == 3


CHECKS = {name.removeprefix("check_").replace("_", "-"): check for name, check in list(globals().items())
          if name.startswith("check_")}


@pytest.fixture(scope="module")
def outcomes(stored, tmp_path_factory):
    """What became of each answer: None, or what went wrong."""
    import matplotlib.pyplot as plt
    scope, outcomes, after_section_5 = {}, {}, False
    with kept(), pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        plt.switch_backend("agg")
        patch.setattr(plt, "show", lambda: plt.close("all"))
        patch.chdir(tmp_path_factory.mktemp("exercises"))
        for cell in stored.cells:
            after_section_5 |= cell.source.startswith("## 6.")
            if cell.cell_type == "code" and (not after_section_5 or has_tag(cell, "definition")):
                exec(compile(cell.source, f"<cell {cell.id}>", "exec"), scope)
                if has_tag(cell, "parameters"):
                    scope["data_root"] = str(ROOT / "data")
            elif cell.id in EXERCISES:
                name, state = cell.id.removeprefix("exercise-"), torch.get_rng_state()
                try:
                    theirs, printed = dict(scope), io.StringIO()
                    with redirect_stdout(printed):
                        exec(compile(answer(cell.source), f"<answer {name}>", "exec"), theirs)
                    CHECKS[name](theirs, printed.getvalue())
                    outcomes[name] = None
                except Exception as error:
                    outcomes[name] = error
                torch.set_rng_state(state)
        plt.rcdefaults()
    return outcomes


@pytest.mark.digits
@pytest.mark.parametrize("name", CHECKS)
def test_the_answer_does_what_the_text_says(outcomes, name):
    if outcomes[name] is not None:
        raise outcomes[name]


def test_every_exercise_has_a_check_and_a_number():
    assert {f"exercise-{name}" for name in CHECKS} == set(EXERCISES)
    numbers = [int(re.match(r"\*\*Exercise (\d+)[.,]", text)[1]) for text in EXERCISES.values()]
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
    assert folded and QUESTIONS[name].count("<details>") == len(folded)
    assert not any("`" in question for question, _ in folded), "what is in <summary> isn't read as Markdown: use <code>"
    for question, its_answer in folded:
        assert question.endswith("?") and re.fullmatch(r"[^.?!]+(\d\.\d[^.?!]*)*\.", its_answer), its_answer
