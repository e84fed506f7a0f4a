"""Ways to train the notebook's network, each in a process of its own.

    python benchmarks/contenders.py NAME HIDDEN BATCH DATA

`bench.py` starts these processes and lets them train in turns. Each contender is a function that trains EPOCHS epochs
and calls `turn(accuracy)` once before the first and then after each, with its accuracy on the validation images.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
RATES = [0.5] * 5 + [0.1] * 5   # the learning rate of each epoch
EPOCHS = len(RATES)


def notebook(dtype, hidden, batch):
    """The notebook's own definitions and settings, as a dictionary of names."""
    from cells import definitions
    import matplotlib
    import torch
    matplotlib.use("Agg")
    torch.set_default_dtype(getattr(torch, dtype))
    names = definitions()
    names.update(hidden_size=hidden, batch_size=batch, device=torch.device("cpu"))
    torch.manual_seed(names["seed"])
    return names


def samplers(nb, data):
    """The notebook's: the training images in a new order each time, the validation images as they come."""
    return nb["SubsetRandomSampler"](data["train"].tolist()), data["valid"].tolist()


def fit_in_turns(nb, train_dl, valid_dl, turn):
    """Train with the notebook's `fit`, one epoch a turn."""
    model = nb["MnistModel"](784, nb["hidden_size"], 10)
    turn(None)
    for rate in RATES:
        losses, metrics = nb["fit"](1, rate, model, nb["F"].cross_entropy, train_dl, valid_dl, nb["accuracy"])
        turn(metrics[-1])


def plain_loader(dtype, data, hidden, batch, turn):
    nb = notebook(dtype, hidden, batch)
    dataset = nb["load_mnist"](ROOT / "data")
    train_dl, valid_dl = [nb["DataLoader"](dataset, batch, sampler=sampler) for sampler in samplers(nb, data)]
    fit_in_turns(nb, train_dl, valid_dl, turn)


def notebook_loop(dtype, data, hidden, batch, turn):
    nb = notebook(dtype, hidden, batch)
    dataset = nb["BatchedMNIST"](nb["load_mnist"](ROOT / "data"))
    loaders = [nb["make_loader"](dataset, batch, sampler) for sampler in samplers(nb, data)]
    train_dl, valid_dl = [nb["DeviceDataLoader"](loader, nb["device"]) for loader in loaders]
    fit_in_turns(nb, train_dl, valid_dl, turn)


def by_hand(dtype, data, hidden, batch, turn):
    import torch
    nb = notebook(dtype, hidden, batch)
    images, labels, train, valid = tensors(data)
    model = nb["MnistModel"](784, hidden, 10)
    weights = [parameter.detach() for parameter in model.parameters()]   # they share the model's memory
    turn(None)
    for rate in RATES:
        for indices in train[torch.randperm(len(train))].split(batch):
            nb["step_by_hand"](weights, *fetch(images, labels, indices), rate)
        turn(validation_accuracy(model, images, labels, valid.split(1000)))


def trimmed(dtype, data, hidden, batch, turn):
    """`step_by_hand` with all that makes it faster and harder to read.

    The division by 255 is in the first layer's weights, pixels that are black in every training image are left out,
    and each sum is added to its product in one operation.
    """
    import torch
    torch.set_default_dtype(getattr(torch, dtype))
    images, labels, train, valid = tensors(data)
    images = images[:, images[train].amax(dim=0) > 0]
    model = network(hidden)
    w1, b1, w2, b2 = [parameter.detach() for parameter in model.parameters()]
    w1 = model[0].weight.data = w1[:, :images.shape[1]] / 255   # random, so any of them will do
    turn(None)
    for rate in RATES:
        for indices in train[torch.randperm(len(train))].split(batch):
            x, y = images.index_select(0, indices).to(w1.dtype), labels.index_select(0, indices)
            units = torch.addmm(b1, x, w1.T).relu_()
            error = torch.addmm(b2, units, w2.T).softmax(dim=1)
            error[torch.arange(len(y)), y] -= 1
            hidden_error = (error @ w2).mul_(units > 0)
            step = rate / len(y)
            w2.addmm_(error.T, units, alpha=-step)
            b2.sub_(error.sum(dim=0), alpha=step)
            w1.addmm_(hidden_error.T, x, alpha=-step / 255 ** 2)
            b1.sub_(hidden_error.sum(dim=0), alpha=step)
        turn(validation_accuracy(model, images, labels, valid.split(1000), divisor=1))


def tensors(data):
    """images [60000, 784] as bytes, labels [60000], training and validation indices."""
    import torch
    return [torch.from_numpy(data[name]) for name in ("images", "labels", "train", "valid")]


