"""Measures how fast torch trains one ONNX model, as a server on stdin and stdout.

    python train_peers.py --model X.onnx --peer torch-eager|torch-compile [--threads 2] --batch 128

speaks the protocol of peers.py. The work is one epoch after another over noise with labels that go round
the classes: batches of --batch, cross-entropy, stochastic gradient descent with momentum 0.9 at rate
0.01, the optimizer's fused form where torch has it. torch-eager takes the faster of both memory
formats. `check` answers the scores of the four check examples after four steps on them, from the
weights of the file.
"""

import argparse
import copy
import os
import time

import peers

EXAMPLES, RATE, MOMENTUM, CHECK_STEPS = 1280, 0.01, 0.9, 4


class Training:
    """A model in training with its data."""

    def __init__(self, path, shape, batch, compiled, channels_last):
        import torch
        import torch_model

        self.torch, self.batch = torch, batch
        self.start = torch_model.load(path)
        if not channels_last:
            self.start = self.start.to(memory_format=torch.contiguous_format)
        for name, value in list(self.start.named_buffers()):
            delattr(self.start, name)
            self.start.register_parameter(name, torch.nn.Parameter(value.clone()))
        self.module, self.optimizer = self.fresh()
        self.forward = torch.compile(self.module) if compiled else self.module
        generator = torch.Generator().manual_seed(1)
        self.examples = torch.randn(EXAMPLES, *shape, generator=generator)
        if channels_last:
            self.examples = self.examples.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            classes = self.module(self.examples[:1]).shape[1]
        self.labels = torch.arange(EXAMPLES) % classes
        self.next = 0

    def fresh(self):
        """The weights of the file, which may be gone by now, with an optimizer of their own."""
        module = copy.deepcopy(self.start)
        optimizer = self.torch.optim.SGD
        try:
            return module, optimizer(module.parameters(), RATE, MOMENTUM, fused=True)
        except (RuntimeError, TypeError):
            return module, optimizer(module.parameters(), RATE, MOMENTUM)

    def step(self, forward, optimizer, examples, labels):
        optimizer.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(forward(examples), labels)
        loss.backward()
        optimizer.step()

    def run(self, seconds):
        count, cpu, start = 0, time.process_time(), time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            rows = slice(self.next, self.next + self.batch)
            self.step(self.forward, self.optimizer, self.examples[rows], self.labels[rows])
            self.next = (self.next + self.batch) % EXAMPLES
            count += self.batch
        elapsed = time.perf_counter() - start
        return {"examples": count, "seconds": elapsed, "cpu_seconds": time.process_time() - cpu}

    def outputs(self, examples):
        module, optimizer = self.fresh()
        inputs = self.torch.from_numpy(examples)
        labels = self.labels[: len(inputs)]
        for _ in range(CHECK_STEPS):
            self.step(module, optimizer, inputs, labels)
        return module(inputs).detach().numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--peer", required=True, choices=["torch-eager", "torch-compile"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()

    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    try:
        import torch
    except ImportError as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    torch.set_num_threads(arguments.threads)
    shape, _ = peers.static_shapes(arguments.model)
    formats = [False, True] if len(shape) == 3 else [False]
    compiled = arguments.peer == "torch-compile"
    # Made one after the other: each has its weights and data.
    candidates = (
        (
            f"channels last {channels_last}",
            arguments.batch,
            Training(arguments.model, shape, arguments.batch, compiled, channels_last),
        )
        for channels_last in formats
    )
    peers.serve_fastest(arguments, torch.__version__, candidates, (1, 1), shape, reply)


if __name__ == "__main__":
    main()
