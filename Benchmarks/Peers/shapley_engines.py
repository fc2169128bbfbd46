"""The peers of Shapley sampling: Captum, batched permutations in torch, and masked batches of inference libraries.

Promises the two steps of engines.py: an engine is made once, `requests(batch, workers, threads)` gives
independent requests with an input to write into, `run()` and `result()`. A run draws permutations of the
players and adds up the marginal contributions that they give to output 0, from a zero baseline; the
unit is one marginal contribution. `check(order)` gives the contributions of one given order. The exact
engines evaluate all coalitions of one input; their unit is an evaluation.

The hand-written forms leave null players out: they count, since their contributions are known. That of
dense chains adds up contributions to the first layer along the permutation (prefix sums).
"""

import numpy as np

from coalition_values import Players, dense_layers

# Rows of coalitions that a run of the sampling engines has at least.
ROWS = 1024


def spread_order(count):
    """A fixed order of the players in which neighbours are far apart."""
    step = int(count * 0.382) + 1
    while np.gcd(step, count) != 1:
        step += 1
    return (np.arange(count) * step + 1) % count


class Captum:
    """Permutations by ShapleyValueSampling; `batch` is its perturbations_per_eval."""

    name = "captum"

    def __init__(self, path, shape, players, examples):
        import captum
        import torch

        from explain_engines import folded

        self.torch, self.shape, self.players, self.examples = torch, shape, players, examples
        self.version = f"{captum.__version__} (torch {torch.__version__})"
        self.chain, self.note = folded(path), ""
        # Many inputs share a permutation, so one is enough work for a run.
        self.permutations = max(1, ROWS // players.count) if examples == 1 else 1

    @property
    def units(self):
        return self.permutations * self.players.count

    def requests(self, batch, workers, threads):
        from captum import attr
        from explain_engines import TorchRequest

        torch, players = self.torch, self.players
        torch.set_num_threads(threads)
        mask = torch.from_numpy(players.ids)[None]
        first = torch.from_numpy(np.unique(players.flat, return_index=True)[1])

        def request():
            library = attr.ShapleyValueSampling(self.chain)

            def values(x, permutations):
                maps = library.attribute(
                    x,
                    target=0,
                    n_samples=permutations,
                    feature_mask=mask,
                    perturbations_per_eval=batch,
                )
                return maps.reshape(len(x), -1)[:, first]

            made = TorchRequest(
                torch,
                (self.examples, *self.shape),
                threads,
                lambda x: values(x, self.permutations),
            )

            def check(order):
                drawn = library.permutation_generator
                library.permutation_generator = lambda *_: iter([order.tolist()])
                found = values(made.tensor, 1).numpy()
                library.permutation_generator = drawn
                return found

            made.check = check
            return made

        return [request() for _ in range(workers)]


class TorchDense:
    """Dense chains: `batch` is rows of coalitions at a time, in whole permutations."""

    name, compiled = "torch-written", False

    def __init__(self, path, shape, players, examples):
        import torch

        from coalition_values import DenseValues

        layers = dense_layers(path)
        if layers is None or examples != 1:
            raise ValueError("prefix sums are for one input of a chain of dense layers")
        self.torch, self.shape, self.players = torch, shape, players
        self.version, self.note = torch.__version__, ""
        self.network = DenseValues(layers, players, 0)
        self.permutations = max(1, ROWS // players.count)

    @property
    def units(self):
        return self.permutations * self.players.count

    def requests(self, batch, workers, threads):
        self.torch.set_num_threads(threads)
        self.permutations = max(1, batch // self.players.count)
        values = self.prefix_values
        if self.compiled:
            self.torch.compiler.reset()
            values = self.torch.compile(values, dynamic=False)
        return [DenseRequest(self, values, threads) for _ in range(workers)]

    def prefix_values(self, contributions, orders):
        """The values along orders [permutation][place]: after each player, the last included."""
        sums = contributions[orders].cumsum_(1).add_(self.network.bias)
        return self.network.tail(sums)


class TorchCompiledDense(TorchDense):
    name, compiled = "torch-compile", True

    def prefix_values(self, contributions, orders):
        torch, network = self.torch, self.network
        hidden = torch.relu(contributions[orders].cumsum(1) + network.bias)
        for weight, bias in network.rest:
            hidden = torch.relu(hidden @ weight + bias)
        weight, bias = network.last
        return hidden @ weight + bias


class DenseRequest:
    def __init__(self, engine, values, threads):
        self.engine, self.values, self.threads = engine, values, threads
        self.input = np.zeros((1, *engine.shape), np.float32)
        self.latest = None

    def run(self):
        torch, engine = self.engine.torch, self.engine
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            present = torch.from_numpy(engine.players.present(self.input))
            orders = torch.rand(engine.permutations, len(present)).argsort(1)
            self.latest = self.marginals(present, orders) / engine.permutations

    def check(self, order):
        torch, engine = self.engine.torch, self.engine
        places = np.empty(len(order), int)
        present = engine.players.present(self.input)
        places[present] = np.arange(len(present))
        kept = places[order[np.isin(order, present)]]
        with torch.inference_mode():
            orders = torch.from_numpy(kept)[None].repeat(engine.permutations, 1)
            sums = self.marginals(torch.from_numpy(present), orders)
        return sums[None].numpy() / engine.permutations

    def marginals(self, present, orders):
        """The sum over orders of numbers 0, 1, ... of the players that are present."""
        torch, network = self.engine.torch, self.engine.network
        own = network.contributions(self.input)[present]
        values = self.values(own, orders)
        empty = network.tail(network.bias.clone()[None])
        before = torch.cat([empty.expand(len(values), 1), values[:, :-1]], 1)
        sums = torch.zeros(len(present)).index_add_(
            0, orders.reshape(-1), (values - before).reshape(-1)
        )
        return torch.zeros(self.engine.players.count).index_add_(0, present, sums)

    def result(self):
        return self.latest[None].numpy()


class Masked:
    """Batches of masked copies of the input through an engine of engines.py: `batch` rows each."""

    def __init__(self, kind, path, shape, players, examples):
        from peers import static_shapes

        if examples != 1:
            raise ValueError("masked batches are of one input")
        self.library = kind(path, shape, static_shapes(path)[1])
        self.name, self.version, self.note = kind.name, self.library.version, ""
        self.shape, self.players = shape, players
        self.permutations = 1

    @property
    def units(self):
        return self.permutations * self.players.count

    def requests(self, batch, workers, threads):
        made = self.library.requests(batch, workers, threads)
        return [MaskedRequest(self, request) for request in made]


class MaskedRequest:
    def __init__(self, engine, inference):
        self.engine, self.inference = engine, inference
        self.input = np.zeros((1, *engine.shape), np.float32)
        self.random = np.random.default_rng(1)
        self.empty = self.latest = None

    def run(self):
        engine = self.engine
        present = engine.players.present(self.input)
        # As many as fill a batch, unless one permutation is several batches.
        engine.permutations = max(1, len(self.inference.input) // len(present))
        orders = self.random.permuted(np.tile(present, (engine.permutations, 1)), axis=1)
        self.latest = self.marginals(orders) / engine.permutations

    def check(self, order):
        return self.marginals(order[None])[None]

    def values(self, ranks, places):
        """Values of the coalitions of the players whose rank is at most the place, row by row."""
        buffer, players = self.inference.input, self.engine.players
        batch = len(buffer)
        flat, example = buffer.reshape(batch, -1), self.input.reshape(1, -1)
        # Of a buffer in another order (channels last) the rows are a copy, which has to be put in.
        is_copy = not np.shares_memory(flat, buffer)
        values = np.empty(len(places), np.float32)
        for start in range(0, len(places), batch):
            rows = slice(start, start + batch)
            masks = (ranks[rows] <= places[rows, None]).astype(np.float32)
            part = flat[: len(masks)]
            np.take(masks, players.flat, axis=1, out=part, mode="clip")
            part *= example
            if is_copy:
                buffer[: len(masks)] = part.reshape(-1, *self.engine.shape)
            self.inference.run()
            values[rows] = self.inference.result()[: len(masks), 0]
        return values

    def marginals(self, orders):
        """The sum over orders; players who are in none are absent and contribute nothing."""
        count, places = self.engine.players.count, np.arange(orders.shape[1])
        ranks = np.full((len(orders), count), count)
        np.put_along_axis(ranks, orders, places[None], 1)
        if self.empty is None:
            # The value of nobody is the same for every input.
            self.empty = self.values(ranks[:1], np.array([-1]))[0]
        rows = np.repeat(ranks, len(places), 0)
        values = self.values(rows, np.tile(places, len(orders))).reshape(orders.shape)
        differences = np.diff(values, axis=1, prepend=self.empty)
        return np.bincount(orders.ravel(), differences.ravel(), count)

    def result(self):
        return self.latest[None].astype(np.float32)


def masked(library):
    def make(*arguments):
        import engines

        return Masked(engines.ENGINES[library], *arguments)

    return make


class MaskedTorch(Masked):
    """Masked batches in eager torch, for networks without prefix sums."""

    def __init__(self, *arguments):
        from engines import TorchEager

        super().__init__(TorchEager, *arguments)
        self.name = "torch-written"


def torch_written(path, *arguments):
    return (MaskedTorch if dense_layers(path) is None else TorchDense)(path, *arguments)


ENGINES = {
    "captum": Captum,
    "torch-written": torch_written,
    "torch-compile": TorchCompiledDense,
    "onnxruntime": masked("onnxruntime"),
    "openvino": masked("openvino"),
}


def make(name, path, shape, players, examples):
    return ENGINES[name](path, shape, Players(players, shape), examples)
