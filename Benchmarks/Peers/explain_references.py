"""Writes the reference attributions for the networks of explain_fixtures.py, one npz a network.

Promises values computed in double precision (stored as float32, outputs as float64) by propagation.py,
each compared here with Captum (and with Zennit for the LRP rules), which is a failure where they ought to
agree and is stored beside under a name beginning with `captum_` where Captum is known to be wrong. What
each array is: Fixtures/README.md. Reads only the written ONNX files and examples; trains nothing.

    python explain_references.py [--only NAME,NAME]
    python explain_references.py --squeezenet MODEL_DIRECTORY --output DIRECTORY

The second form does the large network, whose references are not committed. Needs captum 0.9.0 and zennit
0.5.1, which requires torchvision: best in a virtual environment of its own.
"""

import argparse
import copy
import pathlib
import platform
import sys
import warnings
from importlib import metadata

import captum.attr
import numpy as np
import torch
import zennit.composites
import zennit.rules
from torch import nn

import propagation
from explain_fixtures import FIXTURES, signed
from module_graph import ModuleGraph

STEPS, EPSILON, STABILISER = 50, 1e-4, 1e-6
IMAGES = {"mnist": [3, 27, 54, 81], "cifar": [0, 1, 2]}
SENTENCES = [0, 1, 2, 3]
# The digit that the convolutional network starts from, in place of zero.
BASELINE = [11]
NETWORKS = ["mlp-relu", "mlp-tanh", "mlp-sigmoid", "mlp-softplus", "cnn", "resnet", "sentiment"]


def versions():
    names = ("numpy", "torch", "captum", "zennit", "onnx")
    return np.array(
        [f"python {platform.python_version()}", *(f"{n} {metadata.version(n)}" for n in names)]
    )


def largest(difference, reference):
    return float(difference.detach().abs().max() / reference.detach().abs().max())


class References:
    """The arrays of one file, with the comparison of each with a library."""

    def __init__(self, name):
        self.name, self.arrays = name, {"versions": versions()}

    def add(self, key, values, library=None, tolerance=1e-9):
        self.arrays[key] = values.detach().numpy().astype(np.float32)
        if library is not None:
            difference = largest(library - values, values)
            print(f"{self.name}: {key} differs from the library's by {difference:.1e}", flush=True)
            if not difference < tolerance:
                sys.exit(f"{self.name}: {key} ought to agree within {tolerance}")

    def add_numbers(self, key, values):
        self.arrays[key] = values.detach().numpy()

    def write(self, folder):
        path = folder / f"{self.name}-references.npz"
        np.savez_compressed(path, **self.arrays)
        print(f"{path}: {path.stat().st_size} bytes", flush=True)


