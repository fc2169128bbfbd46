"""Shapley values by moments, written by hand in torch: DASP and the moment gradient on chains of layers.

Promises the two steps of engines.py for networks of Conv, Gemm, Flatten, Relu and 2x2 MaxPool: output 0 from a
zero baseline, independent normal values (rank 0), the first layer's moments exact for coalitions of players.
The unit is a pass of moments: of one coalition size of one player, with or without it; of the gradient, one
node there and back, for players that are single elements. `batch` is passes at a time.
"""

import numpy as np
import onnx
import torch
from torch.nn import functional as F

import torch_model
from coalition_values import Players

ROOT_OF_2_PI = (2 * np.pi) ** 0.5


def density(t):
    return torch.exp(-0.5 * t * t) / ROOT_OF_2_PI


def relu(mean, variance):
    deviation = variance.clamp_min(1e-20).sqrt()
    t = mean / deviation
    below, edge = torch.special.ndtr(t), deviation * density(t)
    value = mean * below + edge
    spread = (mean * mean + variance) * below + mean * edge - value * value
    return value, spread.clamp_min(0)


def larger(a, b):
    """Clark's maximum of two independent normal variables (mean, variance)."""
    theta = (a[1] + b[1]).clamp_min(1e-20).sqrt()
    t = (a[0] - b[0]) / theta
    first, edge = torch.special.ndtr(t), theta * density(t)
    mean = edge + (a[0] - b[0]) * first + b[0]
    square = (a[0] + b[0]) * edge + (a[0] ** 2 + a[1]) * first + (b[0] ** 2 + b[1]) * (1 - first)
    return mean, (square - mean * mean).clamp_min(0)


def pool(mean, variance):
    rows, columns = mean.shape[2] // 2 * 2, mean.shape[3] // 2 * 2

    def part(y, x):
        return tuple(v[:, :, y:rows:2, x:columns:2] for v in (mean, variance))

    return larger(larger(part(0, 0), part(0, 1)), larger(part(1, 0), part(1, 1)))


class Chain:
    """`first(x)` is the first affine layer without its bias, `squares(v)` the same with squared weights;
    `tail(mean, variance)` gives the mean of output 0 from the moments of the first layer's values."""

    def __init__(self, path):
        module = torch_model.load(path)
        self.layers, self.first = [], None
        flattens = False
        for node, step in zip(onnx.load(path).graph.node, module.steps):
            function, inputs, names, _ = step
            parameters = [getattr(module, name) for name in names]
            if len(inputs) != 1 or node.op_type not in ("Conv", "Gemm", "Flatten", "Relu", "MaxPool"):
                raise ValueError(f"{node.name}: moments are written for chains of a few layers")
            if node.op_type in ("Conv", "Gemm") and self.first is None:
                self.set_first(function, parameters, flattens)
            elif node.op_type in ("Conv", "Gemm"):
                self.layers.append(self.affine(function, parameters))
            elif node.op_type == "Relu":
                self.layers.append(relu)
            elif node.op_type == "MaxPool":
                grid = torch.arange(16.0).reshape(1, 1, 4, 4)
                if not torch.equal(function(grid).flatten(), torch.tensor([5.0, 7.0, 13.0, 15.0])):
                    raise ValueError(f"{node.name}: pools are 2x2 here")
                # The maximum of rectified values is the rectified maximum, and closer to normal before.
                self.layers.insert(len(self.layers) - (self.layers[-1:] == [relu]), pool)
            elif self.first is None:
                flattens = True
            else:
                self.layers.append(lambda *moments: tuple(torch.flatten(v, 1) for v in moments))
        weight, bias = parameters
        self.layers.pop()
        self.last_weight, self.last_bias = weight[0].clone(), bias[0].clone()

    def set_first(self, function, parameters, flattens):
        weight, bias = parameters
        squared = weight * weight
        shaped = (lambda x: torch.flatten(x, 1)) if flattens else (lambda x: x)
        self.first = lambda x: function(shaped(x), weight)
        self.squares = lambda v: function(shaped(v), squared)
        self.bias = bias.reshape((-1,) + (1,) * (weight.dim() - 2))

    @staticmethod
    def affine(function, parameters):
        weight, bias = parameters
        squared = weight * weight
        return lambda mean, variance: (function(mean, weight, bias), function(variance, squared))

    def tail(self, mean, variance):
        if mean.dim() == 4:
            mean, variance = (v.contiguous(memory_format=torch.channels_last) for v in (mean, variance))
        for layer in self.layers:
            mean, variance = layer(mean, variance)
        return torch.addmv(self.last_bias, mean, self.last_weight)


class Engine:
    """What both estimators have in common: `make(engine, batch)` gives what a run does."""

    compiled = False

    def __init__(self, name, path, shape, players, passes):
        self.name, self.version, self.note = name, torch.__version__, ""
        self.compiled = name == "torch-compile"
        self.chain, self.shape, self.passes = Chain(path), shape, passes
        self.players = Players(players, shape)
        self.units = 0

    def requests(self, batch, workers, threads):
        torch.set_num_threads(threads)
        work = self.work
        if self.compiled:
            torch.compiler.reset()
            work = torch.compile(work, dynamic=False)
        return [self.request(work, batch, threads) for _ in range(workers)]


