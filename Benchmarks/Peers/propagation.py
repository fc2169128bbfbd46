"""Attributions by propagation, written out: the independent references for the tests of explanations.

Promises the definitions of Fixtures/README.md in plain torch, in the precision of the given module graph
(the references are made in double): no hooks, no library of explanations. Every method is one forward
pass and one backward pass in which the local derivative of a nonlinearity is replaced by another slope;
affine layers keep their own transposes, which torch's autograd supplies. Rules that split positive and
negative contributions (LRP) are in `relevance`, for chains of layers.
"""

import torch
from torch import nn
from torch.nn import functional as F

POINTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus)
# Below this difference of pre-activations the slope between two points is the derivative between them.
SMALLEST_DIFFERENCE = 1e-10
# Values of a window this close, relative to the larger, are equal but for rounding.
TIE = 1e-6


class Slope(torch.autograd.Function):
    """The value `y` forwards; backwards the gradient times `slope`."""

    @staticmethod
    def forward(context, z, y, slope):
        context.save_for_backward(slope)
        return y

    @staticmethod
    def backward(context, gradient):
        (slope,) = context.saved_tensors
        return gradient * slope, None, None


class PoolRescale(torch.autograd.Function):
    """A max pool whose backward pass is that of `rescaled_pool`."""

    @staticmethod
    def forward(context, z, z0, layer):
        options = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        y, winner = F.max_pool2d(z, *options, return_indices=True)
        y0, winner0 = F.max_pool2d(z0, *options, return_indices=True)
        context.save_for_backward(z, z0, y, y0, winner, winner0)
        return y

    @staticmethod
    def backward(context, gradient):
        return rescaled_pool(gradient, *context.saved_tensors), None, None


def rescaled_pool(gradient, z, z0, y, y0, winner, winner0):
    """Puts the whole difference y - y0 of a window on one position.

    The winner of the input wins (or ties) for the baseline too: it alone, with slope 1. Else the winner of
    whichever is larger: of the input if y >= y0, of the baseline if y < y0; its slope is (y - y0) over
    the difference there, which is at least as large as y - y0 (0 over 0 is 0). Overlapping windows add.

    Ties are the rule, not the exception: a zero baseline makes constant maps, whose windows tie but for
    rounding. Were the baseline's first winner taken there, rounding would choose the position.
    """
    shape = z.shape
    z, z0, y, y0, winner, winner0 = (v.flatten(2) for v in (z, z0, y, y0, winner, winner0))
    y0 = y0.expand_as(y)
    same = y0 - z0.gather(2, winner) <= TIE * y0.abs()
    place = torch.where(same | (y >= y0), winner, winner0)
    difference = z.gather(2, place) - z0.gather(2, place)
    ratio = torch.where(difference == 0, torch.zeros_like(y), (y - y0) / difference)
    slope = torch.where(same, torch.ones_like(y), ratio)
    return torch.zeros_like(z).scatter_add_(2, place, gradient.flatten(2) * slope).reshape(shape)


def stabilised(z, epsilon):
    """z moved away from zero: z + epsilon sign(z), where the sign of zero is +1."""
    return z + torch.where(z >= 0, epsilon, -epsilon)


def modified_gradient(graph, x, target, pointwise_slope, pool=None):
    """The gradient of the target's output at x with other slopes; `pool` replaces max pools too.

    pointwise_slope(index of the step, layer, z) gives the slopes of one activation.
    """
    x = x.detach().clone().requires_grad_(True)
    values = {graph.start: x}
    for index, (layer, inputs, output) in enumerate(graph.steps):
        arguments = [values[name] for name in inputs]
        if isinstance(layer, POINTWISE):
            z = arguments[0].detach()
            values[output] = Slope.apply(arguments[0], layer(z), pointwise_slope(index, layer, z))
        elif pool is not None and isinstance(layer, nn.MaxPool2d):
            values[output] = pool(index, layer, arguments[0])
        else:
            values[output] = layer(*arguments)
    scores = values[graph.stop].gather(1, target[:, None])
    return torch.autograd.grad(scores.sum(), x)[0]


def gradient(graph, x, target):
    x = x.detach().clone().requires_grad_(True)
    scores = graph(x).gather(1, target[:, None])
    return torch.autograd.grad(scores.sum(), x)[0]


def epsilon_lrp(graph, x, target, epsilon=1e-4):
    """x times the modified gradient with slopes f(z) / (z + epsilon sign(z)); max pools as they are."""

    def slope(index, layer, z):
        return layer(z) / stabilised(z, epsilon)

    return x * modified_gradient(graph, x, target, slope)


def deeplift(graph, x, target, baseline, rescales_pools=True):
    """(x - baseline) times the modified gradient with slopes (f(z) - f(z0)) / (z - z0).

    Max pools are rescaled too (see `rescaled_pool`), or keep their gradient, which goes to x's winner.
    """
    inputs_of = {}
    values = {graph.start: baseline.expand_as(x)}
    for index, (layer, inputs, output) in enumerate(graph.steps):
        arguments = [values[name] for name in inputs]
        inputs_of[index] = arguments[0]
        values[output] = layer(*arguments)

    def slope(index, layer, z):
        z0 = inputs_of[index]
        between = ((z + z0) / 2).requires_grad_(True)
        (derivative,) = torch.autograd.grad(layer(between).sum(), between)
        difference = z - z0
        near = difference.abs() < SMALLEST_DIFFERENCE
        secant = (layer(z) - layer(z0)) / torch.where(near, torch.ones_like(z), difference)
        return torch.where(near, derivative, secant)

    def pool(index, layer, z):
        return PoolRescale.apply(z, inputs_of[index], layer)

    pools = pool if rescales_pools else None
    return (x - baseline) * modified_gradient(graph, x, target, slope, pools)


