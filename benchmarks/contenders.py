"""Ways to train the notebook's network. `bench.py` lets them train in turns, each in a process of its own.

A contender is a function of the hidden size, the batch size and `turn`. It trains an epoch at each of RATES,
and calls `turn(accuracy)` before the first and after each, with its accuracy on the validation images.
"""

import os
import sys
import time
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from notebook_file import ROOT, definitions

RATES = [0.5] * 5 + [0.1] * 5   # the learning rate of each epoch


def load():
    """Images [60000, 784] as bytes, labels, and the notebook's split: training and validation indices."""
    raw = ROOT / "data" / "MNIST" / "raw"
    images = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8).astype(int)
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    return torch.from_numpy(images), torch.from_numpy(labels), shuffled[12_000:], shuffled[:12_000]


def in_memory():
    """Training images and labels, validation images and labels: arrays; images float32 from 0 to 1."""
    images, labels, train, valid = [tensor.numpy() for tensor in load()]
    images = images / np.float32(255)
    return [part[indices] for indices in (train, valid) for part in (images, labels)]


def datasets():
    x, y, valid_x, valid_y = map(torch.from_numpy, in_memory())
    return TensorDataset(x, y), TensorDataset(valid_x, valid_y)


def network(hidden):
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def notebook(hidden):
    """The notebook's own definitions, by name, and its model."""
    names = definitions()
    torch.manual_seed(names["seed"])
    return names, names["MnistModel"](784, hidden, 10)


def notebook_fit(hidden, batch, turn, plain=False):
    """The notebook's `fit` with its loaders, or with plain ones."""
    nb, model = notebook(hidden)
    dataset = nb["load_mnist"](ROOT / "data")
    _, _, train, valid = load()
    samplers = nb["SubsetRandomSampler"](train.tolist()), valid.tolist()
    if plain:
        loaders = [DataLoader(dataset, batch, sampler=sampler) for sampler in samplers]
    else:
        dataset = nb["BatchedMNIST"](dataset)
        loaders = [nb["DeviceDataLoader"](nb["make_loader"](dataset, batch, sampler), torch.device("cpu"))
                   for sampler in samplers]
    turn(None)
    for rate in RATES:
        losses, metrics = nb["fit"](1, rate, model, F.cross_entropy, *loaders, nb["accuracy"])
        turn(metrics[-1])


def from_a_tensor(images, batch, turn, step, validate, valid_batch=1000, to_numbers=lambda xb: xb / 255):
    """Fetch every batch from a tensor: those of an epoch for `step`, the validation images for `validate`."""
    _, labels, train, valid = load()

    def fetched(indices, size):
        for some in indices.split(size):
            xb = images.index_select(0, some)   # faster than images[some]
            yield xb if xb.is_floating_point() else to_numbers(xb), labels.index_select(0, some)

    turn(None)
    for rate in RATES:
        for xb, yb in fetched(train[torch.randperm(len(train))], batch):
            step(xb, yb, rate)
        turn(validate(fetched(valid, valid_batch)))


@torch.no_grad()
def accuracy_of(model, batches):
    """The fraction of right answers; the loss is calculated too, as the other contenders do."""
    loss, right = 0, []
    for xb, yb in batches:
        outputs = model(xb)
        loss += F.cross_entropy(outputs, yb, reduction="sum").item()
        right.append(outputs.argmax(dim=1) == yb)
    return torch.cat(right).double().mean().item()


def bare_pytorch(hidden, batch, turn, as_bytes=False):
    """Fetch, forward, backward, step. The tensor holds numbers from 0 to 1, or bytes."""
    model = network(hidden)
    optimizer = cache(lambda rate: torch.optim.SGD(model.parameters(), lr=rate))

    def step(xb, yb, rate):
        opt = optimizer(rate)
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        opt.step()
        opt.zero_grad()

    images = load()[0]
    from_a_tensor(images if as_bytes else images / 255, batch, turn, step, partial(accuracy_of, model), batch)


def by_hand(hidden, batch, turn):
    """The notebook's `step_by_hand`."""
    nb, model = notebook(hidden)
    weights = [parameter.detach() for parameter in model.parameters()]   # they share the model's memory
    step = partial(nb["step_by_hand"], weights)
    from_a_tensor(load()[0], batch, turn, step, partial(accuracy_of, model))


def trimmed(hidden, batch, turn):
    """`step_by_hand` with all that makes it faster and harder to read.

    The division by 255 is in the first layer's weights, pixels that no training image uses are left out, and
    each sum is added to its product in one operation.
    """
    images, _, train, _ = load()
    images = images[:, images[train].amax(dim=0) > 0]
    model = network(hidden)
    w1, b1, w2, b2 = [parameter.detach() for parameter in model.parameters()]
    w1 = model[0].weight.data = w1[:, :images.shape[1]] / 255   # random, so any of them will do

    def step(xb, yb, rate):
        units = torch.addmm(b1, xb, w1.T).relu_()
        error = torch.addmm(b2, units, w2.T).softmax(dim=1)
        error[torch.arange(len(yb)), yb] -= 1
        hidden_error = (error @ w2).mul_(units > 0)
        size = rate / len(yb)
        w2.addmm_(error.T, units, alpha=-size)
        b2.sub_(error.sum(dim=0), alpha=size)
        w1.addmm_(hidden_error.T, xb, alpha=-size / 255 ** 2)
        b1.sub_(hidden_error.sum(dim=0), alpha=size)

    validate = partial(accuracy_of, model)
    from_a_tensor(images, batch, turn, step, validate, to_numbers=lambda xb: xb.to(w1.dtype))


