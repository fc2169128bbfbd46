"""The value of coalitions on one network and one input, in batches: what hand-written estimators and libraries call.

Promises v(S) = an output of the network where everybody outside S has the baseline's zeros, for masks
[coalition][player] of any number, and the fastest of several ways to compute it: `fastest` measures
them. A chain of dense layers starts from the players' contributions to its first layer, which are P
rows whatever the input's size; other networks run on masked copies of the input, in batches of fixed
sizes that onnxruntime and OpenVINO prepare for, or through torch.
"""

import copy
import threading
import time

import numpy as np

SIZES = (16, 64, 256)


class Players:
    """Which player an element belongs to: `element`, or `patch:HxW` over the last two axes, row by row."""

    def __init__(self, text, shape):
        self.shape = tuple(shape)
        if text == "element":
            self.ids = np.arange(int(np.prod(shape))).reshape(shape)
        else:
            height, width = (int(part) for part in text.removeprefix("patch:").split("x"))
            rows, columns = np.arange(shape[-2]), np.arange(shape[-1])
            across = -(-shape[-1] // width)
            plane = rows[:, None] // height * across + columns[None, :] // width
            self.ids = np.broadcast_to(plane, shape).copy()
        self.flat, self.count = self.ids.ravel(), int(self.ids.max()) + 1

    def present(self, example):
        """The players whose elements are not all the baseline's: the others are null players."""
        found = np.zeros(self.count, bool)
        found[self.flat[np.asarray(example).ravel() != 0]] = True
        return np.flatnonzero(found)


def dense_layers(path):
    """The weights and biases of a chain of dense layers with ReLU in between: None for other networks."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load(path).graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    layers, expects_dense = [], True
    for node in graph.node:
        if node.op_type == "Flatten" and not layers:
            continue
        if node.op_type != ("Gemm" if expects_dense else "Relu"):
            return None
        if expects_dense:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if attributes != {"transB": 1}:
                return None
            layers.append((arrays[node.input[1]], arrays[node.input[2]]))
        expects_dense = not expects_dense
    return layers


class DenseValues:
    """A chain of dense layers in torch; `tail` is what follows the first layer's sums."""

    name = "torch"

    def __init__(self, layers, players, target):
        import torch

        self.torch, self.players = torch, players
        (first, bias), *rest = layers
        self.first = torch.from_numpy(first.T.copy())
        self.bias = torch.from_numpy(bias.copy())
        self.rest = [
            (torch.from_numpy(w.T.copy()), torch.from_numpy(b.copy())) for w, b in rest[:-1]
        ]
        self.outputs = rest[-1]
        self.last = self.output(target)

    def output(self, target):
        weight, bias = self.outputs
        return self.torch.from_numpy(weight[target].copy()), float(bias[target])

    def towards(self, target):
        """The same with another output."""
        other = copy.copy(self)
        other.last = self.output(target)
        return other

    def contributions(self, example):
        """Every player's part of the first layer's sums, [player][unit]."""
        x = self.torch.from_numpy(np.ascontiguousarray(example).reshape(-1, 1))
        terms = self.first * x
        if self.players.count == len(terms):
            return terms
        sums = self.torch.zeros(self.players.count, terms.shape[1])
        return sums.index_add_(0, self.torch.from_numpy(self.players.flat), terms)

    def tail(self, sums):
        """Values from the first layer's sums, which are overwritten; [..., unit] -> [...]."""
        shape = sums.shape[:-1]
        hidden = sums.reshape(-1, sums.shape[-1]).relu_()
        for weight, bias in self.rest:
            hidden = self.torch.addmm(bias, hidden, weight).relu_()
        weight, bias = self.last
        return (hidden @ weight).add_(bias).reshape(shape)

    def explain(self, example):
        return DenseGame(self, self.contributions(example))


class DenseGame:
    def __init__(self, network, contributions):
        self.network, self.contributions = network, contributions
        self.torch = network.torch

    def __call__(self, masks):
        with self.torch.inference_mode():
            masks = self.torch.from_numpy(np.ascontiguousarray(masks, np.float32))
            sums = self.torch.addmm(self.network.bias, masks, self.contributions)
            return self.network.tail(sums).numpy()


class MaskedValues:
    """Masked copies of the input through requests of engines.py, of fixed batch sizes."""

    def __init__(self, engine, players, target, workers, threads):
        self.name = f"{engine.name} x {workers}"
        self.players, self.target = players, target
        self.requests = [{} for _ in range(workers)]
        for size in SIZES:
            share = max(1, threads // workers)
            # A library may hold one batch size at a time: each has an engine of its own.
            for own, request in zip(self.requests, engine.again().requests(size, workers, share)):
                own[size] = request

    def towards(self, target):
        """The same with another output."""
        other = copy.copy(self)
        other.target = target
        return other

    def explain(self, example):
        return MaskedValuesGame(self, np.ascontiguousarray(example).reshape(1, -1))


class MaskedValuesGame:
    def __init__(self, network, example):
        self.network, self.example = network, example
        self.flat = network.players.flat

    def __call__(self, masks):
        masks = np.ascontiguousarray(masks, np.float32)
        values = np.empty(len(masks), np.float32)
        workers = self.network.requests
        if len(workers) == 1 or len(masks) <= SIZES[0]:
            self.fill(workers[0], masks, values)
            return values
        cut = -(-len(masks) // (len(workers) * SIZES[0])) * SIZES[0]
        parts = [
            threading.Thread(
                target=self.fill,
                args=(requests, masks[i * cut : (i + 1) * cut], values[i * cut : (i + 1) * cut]),
            )
            for i, requests in enumerate(workers)
        ]
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        return values

    def fill(self, requests, masks, values):
        start = 0
        while start < len(masks):
            left = len(masks) - start
            size = max((s for s in SIZES if s <= left), default=SIZES[0])
            rows = min(size, left)
            request = requests[size]
            flat = request.input.reshape(size, -1)
            np.take(masks[start : start + rows], self.flat, axis=1, out=flat[:rows], mode="clip")
            flat[:rows] *= self.example
            request.run()
            values[start : start + rows] = request.result()[:rows, self.network.target]
            start += rows


class Engine:
    """An engine of engines.py that can be made again."""

    def __init__(self, kind, path, shape, outputs):
        self.kind, self.arguments = kind, (path, shape, outputs)
        self.name = kind.name
        self.version = kind(*self.arguments).version

    def again(self):
        return self.kind(*self.arguments)


def candidates(path, players, target, threads):
    """All ways that are installed, the ones for this network first."""
    layers = dense_layers(path)
    if layers is not None:
        try:
            yield DenseValues(layers, players, target)
            return
        except ImportError:
            pass
    from engines import OnnxRuntime, OpenVINO, TorchEager
    from peers import static_shapes

    shape, outputs = static_shapes(path)
    for kind in (OpenVINO, OnnxRuntime, TorchEager):
        try:
            engine = Engine(kind, path, shape, outputs)
        except ImportError:
            continue
        for workers in sorted({1, threads}):
            yield MaskedValues(engine, players, target, workers, threads)


def fastest(path, players, target, threads, example, rows=512):
    """The way that computes `rows` values in the least time."""
    best = None
    masks = np.random.default_rng(1).random((rows, players.count)) < 0.5
    for candidate in candidates(path, players, target, threads):
        game, times = candidate.explain(example), []
        for _ in range(4):
            start = time.perf_counter()
            game(masks)
            times.append(time.perf_counter() - start)
        if best is None or min(times) < best[0]:
            best = (min(times), candidate)
    if best is None:
        raise ImportError("neither torch nor onnxruntime nor openvino is installed")
    return best[1]