class Request:
    def __init__(self, engine, work, threads):
        self.engine, self.work, self.threads = engine, work, threads
        self.latest = None

    def set_threads(self):
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)

    def result(self):
        return self.latest


class Dasp(Engine):
    """As many coalition sizes as asked for: the middles of equal parts of 0 ... P - 1."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        count = self.players.count
        parts = np.array_split(np.arange(count), min(self.passes, count))
        sizes = np.array([part[len(part) // 2] for part in parts])
        self.size_count = len(sizes)
        self.weights = torch.tensor([len(part) / count for part in parts], dtype=torch.float32)
        others = max(count - 1, 1)
        share = sizes / others
        spread = share * (others - sizes) / max(others - 1, 1)
        self.share, self.spread = (torch.tensor(v, dtype=torch.float32) for v in (share, spread))

    def request(self, work, batch, threads):
        members = min(max(1, batch // (2 * self.size_count)), self.players.count)
        self.units = members * 2 * self.size_count
        return DaspRequest(self, work, members, threads)

    def work(self, own, total, squares):
        """The values of some players from their contributions [member, front]."""
        spatial = (1,) * (own.dim() - 1)
        share, spread = (v.reshape((1, -1) + spatial) for v in (self.share, self.spread))
        others = total - own
        rest = (squares - own * own - others * others / max(self.players.count - 1, 1)).clamp_min(0)
        mean = self.chain.bias + share * others[:, None]
        variance = spread * rest[:, None]
        means = torch.stack([mean, mean + own[:, None]], 2).flatten(0, 2)
        variances = torch.stack([variance, variance], 2).flatten(0, 2)
        found = self.chain.tail(means, variances).reshape(len(own), self.size_count, 2)
        return (found[..., 1] - found[..., 0]) @ self.weights


class DaspRequest(Request):
    """A run does some members and goes on where the last one stopped."""

    def __init__(self, engine, work, members, threads):
        super().__init__(engine, work, threads)
        self.members, self.next = members, 0
        self.input = np.zeros((1, *engine.shape), np.float32)

    def begin(self):
        engine = self.engine
        flat = torch.from_numpy(engine.players.flat)
        masks = (torch.arange(engine.players.count)[:, None] == flat).float()
        masked = masks * torch.from_numpy(self.input).reshape(1, -1)
        self.own = engine.chain.first(masked.reshape(-1, *engine.shape))
        self.total, self.squares = self.own.sum(0), (self.own * self.own).sum(0)

    def run(self):
        self.set_threads()
        with torch.inference_mode():
            if self.next == 0:
                self.begin()
            # The last members are done again where they do not divide the players.
            start = min(self.next, self.engine.players.count - self.members)
            own = self.own[start : start + self.members]
            self.latest = self.work(own, self.total, self.squares)
            self.next = start + self.members
            if self.next == self.engine.players.count:
                self.next = 0

    def check(self, _):
        values, self.next = np.empty(self.engine.players.count), 0
        while True:
            start = min(self.next, len(values) - self.members)
            self.run()
            values[start : start + self.members] = self.latest.numpy()
            if self.next == 0:
                return values[None]


class Gradient(Engine):
    """Gauss-Legendre nodes in s, t = s^2 (3 - 2 s)."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        if not np.array_equal(self.players.flat, np.arange(self.players.count)):
            raise ValueError("players of several elements are not written")
        nodes, weights = np.polynomial.legendre.leggauss(self.passes)
        s = (nodes + 1) / 2
        self.places = torch.tensor(s * s * (3 - 2 * s), dtype=torch.float32)
        self.weights = torch.tensor(weights / 2 * 6 * s * (1 - s), dtype=torch.float32)

    def request(self, work, batch, threads):
        examples = max(1, batch // self.passes)
        self.units = self.passes
        return GradientRequest(self, work, examples, threads)

    def work(self, chances, x):
        """The sum over nodes of weight times mean: its derivative by the chances [example, node, element] is what is
        sought."""
        inputs = x[:, None]
        mean = self.chain.first((chances * inputs).flatten(0, 1)) + self.chain.bias
        variance = self.chain.squares((chances * (1 - chances) * inputs * inputs).flatten(0, 1))
        means = self.chain.tail(mean, variance).reshape(len(x), -1)
        return (means @ self.weights).sum()


class GradientRequest(Request):
    def __init__(self, engine, work, examples, threads):
        super().__init__(engine, work, threads)
        self.input = np.zeros((examples, *engine.shape), np.float32)
        spatial = (1,) * len(engine.shape)
        self.places = engine.places.reshape((1, -1) + spatial)
        self.shape = (examples, engine.passes, *engine.shape)

    def run(self):
        self.set_threads()
        chances = self.places.expand(self.shape).clone().requires_grad_()
        total = self.work(chances, torch.from_numpy(self.input))
        self.latest = torch.autograd.grad(total, chances)[0].sum(1)

    def check(self, _):
        self.run()
        return self.latest.flatten(1).numpy()


def make(name, path, shape, players, sizes, nodes):
    kind, passes = (Dasp, sizes) if sizes else (Gradient, nodes)
    return kind(name, path, shape, players, passes)