def two_products(hidden, batch, turn):
    """Fetching, the two large products of a step, and the first layer's of validation. It learns nothing."""
    weight = torch.zeros(hidden, 784)

    def validate(batches):
        for xb, _ in batches:
            weight @ xb.T

    from_a_tensor(load()[0], batch, turn, lambda xb, yb, rate: weight @ xb.T @ xb, validate)


def scikit_learn(hidden, batch, turn):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    warnings.simplefilter("ignore", ConvergenceWarning)   # it is asked for one epoch at a time
    x, y, valid_x, valid_y = in_memory()
    model = MLPClassifier(
        (hidden,), solver="sgd", momentum=0, alpha=0, batch_size=batch, max_iter=1, warm_start=True)
    turn(None)
    for rate in RATES:
        model.set_params(learning_rate_init=rate).fit(x, y)
        turn(model.score(valid_x, valid_y))


def jax_scan(hidden, batch, turn):
    import jax
    import jax.numpy as jnp
    x, y, valid_x, valid_y = map(jnp.asarray, in_memory())
    steps = len(x) // batch

    def layer(key, n_in, n_out):
        limit = n_in ** -0.5
        return jax.random.uniform(key, (n_in, n_out), minval=-limit, maxval=limit), jnp.zeros(n_out)

    def predict(params, xb):
        (w1, b1), (w2, b2) = params
        return jax.nn.relu(xb @ w1 + b1) @ w2 + b2

    def loss(params, xb, yb):
        log_probabilities = jax.nn.log_softmax(predict(params, xb))
        return -jnp.take_along_axis(log_probabilities, yb[:, None], axis=1).mean()

    @jax.jit
    def epoch(params, key, rate):
        def step(params, indices):
            slopes = jax.grad(loss)(params, x[indices], y[indices])
            return jax.tree.map(lambda p, g: p - rate * g, params, slopes), None
        order = jax.random.permutation(key, len(x))
        params, _ = jax.lax.scan(step, params, order[:steps * batch].reshape(steps, batch))
        if len(x) % batch:
            params, _ = step(params, order[steps * batch:])
        right = predict(params, valid_x).argmax(axis=1) == valid_y
        return params, loss(params, valid_x, valid_y), right.mean()

    first, second, *keys = jax.random.split(jax.random.key(1), 2 + len(RATES))
    params = [layer(first, 784, hidden), layer(second, hidden, 10)]
    turn(None)
    for key, rate in zip(keys, RATES):
        params, _, accuracy = epoch(params, key, rate)
        turn(float(accuracy))


def keras(hidden, batch, turn, backend):
    os.environ["KERAS_BACKEND"] = backend
    import keras
    x, y, valid_x, valid_y = in_memory()
    model = keras.Sequential([
        keras.Input((784,)), keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(10)])
    model.compile(optimizer=keras.optimizers.SGD(), metrics=["accuracy"],
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: RATES[epoch])
    turns = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: turn(None), on_epoch_end=lambda epoch, logs: turn(logs["val_accuracy"]))
    model.fit(x, y, batch_size=batch, epochs=len(RATES), validation_data=(valid_x, valid_y), verbose=0,
              callbacks=[rates, turns])


def lightning(hidden, batch, turn):
    import lightning as L

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

    train, valid = datasets()
    trainer = L.Trainer(accelerator="cpu", max_epochs=len(RATES), num_sanity_val_steps=0, logger=False,
                        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Model(), DataLoader(train, batch, shuffle=True), DataLoader(valid, batch))


def skorch(hidden, batch, turn):
    from skorch import NeuralNetClassifier
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split
    x, y, valid_x, valid_y = in_memory()
    net = NeuralNetClassifier(
        network(hidden), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.SGD, batch_size=batch,
        max_epochs=1, iterator_train__shuffle=True, verbose=0,
        train_split=predefined_split(Dataset(valid_x, valid_y)))
    net.initialize()
    turn(None)
    for rate in RATES:
        net.set_params(lr=rate).partial_fit(x, y)
        turn(float(net.history[-1, "valid_acc"]))


def fastai(hidden, batch, turn):
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from fastai.optimizer import SGD
    dls = DataLoaders.from_dsets(*datasets(), bs=batch, shuffle=True, num_workers=0, device="cpu")
    learn = Learner(dls, network(hidden), loss_func=CrossEntropyLossFlat(), opt_func=SGD, metrics=accuracy)
    turn(None)
    for rate in RATES:
        with learn.no_logging():
            learn.fit(1, rate)
        turn(learn.recorder.values[-1][-1])


IN_BOTH_PRECISIONS = {
    "plain loader": partial(notebook_fit, plain=True),
    "notebook's loop": notebook_fit,
    "notebook's step by hand": by_hand,
    "step by hand, trimmed": trimmed,
    "bare PyTorch": bare_pytorch,
    "bare PyTorch on bytes": partial(bare_pytorch, as_bytes=True),
    "fetching, two products": two_products,
}
CONTENDERS = {
    **{f"{name}, {dtype}": contender for name, contender in IN_BOTH_PRECISIONS.items()
       for dtype in ("float32", "float64")},
    "JAX": jax_scan,
    "scikit-learn": scikit_learn,
    "Keras on JAX": partial(keras, backend="jax"),
    "Keras on PyTorch": partial(keras, backend="torch"),
    "Lightning": lightning,
    "skorch": skorch,
    "fastai": fastai,
}


def train(name, hidden, batch, pipe):
    """Train in a process of its own, an epoch each time that the other end of the pipe asks for one."""
    start = time.perf_counter()

    def turn(accuracy):
        """Report the turn that ends here, then wait for the next."""
        nonlocal start
        pipe.send((time.perf_counter() - start, accuracy))
        pipe.recv()
        start = time.perf_counter()

    torch.set_default_dtype(torch.float64 if name.endswith("float64") else torch.float32)
    CONTENDERS[name](hidden, batch, turn)
