"""Estimates Shapley values with peers, run by run: a server on stdin and stdout for error against time.

    python curve_peers.py --model X.onnx --inputs X.f32 --targets 7,2,1 --players patch:7x7
        --peer NAME [--threads 2]

One JSON object a line:

    (start)                                 {"ready": true, "peer", "version", "note", "estimators": [...]}
    estimate ESTIMATOR EVALUATIONS SEED K   {"values", "seconds"}: the values of input K's players for its
                                            target output, from a zero baseline; {"values": null} where
                                            the budget is too small for the estimator
    quit                                    (ends; so does end of input)

A peer that is not installed answers {"ready": false, "peer", "reason"}. Preparing for a network is not in
"seconds"; what an input needs is. Libraries that take a function of coalitions get the fastest one there is
(coalition_values.py).
"""

import argparse
import importlib.metadata
import os
import sys
import time
import warnings

import numpy as np

import peers
from coalition_values import DenseGame, Players, fastest

ROWS = 1024


class Captum:
    def __init__(self, path, players, shape, targets, threads):
        import captum
        import torch
        from captum import attr

        from explain_engines import folded

        torch.set_num_threads(threads)
        self.torch, self.targets, self.players = torch, targets, players
        self.version, self.note = captum.__version__, ""
        self.library = attr.ShapleyValueSampling(folded(path))
        self.mask = torch.from_numpy(players.ids)[None]
        self.first = np.unique(players.flat, return_index=True)[1]
        self.estimators = {"sampling": self.sampling}

    def prepare(self, example, target):
        tensor = self.torch.from_numpy(example)[None]
        return (
            tensor.to(memory_format=self.torch.channels_last) if tensor.dim() == 4 else tensor
        ), target

    def sampling(self, prepared, evaluations, seed):
        tensor, target = prepared
        samples = evaluations // self.players.count
        if samples < 1:
            return None
        self.torch.manual_seed(seed)
        maps = self.library.attribute(
            tensor,
            target=target,
            n_samples=samples,
            feature_mask=self.mask,
            perturbations_per_eval=self.players.count,
        )
        return maps.numpy().ravel()[self.first]


class FunctionPeer:
    """A peer that is given a function of coalitions."""

    def __init__(self, path, players, shape, targets, threads):
        try:
            import torch

            torch.set_num_threads(threads)
        except ImportError:
            pass
        self.players, self.note = players, ""
        example = np.random.default_rng(2).random(shape, np.float32)
        way = fastest(path, players, targets[0], threads, example)
        self.note = f"values by {way.name}"
        self.ways = {target: way.towards(target) for target in targets}

    def prepare(self, example, target):
        return self.ways[target].explain(example)


class Shap(FunctionPeer):
    def __init__(self, *arguments):
        import shap

        super().__init__(*arguments)
        self.library, self.version = shap, shap.__version__
        count = self.players.count
        self.nobody, self.everybody = np.zeros((1, count)), np.ones((1, count))
        self.estimators = {"permutation": self.permutation, "kernel": self.kernel}

    def permutation(self, game, evaluations, seed):
        if evaluations < 2 * self.players.count + 1:
            return None
        explainer = self.library.explainers.Permutation(game, self.nobody, seed=seed)
        return explainer(
            self.everybody, max_evals=evaluations, batch_size=ROWS, silent=True
        ).values[0]

    def kernel(self, game, evaluations, seed):
        np.random.seed(seed)
        explainer = self.library.KernelExplainer(game, self.nobody)
        found = explainer.shap_values(
            self.everybody, nsamples=evaluations, l1_reg=False, silent=True
        )
        return np.asarray(found).ravel()


