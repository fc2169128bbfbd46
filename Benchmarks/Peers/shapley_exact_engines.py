"""The peers of exact Shapley values: all 2^P coalitions of one input, hand-written.

Promises the same engines as shapley_engines.py; a run evaluates output 0 for every coalition and weighs the
values; the unit is an evaluation. `batch` is the rows that are evaluated at a time. In the torch form
the first layer's sums of a coalition are one row of a table of the first players plus one row of a
table of the others.
"""

import numpy as np

from coalition_values import DenseValues, dense_layers


def weights(count):
    """What a value counts for its members, by the coalition's size, and for the others."""
    sizes = np.arange(count + 1)
    factorial = np.cumprod(np.concatenate([[1.0], np.arange(1.0, count + 1)]))
    after = np.zeros(count + 1)
    after[:count] = factorial[:count] * factorial[count - 1 - sizes[:count]] / factorial[count]
    return np.concatenate([[0.0], after[:-1]]), after


def all_masks(count):
    """[coalition][player], bit i of a coalition's number says whether player i is in it."""
    numbers = np.arange(1 << count, dtype=np.uint32)
    return (numbers[:, None] >> np.arange(count, dtype=np.uint32) & 1).astype(np.float32)


class ExactSums:
    """Shapley values from the values of all coalitions."""

    def __init__(self, count):
        self.masks = all_masks(count)
        sizes = self.masks.sum(1).astype(int)
        inside, outside = weights(count)
        self.inside, self.outside = (inside + outside)[sizes], outside[sizes]

    def __call__(self, values):
        values = values.astype(np.float64)
        weighted = (self.inside * values).astype(np.float64)
        count = self.masks.shape[1]
        # Each player's sum over its coalitions, by folding the table in halves.
        totals = np.array(
            [weighted.reshape(-1, 2, 1 << player)[:, 1].sum() for player in range(count)]
        )
        return totals - self.outside @ values


class ExactTorch:
    name = "torch-written"
    compiled = False

    def __init__(self, path, shape, players, examples):
        import torch

        layers = dense_layers(path)
        if layers is None:
            raise ValueError("tables of sums are for chains of dense layers")
        self.torch, self.shape, self.players = torch, shape, players
        self.version, self.note = torch.__version__, ""
        self.network, self.sums = DenseValues(layers, players, 0), ExactSums(players.count)
        self.units = 1 << players.count

    def requests(self, batch, workers, threads):
        self.torch.set_num_threads(threads)
        tail = self.tail
        if self.compiled:
            self.torch.compiler.reset()
            tail = self.torch.compile(tail, dynamic=False)
        return [ExactTorchRequest(self, tail, batch, threads) for _ in range(workers)]

    def tail(self, low, high):
        """Values from sums [coalition of the first][unit] and [coalition of the others][unit]."""
        return self.network.tail(low[None] + high[:, None])


class ExactCompiled(ExactTorch):
    name, compiled = "torch-compile", True

    def tail(self, low, high):
        torch, network = self.torch, self.network
        hidden = torch.relu(low[None] + high[:, None])
        for weight, bias in network.rest:
            hidden = torch.relu(hidden @ weight + bias)
        weight, bias = network.last
        return hidden @ weight + bias


class ExactTorchRequest:
    def __init__(self, engine, tail, batch, threads):
        self.engine, self.tail, self.threads = engine, tail, threads
        self.input = np.zeros((1, *engine.shape), np.float32)
        count = engine.players.count
        self.low = min(count // 2, 8)
        self.rows = max(1, batch >> self.low)
        self.tables = [
            engine.torch.from_numpy(all_masks(size)) for size in (self.low, count - self.low)
        ]
        self.latest = None

    def run(self):
        torch, network = self.engine.torch, self.engine.network
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            own = network.contributions(self.input)
            low = self.tables[0] @ own[: self.low] + network.bias
            high = self.tables[1] @ own[self.low :]
            parts = [self.tail(low, rows).reshape(-1) for rows in high.split(self.rows)]
            values = torch.cat(parts).numpy()
        self.latest = self.engine.sums(values)

    def check(self, order):
        self.run()
        return self.result()

    def result(self):
        return self.latest[None]


class ExactMasked:
    """Masked copies of the input through an engine of engines.py."""

    def __init__(self, kind, path, shape, players, examples):
        from peers import static_shapes

        self.library = kind(path, shape, static_shapes(path)[1])
        self.name, self.version, self.note = kind.name, self.library.version, ""
        self.shape, self.players, self.sums = shape, players, ExactSums(players.count)
        self.units = 1 << players.count

    def requests(self, batch, workers, threads):
        made = self.library.requests(batch, workers, threads)
        return [ExactMaskedRequest(self, request) for request in made]


class ExactMaskedRequest:
    def __init__(self, engine, inference):
        self.engine, self.inference = engine, inference
        self.input = np.zeros((1, *engine.shape), np.float32)
        self.latest = None

    def run(self):
        engine, buffer = self.engine, self.inference.input
        batch, masks = len(buffer), engine.sums.masks
        flat, example = buffer.reshape(batch, -1), self.input.reshape(1, -1)
        values = np.empty(len(masks), np.float32)
        for start in range(0, len(masks), batch):
            part = masks[start : start + batch]
            np.multiply(part[:, engine.players.flat], example, out=flat[: len(part)])
            self.inference.run()
            values[start : start + batch] = self.inference.result()[: len(part), 0]
        self.latest = engine.sums(values)

    def check(self, order):
        self.run()
        return self.result()

    def result(self):
        return self.latest[None]


def masked(library):
    def make(*arguments):
        import engines

        return ExactMasked(engines.ENGINES[library], *arguments)

    return make


ENGINES = {
    "torch-written": ExactTorch,
    "torch-compile": ExactCompiled,
    "onnxruntime": masked("onnxruntime"),
    "openvino": masked("openvino"),
}


def make(name, path, shape, players, examples):
    from coalition_values import Players

    return ENGINES[name](path, shape, Players(players, shape), examples)