def quadratures(steps):
    """Nodes and weights on 0..1, with Captum's name for them."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    equal, whole = np.full(steps, 1 / steps), np.arange(1, steps + 1)
    return {
        "gauss": ("gausslegendre", (nodes + 1) / 2, weights / 2),
        "right": ("riemann_right", whole / steps, equal),
        "midpoint": ("riemann_middle", (whole - 0.5) / steps, equal),
    }


def gradient_family(references, graph, x, target):
    """Everything that is one or many gradients."""
    zero = torch.zeros_like(x[:1])
    references.add_numbers("target", target)
    references.add_numbers("logits", graph(x))
    references.add_numbers("logits_of_zero", graph(zero))

    gradient = propagation.gradient(graph, x, target)
    saliency = captum.attr.Saliency(graph)
    references.add("gradient", gradient, saliency.attribute(x, target=target, abs=False))
    references.add(
        "gradient_x_input",
        x * gradient,
        captum.attr.InputXGradient(graph).attribute(x, target=target),
    )
    for name, (method, nodes, weights) in quadratures(STEPS).items():
        values = propagation.integrated_gradients(graph, x, target, zero, nodes, weights)
        library = captum.attr.IntegratedGradients(graph)
        # Captum keeps step sizes, and the nodes of the Riemann sums, in single precision.
        references.add(
            f"integrated_gradients_{name}_{STEPS}",
            values,
            library.attribute(x, zero, target=target, n_steps=STEPS, method=method),
            1e-5,
        )
    references.add(f"epsilon_lrp_{EPSILON:.0e}", propagation.epsilon_lrp(graph, x, target, EPSILON))
    if all(len(inputs) == 1 for _, inputs, _ in graph.steps):
        # No library has this form; for a small epsilon it is the recursion through all layers.
        modified = propagation.epsilon_lrp(graph, x, target, 1e-9)
        recursion = propagation.relevance(graph, x, target, propagation.RULES["epsilon"], 1e-9)
        off = largest(recursion - modified, modified)
        print(f"{references.name}: epsilon-LRP differs from the recursion by {off:.1e}", flush=True)
        if not off < 1e-4:
            sys.exit(f"{references.name}: epsilon-LRP ought to be the recursion")

    deeplifts(references, graph, x, target, zero, "deeplift")


def deeplifts(references, graph, x, target, baseline, key):
    """DeepLIFT, whose sum is the difference of the outputs, and Captum's answer where its sum is not.

    Where an activation is followed directly by a max pool, Captum reads the pool's gradient before its
    own hook has replaced it (pytorch/captum issue 1104): its answer is that of ordinary max pools. From
    zero this may be right by luck, if the maps that reach the pools are constant.
    """
    right = propagation.deeplift(graph, x, target, baseline)
    difference = (graph(x) - graph(baseline)).gather(1, target[:, None])[:, 0]

    def left_over(values):
        return float(((values.flatten(1).sum(1) - difference) / difference.abs().max()).abs().max())

    if not left_over(right) < 1e-5:
        sys.exit(f"{references.name}: {key} misses its sum by {left_over(right)}")
    library = captum.attr.DeepLift(copy.deepcopy(graph)).attribute(x, baseline, target=target)
    if left_over(library) < 1e-5:
        references.add(key, right, library)
        return
    references.add(key, right)
    store_wrong(references, f"captum_{key}", library, right)
    plain = propagation.deeplift(graph, x, target, baseline, rescales_pools=False)
    off = largest(library - plain, plain)
    print(
        f"{references.name}: captum_{key} differs from ordinary max pools by {off:.1e}", flush=True
    )
    if references.name == "cnn" and not off < 1e-9:
        sys.exit("cnn: Captum's answer ought to be that of ordinary max pools")


def store_wrong(references, key, values, right):
    """What a library answers, beside the right answer; says how far it is off."""
    off = largest(values - right, right)
    sums = (values - right).flatten(1).sum(1).tolist()
    print(f"{references.name}: {key} is off by {off:.1e}; its sums by {sums}", flush=True)
    references.add(key, values)


class Functional(nn.Module):
    """The ReLU perceptron as many write it: with the function, so that Captum sees no activation."""

    def __init__(self, graph):
        super().__init__()
        self.layers = nn.ModuleList(m for m in graph.layers if isinstance(m, nn.Linear))

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


class Reused(Functional):
    """The same with one ReLU module for all layers."""

    def __init__(self, graph):
        super().__init__(graph)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.relu(layer(x))
        return self.layers[-1](x)


def captum_on_other_forms(references, graph, x, target):
    right = propagation.deeplift(graph, x, target, torch.zeros_like(x[:1]))
    for key, form in (("functional", Functional), ("reused", Reused)):
        library = captum.attr.DeepLift(form(copy.deepcopy(graph)))
        try:
            values = library.attribute(x, torch.zeros_like(x[:1]), target=target)
        except (RuntimeError, AssertionError, AttributeError) as refusal:
            print(f"{references.name}: Captum refuses a {key} ReLU: {refusal}", flush=True)
            continue
        store_wrong(references, f"captum_deeplift_{key}_relu", values, right)


def occlusions(references, graph, x, target, sizes):
    for size in sizes:
        values = propagation.occlusion(graph, x, target, size, size)
        # Captum gives every pixel of a window the whole difference; it subtracts in single precision.
        spread = values.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, None].expand_as(x)
        window = (x.shape[1], size, size)
        library = captum.attr.Occlusion(graph).attribute(
            x, window, window, target=target, perturbations_per_eval=49
        )
        agreement = largest(library - spread, spread)
        references.add(f"occlusion_{size}x{size}", values)
        print(f"{references.name}: occlusion_{size}x{size} differs by {agreement:.1e}", flush=True)
        if not agreement < 1e-5:
            sys.exit(f"{references.name}: occlusion ought to agree with Captum")


ZENNIT_RULES = {
    "epsilon": zennit.rules.Epsilon(epsilon=STABILISER),
    "zplus": zennit.rules.ZPlus(stabilizer=STABILISER),
    "gamma_0.25": zennit.rules.Gamma(gamma=0.25, stabilizer=STABILISER),
    "alpha2_beta1": zennit.rules.AlphaBeta(alpha=2, beta=1, stabilizer=STABILISER),
}


def lrp_rules(references, graph, x, target):
    for name, rule in ZENNIT_RULES.items():
        composite = zennit.composites.LayerMapComposite(
            [((nn.Linear, nn.Conv2d), rule), (propagation.POINTWISE, zennit.rules.Pass())]
        )
        leaf = x.detach().clone().requires_grad_(True)
        with composite.context(graph) as modified:
            scores = modified(leaf)
            start = torch.zeros_like(scores).scatter_(1, target[:, None], 1) * scores.detach()
            (library,) = torch.autograd.grad(scores, leaf, start)
        own = propagation.relevance(graph, x, target, propagation.RULES[name], STABILISER)
        references.add(f"zennit_{name}", library, own)


def image_network(name, folder):
    kind = "cifar" if name == "resnet" else "mnist"
    with np.load(FIXTURES / f"{kind}-images.npz") as archive:
        pixels = archive["images"][IMAGES[kind]]
    graph = ModuleGraph(FIXTURES / f"{name}.onnx", dtype=torch.float64)
    references = References(name)
    references.arrays["examples"] = np.array(IMAGES[kind])
    references.arrays["input"] = signed(pixels)
    x = torch.from_numpy(signed(pixels)).double()
    target = graph(x).argmax(1)
    gradient_family(references, graph, x, target)
    occlusions(references, graph, x, target, (1, 4))
    if name in ("mlp-relu", "cnn"):
        lrp_rules(references, graph, x, target)
    if name == "cnn":
        with np.load(FIXTURES / "mnist-images.npz") as archive:
            references.arrays["baseline_image"] = signed(archive["images"][BASELINE])
        baseline = torch.from_numpy(references.arrays["baseline_image"]).double()
        references.add_numbers("logits_of_image", graph(baseline))
        deeplifts(references, graph, x, target, baseline, "deeplift_from_image")
    if name == "mlp-relu":
        captum_on_other_forms(references, graph, x, target)
    references.write(folder)


def sentence_network(name, folder):
    """Attributions at the value `embedded`; a word's own is the sum over its embedding."""
    with np.load(FIXTURES / "sentiment-sentences.npz") as archive:
        tokens = torch.from_numpy(archive["tokens"][SENTENCES])
    path = FIXTURES / f"{name}.onnx"
    x = ModuleGraph(path, stop="embedded", dtype=torch.float64)(tokens)
    graph = ModuleGraph(path, start="embedded", dtype=torch.float64)
    references = References(name)
    references.arrays["examples"] = np.array(SENTENCES)
    references.arrays["tokens"] = tokens.numpy()
    references.add("embedded", x)
    gradient_family(references, graph, x, graph(x).argmax(1))
    references.write(folder)


