"""Measures how fast peers sample Shapley values, or enumerate them, on one ONNX model: a server as peers.py.

    python shapley_peers.py --model X.onnx --inputs X.f32 --players patch:4x4 --peer captum
        [--exact] [--threads 2] [--batches 64,256]

speaks the protocol of peers.py. The units of `run` are marginal contributions (players x permutations x
inputs), with --exact evaluations of coalitions. Output 0 is explained from a zero baseline, for the
inputs in the file (float32, one after the other), which the harness uses too; the peer named captum-N
explains N of them at a time. `check` answers, for the first two inputs, the contributions along the
order shapley_engines.spread_order; with --exact the values themselves.
"""

import argparse
import os

import numpy as np

import peers

CHECKED = 2


class Measurement(peers.Measurement):
    """Runs on the harness's inputs; counts what an engine says that one input is worth."""

    def __init__(self, engine, batch, requests, threads, inputs):
        self.threads, self.inputs = threads, inputs
        self.requests = engine.requests(batch, requests, threads)
        self.count = len(self.requests[0].input)
        for request in self.requests:
            request.input[...] = np.resize(inputs, request.input.shape)
            for _ in range(2):
                request.run()
        self.batch, self.units = self.count, engine.units
        self.run(0.02)

    def run(self, seconds):
        result = super().run(seconds)
        return {**result, "examples": result["examples"] * self.units}

    def answers(self, order):
        """What the very request that is measured says of the checked inputs."""
        request, parts = self.requests[0], []
        for example in self.inputs[:CHECKED]:
            request.input[...] = example[None]
            parts.append(request.check(order)[:1])
        request.input[...] = np.resize(self.inputs, request.input.shape)
        return np.concatenate(parts)


def sampling_engine(arguments, shape):
    name, _, examples = arguments.peer.partition("-")
    if not examples.isdigit():
        name, examples = arguments.peer, "1"
    if arguments.exact:
        import shapley_exact_engines as engines
    else:
        import shapley_engines as engines
    return engines.make(name, arguments.model, shape, arguments.players, int(examples))


def serve(arguments, reply, make):
    """Serves the engine that `make(shape)` gives."""
    try:
        shape, _ = peers.static_shapes(arguments.model)
        engine = make(shape)
    except (ImportError, ValueError, KeyError) as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    inputs = np.fromfile(arguments.inputs, np.float32).reshape(-1, *shape)

    def measure(engine, batch, requests, threads):
        return Measurement(engine, batch, requests, threads, inputs)

    measurement, table = peers.sweep(
        engine,
        arguments.batches,
        arguments.requests or sorted({1, arguments.threads}),
        arguments.threads,
        arguments.sweep_seconds,
        measure,
    )
    best = max(table, key=lambda row: row["examples_per_second"])
    reply(
        {
            "ready": True,
            "peer": arguments.peer,
            "version": engine.version,
            "note": engine.note,
            "batch": best["batch"],
            "requests": best["requests"],
            "threads": best["threads"],
            "sweep": table,
        }
    )
    from shapley_engines import spread_order

    peers.converse(CheckedConversation(measurement, spread_order(engine.players.count)), (), reply)


class CheckedConversation:
    """The measurement as `converse` asks it: its check has inputs of its own."""

    def __init__(self, measurement, order):
        self.run, self.measurement, self.order = measurement.run, measurement, order

    def outputs(self, _):
        return self.measurement.answers(self.order)


def parser(description):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--players", default="element")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=peers.integers, default=[64, 256])
    parser.add_argument("--requests", type=peers.integers)
    parser.add_argument("--sweep-seconds", type=float, default=0.2)
    return parser


def main():
    options = parser(__doc__)
    options.add_argument("--exact", action="store_true")
    arguments = options.parse_args()

    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    serve(arguments, reply, lambda shape: sampling_engine(arguments, shape))


if __name__ == "__main__":
    main()