class Shapiq(FunctionPeer):
    def __init__(self, *arguments):
        import shapiq

        super().__init__(*arguments)
        self.version = importlib.metadata.version("shapiq")
        library = shapiq.approximator
        paired = {"pairing_trick": True}
        self.estimators = {
            "kernel": self.approximator(library.KernelSHAP, paired),
            "unbiased-kernel": self.approximator(library.UnbiasedKernelSHAP, paired),
            "k-add": self.approximator(library.kADDSHAP, {"max_order": 2}),
            "svarm": self.approximator(library.SVARM, {}),
            "stratified": self.approximator(library.StratifiedSamplingSV, {}),
            "owen": self.approximator(library.OwenSamplingSV, {}),
            "permutation": self.approximator(
                library.PermutationSamplingSV, {}, batch_size=ROWS // self.players.count
            ),
        }

    def approximator(self, kind, options, **settings):
        count = self.players.count

        def estimate(game, evaluations, seed):
            made = kind(n=count, random_state=seed, **options)
            # It asks for the value of nobody with a mask of one dimension.
            found = made.approximate(
                evaluations,
                lambda masks: game(np.atleast_2d(masks)).astype(float),
                **settings,
            )
            values = found.dict_values
            return np.array([values.get((player,), 0.0) for player in range(count)])

        return estimate


class Written(FunctionPeer):
    def __init__(self, *arguments):
        from written_estimators import LISTED, PrefixGame, Written

        super().__init__(*arguments)
        self.version = f"numpy {np.__version__}"
        written = Written(self.players.count)

        def of(estimator):
            return lambda game, evaluations, seed: estimator(
                game, evaluations, np.random.default_rng(seed)
            )

        def antithetic(game, evaluations, seed):
            random = np.random.default_rng(seed)
            if isinstance(game, DenseGame):
                return PrefixGame(game).antithetic(evaluations, random)
            return written.antithetic(game, evaluations, random)

        self.estimators = {"antithetic": antithetic}
        if self.players.count <= LISTED:
            self.estimators |= {
                "leverage": of(written.leverage),
                "odd-regression": of(written.odd),
                "exact": of(written.exact),
            }


PEERS = {"captum": Captum, "shap": Shap, "shapiq": Shapiq, "written": Written}


def estimate(peer, examples, targets, name, evaluations, seed, index):
    start = time.perf_counter()
    prepared = peer.prepare(examples[index], targets[index])
    values = peer.estimators[name](prepared, evaluations, seed)
    seconds = time.perf_counter() - start
    if values is not None and not np.all(np.isfinite(values)):
        values = None
    return {
        "values": None if values is None else np.asarray(values, float).tolist(),
        "seconds": seconds,
    }


def converse(peer, examples, targets, reply):
    for line in sys.stdin:
        command, *words = line.split() or [""]
        if command == "quit":
            return
        try:
            if command != "estimate" or len(words) != 4:
                raise ValueError(f"unknown command: {line.strip()}")
            name, evaluations, seed, index = words
            reply(estimate(peer, examples, targets, name, int(evaluations), int(seed), int(index)))
        except Exception as failure:
            reply({"error": f"{type(failure).__name__}: {failure}"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--targets", type=peers.integers, required=True)
    parser.add_argument("--players", default="element")
    parser.add_argument("--peer", required=True, choices=PEERS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    warnings.filterwarnings("ignore")
    try:
        shape, _ = peers.static_shapes(arguments.model)
        players, targets = Players(arguments.players, shape), arguments.targets
        peer = PEERS[arguments.peer](arguments.model, players, shape, targets, arguments.threads)
    except ImportError as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    examples = np.fromfile(arguments.inputs, np.float32).reshape(-1, *shape)
    # The first run of a library loads what the others use.
    for name in peer.estimators:
        if name != "exact":
            for index in range(len(examples)):
                estimate(peer, examples, targets, name, 128, 0, index)
    reply(
        {
            "ready": True,
            "peer": arguments.peer,
            "version": peer.version,
            "note": peer.note,
            "estimators": list(peer.estimators),
        }
    )
    converse(peer, examples, targets, reply)


if __name__ == "__main__":
    main()