def squeezenet(model, folder):
    """Two photographs, the logits explained; no occlusion of single pixels (51,529 a photograph)."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = ModuleGraph(
        model / "squeezenet-v1.0-deep-compression.onnx", stop="logits", dtype=torch.float64
    )
    references = References("squeezenet")
    paths = sorted(model.glob("ref_input_*_1x3x227x227.f32"))
    pixels = np.concatenate([np.fromfile(p, "<f4").reshape(1, 3, 227, 227) for p in paths])
    references.arrays["input"] = pixels
    references.arrays["inputs"] = np.array([p.name for p in paths])
    x = torch.from_numpy(pixels).double()
    gradient_family(references, graph, x, graph(x).argmax(1))
    references.write(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=NETWORKS)
    parser.add_argument("--squeezenet", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=FIXTURES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # Captum announces its hooks; what matters of them is compared here.
    warnings.filterwarnings("ignore", module="captum")
    if arguments.squeezenet:
        if arguments.output == FIXTURES:
            parser.error("--squeezenet needs --output: its references are too large to commit")
        squeezenet(arguments.squeezenet, arguments.output)
        return
    for name in arguments.only:
        if name not in NETWORKS:
            parser.error(f"unknown network {name}: expected one of {NETWORKS}")
        make = sentence_network if name == "sentiment" else image_network
        make(name, arguments.output)


if __name__ == "__main__":
    main()