def integrated_gradients(graph, x, target, baseline, nodes, weights):
    """(x - baseline) times the weighted sum of gradients at baseline + t (x - baseline), t in nodes."""
    total = torch.zeros_like(x)
    for t, weight in zip(nodes, weights):
        total += weight * gradient(graph, baseline + t * (x - baseline), target)
    return (x - baseline) * total


def occlusion(graph, x, target, size, stride):
    """Per window of all channels, the target's output minus that with the window set to zero.

    (examples, windows down, windows across); windows that would leave the image are not there.
    """
    scores = graph(x).gather(1, target[:, None])[:, 0]
    rows = range(0, x.shape[2] - size + 1, stride)
    columns = range(0, x.shape[3] - size + 1, stride)
    result = torch.zeros(len(x), len(rows), len(columns), dtype=x.dtype)
    for i, row in enumerate(rows):
        occluded = x.repeat(len(columns), 1, 1, 1).unflatten(0, (len(columns), len(x)))
        for j, column in enumerate(columns):
            occluded[j, :, :, row : row + size, column : column + size] = 0
        outputs = graph(occluded.flatten(0, 1)).unflatten(0, (len(columns), len(x)))
        for j in range(len(columns)):
            result[:, i, j] = scores - outputs[j].gather(1, target[:, None])[:, 0]
    return result


def relevance(graph, x, target, rule, stabiliser=1e-6):
    """LRP of a chain: `rule` in every Conv and Linear; activations pass relevance on as it is.

    Starts with the target's output. A max pool hands relevance to the winner. rule(apply, a, weight,
    bias, R, stabiliser) gives the relevance of a layer's inputs a from that of its outputs R, where
    apply(a, weight, bias) is the layer with the given parameters.
    """
    values = [x]
    for layer, _, _ in graph.steps:
        values.append(layer(values[-1]))
    scores = values[-1]
    chosen = torch.zeros_like(scores).scatter_(1, target[:, None], 1)
    relevance = scores * chosen
    for (layer, _, _), a in zip(reversed(graph.steps), reversed(values[:-1])):
        if isinstance(layer, nn.Linear):
            relevance = rule(F.linear, a, layer.weight, layer.bias, relevance, stabiliser)
        elif isinstance(layer, nn.Conv2d):

            def apply(a, weight, bias, layer=layer):
                return F.conv2d(a, weight, bias, layer.stride, layer.padding)

            relevance = rule(apply, a, layer.weight, layer.bias, relevance, stabiliser)
        elif not isinstance(layer, POINTWISE):
            _, relevance = torch.autograd.functional.vjp(layer, a, relevance)
    return relevance


def share(apply, parts, relevance, denominator):
    """sum over parts (a, weight) of a times the layer's transpose applied to relevance / denominator."""
    total = 0
    for a, weight in parts:
        _, back = torch.autograd.functional.vjp(
            lambda a, weight=weight: apply(a, weight, None), a, relevance / denominator
        )
        total = total + a * back
    return total


def epsilon_rule(apply, a, weight, bias, relevance, stabiliser):
    denominator = stabilised(apply(a, weight, bias), stabiliser)
    return share(apply, [(a, weight)], relevance, denominator)


def alpha_beta_rule(alpha, beta):
    """z+ is alpha = 1, beta = 0. Positive products a w and positive biases are one side, the rest the other."""

    def rule(apply, a, weight, bias, relevance, stabiliser):
        a_up, a_down = a.clamp(min=0), a.clamp(max=0)
        w_up, w_down = weight.clamp(min=0), weight.clamp(max=0)
        positive = apply(a_up, w_up, bias.clamp(min=0)) + apply(a_down, w_down, None)
        result = alpha * share(
            apply, [(a_up, w_up), (a_down, w_down)], relevance, stabilised(positive, stabiliser)
        )
        if beta:
            negative = apply(a_up, w_down, bias.clamp(max=0)) + apply(a_down, w_up, None)
            result = result - beta * share(
                apply, [(a_up, w_down), (a_down, w_up)], relevance, stabilised(negative, stabiliser)
            )
        return result

    return rule


def gamma_rule(gamma):
    """Where the output z > 0, positive products count 1 + gamma times; where z < 0, negative ones do."""

    def rule(apply, a, weight, bias, relevance, stabiliser):
        positive, negative = a.clamp(min=0), a.clamp(max=0)
        more_up = weight + gamma * weight.clamp(min=0)
        more_down = weight + gamma * weight.clamp(max=0)
        z = apply(a, weight, bias)
        up = apply(positive, more_up, bias + gamma * bias.clamp(min=0))
        up = up + apply(negative, more_down, None)
        down = apply(positive, more_down, bias + gamma * bias.clamp(max=0))
        down = down + apply(negative, more_up, None)
        return share(
            apply, [(positive, more_up), (negative, more_down)],
            relevance * (z > 0), stabilised(up, stabiliser),
        ) + share(
            apply, [(positive, more_down), (negative, more_up)],
            relevance * (z < 0), stabilised(down, stabiliser),
        )  # fmt: skip

    return rule


RULES = {
    "epsilon": epsilon_rule,
    "zplus": alpha_beta_rule(1, 0),
    "gamma_0.25": gamma_rule(0.25),
    "alpha2_beta1": alpha_beta_rule(2, 1),
}
