"""The answers to the exercises: each runs where its exercise stands, as if a reader had typed it there.

nbval_strict.py asks the kernel that has executed the notebook up to that place. An answer works on a copy of the
notebook's names, and what it draws at random is put back: the cells after it run as if it had not been there.
"""

import io
import json
import math
import re
import traceback
from contextlib import redirect_stdout
from pathlib import Path

IN_THE_KERNEL = f"(__import__('sys').path.insert(0, {str(Path(__file__).parent)!r}), __import__('answers'))[1]"
FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.S)


def answer(text):
    """The code of an exercise's answer."""
    folded = dict(FOLDED.findall(text))
    return "\n".join(re.findall(r"```python\n(.*?)```", folded["Answer"], re.S))


def question(cell):
    """Code that runs an exercise's answer and prints as JSON what went wrong, or null."""
    return f"{IN_THE_KERNEL}.run({cell.id!r}, {answer(cell.source)!r}, globals())"


def run(cell_id, code, names):
    import matplotlib.pyplot as plt
    import torch

    state, show = torch.get_rng_state(), plt.show
    theirs, printed, wrong = dict(names), io.StringIO(), None
    plt.show = lambda: plt.close("all")
    try:
        with plt.rc_context(), redirect_stdout(printed):
            exec(compile(code, f"<answer to {cell_id}>", "exec"), theirs)
        CHECKS[cell_id](theirs, printed.getvalue())
    except Exception:
        wrong = traceback.format_exc()
    plt.show = show
    torch.set_rng_state(state)
    print(json.dumps(wrong))


# Each gets the names that the reader has after the answer, and what the answer printed.

def check_seed(s, printed):
    assert s["first"] != s["second"] and 0.18 < s["in_both"] / len(s["first"]) < 0.22


def check_abs(s, printed):
    assert s["torch"].equal(s["absolute"], s["x"].abs()) and s["x"].min() < 0 < s["x"].max()


def check_count(s, printed):
    assert s["counted"] == s["by_formula"] == 50_890 and printed == "50,890\n"
    assert 1.9 < s["counted"] / s["n_parameters"] < 2


def check_top_two(s, printed):
    assert printed == "1.0\n"
    outputs, labels = s["torch"].rand(500, 10), s["torch"].randint(10, (500,))
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
    assert s["torch"].equal(s["values"][s["best"]], s["values"].sort(descending=True).values[:8])
    usual = s["test_dataset"].data.double().mean(0)
    assert ((s["test_dataset"].data[s["best"]].double().mean(0) - usual) * s["picture"]).sum() > 0


def check_few_images(s, printed):
    assert s["by_number"] == sorted(s["by_number"]) and s["by_number"][0] > 0.5
    assert [line.split(": ")[1] for line in printed.splitlines()] == ["480 steps"] * 4


def check_vote(s, printed):
    assert s["together"] > max(s["singles"]) and len(set(s["singles"])) == 3


CHECKS = {"exercise-" + name.removeprefix("check_").replace("_", "-"): check for name, check in list(globals().items())
          if name.startswith("check_")}
