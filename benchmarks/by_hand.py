"""The fastest step, until the notebook has it: forward, backward and update in plain tensor operations."""

import torch


@torch.no_grad()
def steps_by_hand(lr, model, images, labels, order, batch_size):
    """One step per batch of `order`; `images` [n, 784] bytes, `labels` [n]. Changes the model's weights."""
    w1, b1, w2, b2 = model.parameters()
    b1, b2 = b1.unsqueeze(1), b2.unsqueeze(1)            # columns; they share the model's memory
    one_hot = torch.eye(10)                              # column y: 1 at y, else 0
    for batch in order.split(batch_size):
        step = -lr / len(batch)
        xb = images.index_select(0, batch) / 255         # [batch, 784]
        hidden = torch.addmm(b1, w1, xb.T).relu_()       # [hidden, batch]: one column per image
        outputs = torch.addmm(b2, w2, hidden)            # [10, batch]
        d_outputs = outputs.softmax(dim=0) - one_hot[:, labels[batch]]   # the loss's slopes, [10, batch]
        d_hidden = (w2.T @ d_outputs) * hidden.sign()    # [hidden, batch]; none where ReLU gave 0
        w2.addmm_(d_outputs, hidden.T, alpha=step)       # w2 += step * d_outputs @ hidden.T
        b2.add_(d_outputs.sum(dim=1, keepdim=True), alpha=step)
        w1.addmm_(d_hidden, xb, alpha=step)
        b1.add_(d_hidden.sum(dim=1, keepdim=True), alpha=step)


@torch.no_grad()
def accuracy_by_hand(model, images, labels, indices):
    """The fraction that is right, over the images at `indices`."""
    right = 0
    for batch in indices.split(1000):
        outputs = model(images.index_select(0, batch) / 255)
        right += (outputs.argmax(dim=1) == labels[batch]).sum().item()
    return right / len(indices)
