"""Measures how fast torch scores the units of a layer by Shapley values of the loss: a server as peers.py.

    python prune_peers.py --model X.onnx --layer 1 --peer torch-written|torch-cached
        --images 100 --permutations 5 [--threads 2] [--batches 1600,6400]

speaks the protocol of peers.py. The units of `run` are marginal contributions (units of the layer x
permutations x images); one run scores the layer on noise with labels that go round the classes, from
the images on. `--layer` counts convolutions and dense layers from 0. `check` answers, for the four check
examples, what the units add along the order shapley_engines.spread_order.

torch-written: what a person would write for speed. Contributions to the sums of the next layer are added up
along a permutation, and only what is behind them runs for every
coalition. torch-cached: masked copies of the layer's activations through all layers behind it.
"""

import argparse
import os
import time

import numpy as np

import peers


class Tail:
    """A chain of layers, cut behind the layer's activation and the pools that follow it."""

    def __init__(self, path, layer):
        import torch
        from explain_engines import folded

        self.torch = torch
        self.chain = folded(path)
        kinds = (torch.nn.Conv2d, torch.nn.Linear)
        affine = [place for place, module in enumerate(self.chain) if isinstance(module, kinds)]
        second = affine[layer + 1]
        self.front, self.next, self.rest = (
            self.chain[:second],
            self.chain[second],
            self.chain[second + 1 :],
        )
        self.units = self.chain[affine[layer]].weight.shape[0]

    def losses(self, sums, labels):
        """Minus the loss from the sums of the next layer, one row per label."""
        scores = self.rest(sums)
        return -self.torch.nn.functional.cross_entropy(scores, labels, reduction="none")


class Written(Tail):
    """`batch`: rows that run through the rest at a time."""

    def contributions(self, inputs):
        """A function that gives what some units add to the next layer's sums, [image, unit, ...]."""
        torch, count = self.torch, len(inputs)
        weight = self.next.weight
        if isinstance(self.next, torch.nn.Linear):
            own = inputs.reshape(count, self.units, -1).transpose(0, 1)
            columns = weight.reshape(len(weight), self.units, -1).permute(1, 2, 0)
            all_units = torch.bmm(own, columns).transpose(0, 1).contiguous()
            return lambda units: all_units[:, units]
        layer = self.next

        def some(units):
            filters = weight[:, units].transpose(0, 1).flatten(0, 1)[:, None]
            maps = torch.nn.functional.conv2d(
                inputs[:, units], filters, None, layer.stride, layer.padding, layer.dilation,
                len(units),
            )  # fmt: skip
            return maps.unflatten(1, (len(units), len(weight)))

        return some

    def start(self, inputs):
        """The next layer's sums without any unit."""
        return self.next(self.torch.zeros_like(inputs[:1]))

    def values(self, images, labels, orders, batch):
        """What each unit adds along each order, [order, image, place in the order]."""
        torch = self.torch
        inputs = self.front(images)
        contributions, start = self.contributions(inputs), self.start(inputs)
        count = len(images)
        empty = self.losses(start.expand(count, *start.shape[1:]), labels)
        width = max(1, batch // count)
        added = torch.empty(len(orders), count, self.units)
        for number, order in enumerate(orders):
            sums, before = start.expand(count, *start.shape[1:]), empty
            for first in range(0, self.units, width):
                units = order[first : first + width]
                chain = contributions(units).cumsum(1).add_(sums[:, None])
                gains = self.losses(
                    chain.flatten(0, 1), labels.repeat_interleave(len(units))
                ).unflatten(0, (count, len(units)))
                added[number, :, first : first + width] = gains.diff(
                    dim=1, prepend=before[:, None]
                )
                sums, before = chain[:, -1], gains[:, -1]
        return added


class Cached(Tail):
    """`batch`: rows of masked activations at a time."""

    def values(self, images, labels, orders, batch):
        torch = self.torch
        inputs = self.front(images)
        count = len(images)
        own = inputs.reshape(count, self.units, -1)
        width = max(1, batch // count)
        added = torch.empty(len(orders), count, self.units)
        for number, order in enumerate(orders):
            places = torch.empty_like(order)
            places[order] = torch.arange(self.units)
            before = self.losses(self.next(torch.zeros_like(inputs)), labels)
            for first in range(0, self.units, width):
                ends = torch.arange(first, min(first + width, self.units))
                masks = (places <= ends[:, None]).to(own.dtype)
                rows = (own[:, None] * masks[None, :, :, None]).reshape(-1, *inputs.shape[1:])
                gains = self.losses(
                    self.next(rows), labels.repeat_interleave(len(ends))
                ).unflatten(0, (count, len(ends)))
                added[number, :, first : first + width] = gains.diff(
                    dim=1, prepend=before[:, None]
                )
                before = gains[:, -1]
        return added


ENGINES = {"torch-written": Written, "torch-cached": Cached}


class Scoring:
    """Scores over and over, on the same images."""

    def __init__(self, tail, shape, images, permutations, batch):
        self.torch, self.tail, self.batch = tail.torch, tail, batch
        self.permutations = permutations
        generator = self.torch.Generator().manual_seed(1)
        self.images = self.torch.randn(images, *shape, generator=generator)
        self.labels = self.targets(self.images)

    def targets(self, images):
        with self.torch.inference_mode():
            classes = self.tail.chain(images[:1]).shape[1]
        return self.torch.arange(len(images)) % classes

    def score(self):
        torch, units = self.torch, self.tail.units
        with torch.inference_mode():
            orders = torch.rand(self.permutations, units).argsort(1)
            added = self.tail.values(self.images, self.labels, orders, self.batch)
            values = torch.zeros(len(self.images), units)
            for order, own in zip(orders, added):
                values.index_add_(1, order, own)
            return (values / self.permutations).mean(0)

    def run(self, seconds):
        units = self.permutations * self.tail.units * len(self.images)
        count, cpu, start = 0, time.process_time(), time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            self.score()
            count += units
        elapsed = time.perf_counter() - start
        return {"examples": count, "seconds": elapsed, "cpu_seconds": time.process_time() - cpu}

    def outputs(self, examples):
        from shapley_engines import spread_order

        torch = self.torch
        order = torch.from_numpy(spread_order(self.tail.units))
        images = torch.from_numpy(np.ascontiguousarray(examples))
        with torch.inference_mode():
            added = self.tail.values(images, self.targets(images), order[None], self.batch)[0]
        values = torch.empty_like(added)
        values[:, order] = added
        return values.numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--layer", type=int, required=True)
    parser.add_argument("--peer", required=True, choices=sorted(ENGINES))
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--permutations", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=peers.integers, default=[256, 1024])
    arguments = parser.parse_args()

    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    try:
        import torch

        shape, _ = peers.static_shapes(arguments.model)
        tail = ENGINES[arguments.peer](arguments.model, arguments.layer)
    except (ImportError, ValueError, KeyError) as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    torch.set_num_threads(arguments.threads)
    candidates = (
        (
            f"batch {batch}",
            batch,
            Scoring(tail, shape, arguments.images, arguments.permutations, batch),
        )
        for batch in arguments.batches
    )
    peers.serve_fastest(arguments, torch.__version__, candidates, (0.1, 0.5), shape, reply)


if __name__ == "__main__":
    main()
