"""Attributions of a chain of layers in plain torch calls: the peer that a person would write for speed.

Promises batched gradients, integrated gradients, DeepLIFT (Rescale, max pools too), epsilon-LRP and
occlusion of output 0 from a zero baseline, without hooks and without autograd: a forward pass keeps
inputs and slopes, the backward pass calls torch's own backward kernels. To be called in inference mode.
Layers: Conv2d, Linear, ReLU, MaxPool2d, Flatten.
"""

import numpy as np
import torch
from torch.nn import functional as F

from explain_engines import EPSILON, STEPS

SMALLEST_DIFFERENCE, TIE = 1e-5, 1e-6
aten = torch.ops.aten


class WrittenChain:
    def __init__(self, chain, shape):
        self.layers, self.shape = list(chain), shape
        nodes, weights = np.polynomial.legendre.leggauss(STEPS)
        self.nodes = torch.tensor((nodes + 1) / 2, dtype=torch.float32)
        self.weights = torch.tensor(weights / 2, dtype=torch.float32)
        with torch.inference_mode():
            # The baseline is the same for all examples: its activations are computed once.
            self.baseline = self.activations(torch.zeros(1, *shape))

    def activations(self, x):
        """The input of every layer."""
        inputs = []
        for layer in self.layers:
            inputs.append(x)
            x = layer(x)
        return inputs

    # A forward pass gives one step back per layer, a function from the gradient of the layer's output
    # to that of its input.

    def forward(self, x, activation, pool):
        steps = []
        for index, layer in enumerate(self.layers):
            if isinstance(layer, torch.nn.ReLU):
                x, back = activation(index, x)
            elif isinstance(layer, torch.nn.MaxPool2d):
                x, back = pool(index, layer, x)
            else:
                x, back = affine(layer, x)
            steps.append(back)
        return x, steps

    def backward(self, passed):
        outputs, steps = passed
        gradient = torch.zeros_like(outputs)
        gradient[:, 0] = 1
        for back in reversed(steps):
            gradient = back(gradient)
        return gradient

    def gradient(self, x):
        return self.backward(self.forward(x, relu, max_pool))

    def integrated_gradients(self, x):
        points = self.nodes.reshape(-1, *[1] * x.dim()) * x
        gradients = self.gradient(points.flatten(0, 1)).unflatten(0, (STEPS, len(x)))
        return torch.tensordot(self.weights, gradients, 1).mul_(x)

    def lrp_forward(self, x):
        def activation(index, z):
            y = F.relu(z)
            slope = y / (z + torch.copysign(torch.full_like(z, EPSILON), z))
            return y, slope.mul

        return self.forward(x, activation, max_pool)

    def deeplift_forward(self, x):
        def activation(index, z):
            z0 = self.baseline[index]
            y = F.relu(z)
            difference = z - z0
            slope = torch.where(
                difference.abs() < SMALLEST_DIFFERENCE,
                (z > 0).to(z.dtype),
                (y - F.relu(z0)) / difference,
            )
            return y, slope.mul

        def pool(index, layer, z):
            return rescaled_pool(layer, z, self.baseline[index])

        return self.forward(x, activation, pool)

    def occlusion(self, x, batch):
        """The differences by pixel of one image."""
        channels, pixels = self.shape[0], int(np.prod(self.shape[1:]))
        scores, rows = self.outputs(x)[:, 0], torch.arange(batch)
        copies = x.reshape(1, channels, pixels).repeat(batch, 1, 1)
        result = torch.empty(pixels)
        for first in range(0, pixels, batch):
            count = min(batch, pixels - first)
            places = first + rows[:count]
            copies[rows[:count], :, places] = 0
            outputs = self.outputs(copies.reshape(batch, *self.shape)[:count])
            result[first : first + count] = scores - outputs[:, 0]
            copies[rows[:count], :, places] = x.reshape(channels, pixels)[:, places].T
        return result.reshape(1, 1, *self.shape[1:])

    def outputs(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def affine(layer, x):
    if isinstance(layer, torch.nn.Linear):
        return layer(x), lambda g: g @ layer.weight
    if isinstance(layer, torch.nn.Flatten):
        shape = x.shape
        return x.flatten(1), lambda g: g.reshape(shape)

    def back(g):
        return aten.convolution_backward(
            g, x, layer.weight, None, layer.stride, layer.padding, layer.dilation, False, [0, 0],
            layer.groups, [True, False, False],
        )[0]  # fmt: skip

    return layer(x), back


def relu(index, z):
    y = F.relu(z)
    return y, lambda g: aten.threshold_backward(g, y, 0)


def pool_options(layer):
    window = [layer.kernel_size] * 2 if isinstance(layer.kernel_size, int) else layer.kernel_size
    return list(window), list(layer.stride), list(layer.padding), [1, 1], layer.ceil_mode


def max_pool(index, layer, z):
    options = pool_options(layer)
    y, winner = aten.max_pool2d_with_indices(z, *options)
    return y, lambda g: aten.max_pool2d_with_indices_backward(g, z, *options, winner)


def rescaled_pool(layer, z, z0):
    """The rule of propagation.rescaled_pool, with the pool's own backward kernel to put slopes in place."""
    options = pool_options(layer)
    y, winner = aten.max_pool2d_with_indices(z, *options)
    y0, winner0 = aten.max_pool2d_with_indices(z0, *options)
    z0 = z0.expand_as(z).flatten(2)
    same = y0 - z0.gather(2, winner.flatten(2)).reshape(y.shape) <= TIE * y0.abs()
    place = torch.where(same | (y >= y0), winner, winner0)
    flat = place.flatten(2)
    difference = (z.flatten(2).gather(2, flat) - z0.gather(2, flat)).reshape(y.shape)
    ratio = (y - y0) / torch.where(difference == 0, 1.0, difference)
    slope = torch.where(same, 1.0, ratio)
    return y, lambda g: aten.max_pool2d_with_indices_backward(g * slope, z, *options, place)