def fetch(images, labels, indices, divisor=255):
    """A batch; images that are bytes become numbers from 0 to 255 / divisor."""
    xb = images.index_select(0, indices)   # faster than images[indices]
    return xb if xb.is_floating_point() else xb / divisor, labels.index_select(0, indices)


def validation_accuracy(model, images, labels, batches, divisor=255):
    """The fraction of right answers; the loss is calculated too, as the other contenders do."""
    import torch
    import torch.nn.functional as F
    loss, right, n = 0, 0, 0
    with torch.no_grad():
        for indices in batches:
            xb, yb = fetch(images, labels, indices, divisor)
            outputs = model(xb)
            loss += F.cross_entropy(outputs, yb, reduction="sum").item()
            right += (outputs.argmax(dim=1) == yb).sum().item()
            n += len(yb)
    return right / n


def bare_pytorch(dtype, data, hidden, batch, turn, as_bytes=False):
    """Index a tensor, forward, backward, step. The tensor holds numbers from 0 to 1, or bytes."""
    import torch
    import torch.nn.functional as F
    torch.set_default_dtype(getattr(torch, dtype))
    images, labels, train, valid = tensors(data)
    if not as_bytes:
        images = images / 255
    model = network(hidden)
    turn(None)
    for rate in RATES:
        opt = torch.optim.SGD(model.parameters(), lr=rate)
        for indices in train[torch.randperm(len(train))].split(batch):
            xb, yb = fetch(images, labels, indices)
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            opt.step()
            opt.zero_grad()
        turn(validation_accuracy(model, images, labels, valid.split(batch)))


def two_products(dtype, data, hidden, batch, turn):
    """Fetching and the two large matrix products of a step, and the first layer's of validation: learns nothing."""
    import torch
    torch.set_default_dtype(getattr(torch, dtype))
    images, labels, train, valid = tensors(data)
    weight = torch.zeros(hidden, 784)
    turn(None)
    for rate in RATES:
        for indices in train[torch.randperm(len(train))].split(batch):
            xb, _ = fetch(images, labels, indices)
            weight @ xb.T @ xb
        for indices in valid.split(1000):
            xb, _ = fetch(images, labels, indices)
            weight @ xb.T
        turn(None)


def scaled(data):
    """Training images and labels, validation images and labels; images as float32 from 0 to 1."""
    images = data["images"] / np.float32(255)
    return [part for indices in (data["train"], data["valid"]) for part in (images[indices], data["labels"][indices])]


def scikit_learn(data, hidden, batch, turn):
    import warnings
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    warnings.simplefilter("ignore", ConvergenceWarning)   # it is asked for one epoch at a time
    x, y, valid_x, valid_y = scaled(data)
    model = MLPClassifier((hidden,), solver="sgd", momentum=0, alpha=0, batch_size=batch, max_iter=1, warm_start=True)
    turn(None)
    for rate in RATES:
        model.set_params(learning_rate_init=rate).fit(x, y)
        turn(model.score(valid_x, valid_y))


def jax_scan(data, hidden, batch, turn):
    import jax
    import jax.numpy as jnp
    x, y, valid_x, valid_y = map(jnp.asarray, scaled(data))
    steps = len(x) // batch

    def layer(key, n_in, n_out):
        limits = dict(minval=-n_in ** -0.5, maxval=n_in ** -0.5)
        return {"w": jax.random.uniform(key, (n_in, n_out), **limits), "b": jnp.zeros(n_out)}

    def predict(params, xb):
        hidden_units = jax.nn.relu(xb @ params[0]["w"] + params[0]["b"])
        return hidden_units @ params[1]["w"] + params[1]["b"]

    def loss(params, xb, yb):
        return -jnp.take_along_axis(jax.nn.log_softmax(predict(params, xb)), yb[:, None], axis=1).mean()

    @jax.jit
    def epoch(params, key, rate):
        def step(params, indices):
            slopes = jax.grad(loss)(params, x[indices], y[indices])
            return jax.tree.map(lambda p, g: p - rate * g, params, slopes), None
        order = jax.random.permutation(key, len(x))
        params, _ = jax.lax.scan(step, params, order[:steps * batch].reshape(steps, batch))
        if len(x) % batch:
            params, _ = step(params, order[steps * batch:])
        return params, loss(params, valid_x, valid_y), (predict(params, valid_x).argmax(axis=1) == valid_y).mean()

    first, second, *keys = jax.random.split(jax.random.key(1), 2 + EPOCHS)
    params = [layer(first, 784, hidden), layer(second, hidden, 10)]
    turn(None)
    for key, rate in zip(keys, RATES):
        params, valid_loss, accuracy = epoch(params, key, rate)
        turn(float(accuracy))


