"""The answers to the exercises: each runs where its exercise stands, as if a reader had typed it there.

nbval_strict.py asks the kernel that has executed the notebook up to that place. An answer works on a copy of the
notebook's names, and what it draws at random is put back: the cells after it run as if it had not been there.
"""

import contextlib
import io
import json
import re
import traceback

import in_kernel

IN_THE_KERNEL = in_kernel.module(__file__)
FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.S)


def answer(text):
    """The code of an exercise's answer."""
    folded = dict(FOLDED.findall(text))
    return "\n".join(re.findall(r"```python\n(.*?)```", folded["Answer"], re.S))


def question(cell):
    """Code that runs an exercise's answer and prints as JSON what went wrong, or null."""
    return f"{IN_THE_KERNEL}.run({cell.id!r}, {answer(cell.source)!r}, globals())"


@contextlib.contextmanager
def executed(cell_id, code, names):
    """The names and the printed text that an answer leaves, on a copy of the notebook's names."""
    import matplotlib.pyplot as plt
    import torch

    state, show = torch.get_rng_state(), plt.show
    theirs, printed = dict(names), io.StringIO()
    plt.show = lambda: plt.close("all")
    try:
        with contextlib.ExitStack() as stack:
            if cell_id == "exercise-cifar":
                from small_cifar import small_cifar
                theirs["data_root"] = stack.enter_context(small_cifar())
            stack.enter_context(plt.rc_context())
            with contextlib.redirect_stdout(printed):
                exec(compile(code, f"<answer to {cell_id}>", "exec"), theirs)
            yield theirs, printed.getvalue()
    finally:
        plt.show = show
        torch.set_rng_state(state)


def run(cell_id, code, names):
    wrong = None
    try:
        with executed(cell_id, code, names) as (theirs, printed):
            CHECKS[cell_id](theirs, printed)
    except Exception:
        wrong = traceback.format_exc()
    print(json.dumps(wrong))


# Each gets the names that the reader has after the answer, and what the answer printed.

def check_seed(s, printed):
    assert s["first"] != s["second"] and s["in_both"] == len(set(s["first"]) & set(s["second"]))
    assert 0.18 < s["in_both"] / len(s["first"]) < 0.22 and printed == f"{s['in_both']} of {len(s['first'])}\n"


def check_abs(s, printed):
    assert s["torch"].equal(s["absolute"], s["x"].abs()) and s["x"].min() < 0 < s["x"].max()


def check_count(s, printed):
    assert s["counted"] == s["by_formula"] == 50_890 and printed == "50,890\n"
    assert 1.9 < s["counted"] / s["n_parameters"] < 2


def check_top_two(s, printed):
    assert 0.98 < s["among_two"] < 1 and printed == f"{s['among_two']:.4f}\n"
    outputs, labels = s["torch"].rand(500, 10), s["torch"].randint(10, (500,))
    higher = (outputs > outputs.gather(1, labels[:, None])).sum(dim=1)
    assert s["top_two"](outputs, labels) == (higher < 2).double().mean()


def check_learning_rate(s, printed):
    assert s["values"][-1] < 0.2 and printed.endswith("hidden values above zero: 0\n")


def check_one_batch(s, printed):
    learned, capped = s["one_batch_losses"]
    assert learned < 0.05 and capped > 1.46
    right, doubled = printed.splitlines()
    steps = re.fullmatch(r"MnistModel: accuracy 1.00 first after (\d+) steps, loss 0.0\d+", right)[1]
    assert 20 < int(steps) < 120   # "some dozens"
    assert doubled.startswith("SoftmaxModel: accuracy ") and doubled.endswith(f", loss {capped:.4f}")


def check_steady(s, printed):
    assert s["same_losses"] == s["losses"]
    steady, fine = s["steady_losses"], s["fine_losses"]
    assert min(steady) > max(fine) and steady != sorted(steady) and steady != sorted(steady, reverse=True)
    assert s["steady_metrics"][-1] < s["fine_metrics"][-1]


def check_gradients(s, printed):
    no_ink = s["xb"].cpu().flatten(1).amax(dim=0) == 0   # in this batch
    assert s["gradients"].shape == (784,) and no_ink.any()
    assert (s["gradients"][no_ink] == 0).all() and (s["gradients"][~no_ink] > 0).any()
    assert printed == "72 pixels without ink, weights unchanged: True\n"
    changed = (s["trial"].linear1.weight != s["model"].linear1.weight).any(dim=0).cpu()
    assert s["torch"].equal(changed, ~s["no_ink"])   # every other pixel's weights have changed


def check_zeros(s, printed):
    assert s["values"][-1] < 0.2
    assert [line.split()[0] for line in printed.splitlines() if line.endswith(" True")] == ["linear2.bias"]
    assert [name for name, p in s["trial"].named_parameters() if p.abs().max() > 0] == ["linear2.bias"]


def check_sigmoid(s, printed):
    assert 0.85 < s["values"][1] < s["all_metrics"][2]


def check_adam(s, printed):
    assert s["adam_values"][0.005][-1] > 0.9 and s["adam_values"][0.5][-1] < 0.5
    assert len(printed.splitlines()) == 4


def check_best_images(s, printed):
    assert s["torch"].equal(s["values"][s["best"]], s["values"].sort(descending=True).values[:8])
    images = s["dataset"].data[s["val_indices"]].double()
    units = s["to_device"](images.flatten(1)[s["best"]] / 255, s["device"]).to(s["model"].linear1.weight.dtype)
    assert s["torch"].allclose(s["model"].linear1(units)[:, 0].cpu(), s["values"][s["best"]])
    assert ((images[s["best"]].mean(0) - images.mean(0)) * s["picture"]).sum() > 0


def check_calibration(s, printed):
    assert 0 < s["promised"] < s["n_sure_wrong"] and s["sure"].sum() > 9000
    assert printed.split()[0] == str(s["n_sure_wrong"])


def check_few_images(s, printed):
    assert s["by_number"] == sorted(s["by_number"]) and s["by_number"][0] > 0.5
    assert [line.split(": ")[1] for line in printed.splitlines()] == ["480 steps"] * 4


def check_vote(s, printed):
    assert s["together"] > max(s["singles"]) and len(set(s["singles"])) == 3
    assert printed.endswith(f" together {s['together']:.4f}\n")


def check_convolution(s, printed):
    ours, convolutional = s["convolution_scores"].values()
    assert 0.91 < ours < 0.92 and 0.95 < convolutional < 0.96
    assert [line.split(", acc")[0] for line in printed.splitlines()] == [
        "ours, 256 units: 203,530 parameters", "convolutional: 4,266 parameters"]
    assert s["trial"](s["xb"][:2]).shape == (2, 10)


def check_cifar(s, printed):
    from torchvision.transforms import ToTensor
    batched, torch = s["BatchedCIFAR10"](s["cifar"]), s["torch"]
    images, labels = batched[[3, 1]]
    assert torch.equal(images, torch.stack([ToTensor()(s["cifar"].data[number]) for number in (3, 1)]))
    assert labels.tolist() == [s["cifar"].targets[3], s["cifar"].targets[1]] and len(batched) == 250
    assert [sum(len(yb) for xb, yb in s[name]) for name in ("cifar_dl", "cifar_valid_dl")] == [200, 50]
    assert (s["cifar_model"].linear1.in_features, s["cifar_model"].linear2.out_features) == (3072, 10)
    assert printed.count("epoch 5 of 5") == 2 and len(printed.splitlines()) == 10


CHECKS = {"exercise-" + name.removeprefix("check_").replace("_", "-"): check for name, check in list(globals().items())
          if name.startswith("check_")}