def keras(backend, data, hidden, batch, turn):
    os.environ["KERAS_BACKEND"] = backend
    import keras
    x, y, valid_x, valid_y = scaled(data)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(10)])
    model.compile(optimizer=keras.optimizers.SGD(), metrics=["accuracy"],
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=batch, epochs=EPOCHS, validation_data=(valid_x, valid_y), verbose=0, callbacks=[
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: RATES[epoch]),
        keras.callbacks.LambdaCallback(on_train_begin=lambda logs: turn(None),
                                       on_epoch_end=lambda epoch, logs: turn(logs["val_accuracy"]))])


def datasets(data):
    """Training and validation set in memory, as PyTorch's documentation has it."""
    import torch
    from torch.utils.data import TensorDataset
    x, y, valid_x, valid_y = map(torch.from_numpy, scaled(data))
    return TensorDataset(x, y), TensorDataset(valid_x, valid_y)


def network(hidden):
    from torch import nn
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def lightning(data, hidden, batch, turn):
    import lightning as L
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = network(hidden)

        def training_step(self, batch, batch_index):
            xb, yb = batch
            return F.cross_entropy(self.model(xb), yb)

        def validation_step(self, batch, batch_index):
            xb, yb = batch
            outputs = self.model(xb)
            self.log("loss", F.cross_entropy(outputs, yb))
            self.log("accuracy", (outputs.argmax(dim=1) == yb).float().mean())

        def configure_optimizers(self):
            opt = torch.optim.SGD(self.parameters(), lr=0.5)
            return [opt], [torch.optim.lr_scheduler.MultiStepLR(opt, milestones=[5], gamma=0.2)]

        def on_train_start(self):
            turn(None)

        def on_train_epoch_end(self):   # comes after the validation
            turn(self.trainer.callback_metrics["accuracy"].item())

    train, valid = datasets(data)
    trainer = L.Trainer(accelerator="cpu", max_epochs=EPOCHS, num_sanity_val_steps=0, logger=False,
                        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Model(), DataLoader(train, batch, shuffle=True), DataLoader(valid, batch))


def skorch(data, hidden, batch, turn):
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback, LRScheduler
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    class Turns(Callback):
        def on_train_begin(self, net, **kwargs):
            turn(None)

        def on_epoch_end(self, net, **kwargs):
            turn(float(net.history[-1, "valid_acc"]))

    x, y, valid_x, valid_y = scaled(data)
    net = NeuralNetClassifier(
        network(hidden), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.SGD, lr=0.5, batch_size=batch,
        max_epochs=EPOCHS, iterator_train__shuffle=True, train_split=predefined_split(Dataset(valid_x, valid_y)),
        callbacks=[LRScheduler("MultiStepLR", milestones=[5], gamma=0.2), Turns()], verbose=0)
    net.fit(x, y)


def fastai(data, hidden, batch, turn):
    from fastai.learner import Learner
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from fastai.optimizer import SGD

    class Turns(Callback):
        order = 90   # after fastai's own Recorder

        def after_epoch(self):
            turn(self.learn.recorder.values[-1][-1])

    train, valid = datasets(data)
    dls = DataLoaders.from_dsets(train, valid, bs=batch, shuffle=True, num_workers=0, device="cpu")
    learn = Learner(dls, network(hidden), loss_func=CrossEntropyLossFlat(), opt_func=SGD, metrics=accuracy, cbs=Turns())
    turn(None)
    with learn.no_logging():
        learn.fit(5, 0.5)
        learn.fit(5, 0.1)


IN_BOTH_PRECISIONS = {
    "plain loader": plain_loader,
    "notebook's loop": notebook_loop,
    "notebook's step by hand": by_hand,
    "step by hand, trimmed": trimmed,
    "bare PyTorch": bare_pytorch,
    "bare PyTorch on bytes": partial(bare_pytorch, as_bytes=True),
    "fetching, two products": two_products,
}
CONTENDERS = {
    **{f"{name}, {dtype}": partial(train, dtype)
       for name, train in IN_BOTH_PRECISIONS.items() for dtype in ("float32", "float64")},
    "JAX": jax_scan,
    "scikit-learn": scikit_learn,
    "Keras on JAX": partial(keras, "jax"),
    "Keras on PyTorch": partial(keras, "torch"),
    "Lightning": lightning,
    "skorch": skorch,
    "fastai": fastai,
}


def main():
    name, hidden, batch, file = sys.argv[1:]
    # Answers go to the real output; whatever a library prints goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    start = time.perf_counter()

    def turn(accuracy):
        """Report the turn that ends here, then wait for the next."""
        nonlocal start
        print(json.dumps({"seconds": time.perf_counter() - start, "accuracy": accuracy}), file=answers, flush=True)
        if not sys.stdin.readline():
            os._exit(0)   # no further turn is wanted
        start = time.perf_counter()

    CONTENDERS[name](dict(np.load(file)), int(hidden), int(batch), turn)


if __name__ == "__main__":
    main()
