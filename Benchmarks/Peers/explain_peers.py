"""Measures how fast peer libraries explain one ONNX model: a server as peers.py, or a report of its own.

    python explain_peers.py --model X.onnx --method deeplift --peer captum [--threads 2] [--batches 16,64]

speaks the protocol of peers.py (its examples are explained images; for occlusion evaluations of the
network), with "method" and "note" in the first reply: the note says where a peer computes something
else. Output 0 is explained from a zero baseline; `check` answers attributions.

    python explain_peers.py --report [--quick] [--only lenet/deeplift,mlp/saliency] [--models DIRECTORY]

measures every pair below with all peers in turns, one JSON object a line for each workload and peer:
{"workload", "peer", "version", "batch", "requests", "threads", "examples_per_second", "rates",
"examples_per_cpu_second", "cpu_share", "difference", "note"}, or {"workload", "peer", "reason"}.
"difference" is the largest from the written-out form, relative to its largest value. A "cpu_share" far
below 1 says that other processes took the machine away: then rates are no measure of a library.
Workloads that end in "/latency" have one example, one request and one thread, and give "microseconds".
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import peers

METHODS = ["saliency", "gradient-x-input", "integrated-gradients", "deeplift", "epsilon-lrp"]
PEERS = ["torch-written", "captum", "onnxruntime"]
# Batch sizes of the sweep; integrated gradients have a hundred points an example.
BATCHES = {"mlp": [64, 256, 1024, 4096], "lenet": [16, 64, 256], "vgg16": [8, 32]}
PATH_BATCHES = {"mlp": [1, 4, 16, 64], "lenet": [1, 4], "vgg16": [1]}
OCCLUSION_BATCHES = [49, 98, 196, 392]


class Measurement(peers.Measurement):
    """Counts what an engine says that one input row is worth."""

    def __init__(self, engine, batch, requests, threads):
        self.units = engine.units
        super().__init__(engine, batch, requests, threads)
        # Occlusion takes one image, whatever the batch of its inferences.
        self.batch = len(self.requests[0].input)

    def run(self, seconds):
        result = super().run(seconds)
        return {**result, "examples": result["examples"] * self.units}


def serve(arguments, reply):
    try:
        from explain_engines import ENGINES

        shape, _ = peers.static_shapes(arguments.model)
        engine = ENGINES[arguments.peer](arguments.model, shape, arguments.method)
    except (ImportError, ValueError) as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    threads = arguments.threads
    measurement, table = peers.sweep(
        engine,
        arguments.batches,
        arguments.requests or sorted({1, threads}),
        threads,
        arguments.sweep_seconds,
        Measurement,
    )
    best = max(table, key=lambda row: row["examples_per_second"])
    reply(
        {
            "ready": True,
            "peer": engine.name,
            "version": engine.version,
            "method": arguments.method,
            "note": engine.note,
            "batch": best["batch"],
            "requests": best["requests"],
            "threads": best["threads"],
            "sweep": table,
        }
    )
    peers.converse(measurement, shape, reply)


# The report


class Server:
    """A peer in a process of its own, as the Swift harness starts it."""

    def __init__(self, model, method, peer, threads, batches, requests, sweep_seconds):
        command = [sys.executable, __file__, "--model", model, "--method", method, "--peer", peer]
        command += ["--threads", threads, "--batches", ",".join(map(str, batches))]
        command += ["--requests", ",".join(map(str, requests)), "--sweep-seconds", sweep_seconds]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.start = self.reply()

    def reply(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"ready": False, "reason": "ended without an answer"}

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.reply()

    def quit(self):
        self.process.stdin.close()
        self.process.wait()


def measure(workload, model, arguments):
    """Lines of all peers on one workload, measured in turns."""
    network, method, *latency = workload.split("/")
    requests, threads = sorted({1, arguments.threads}), arguments.threads
    if latency:
        batches, requests, threads = [1], [1], 1
    elif method == "occlusion":
        batches = OCCLUSION_BATCHES
    else:
        batches = (PATH_BATCHES if method == "integrated-gradients" else BATCHES)[network]
    if arguments.quick:
        batches, requests = [batches[len(batches) // 2]], requests[-1:]
    rounds, seconds, sweep_seconds = (2, 0.5, 0.1) if arguments.quick else (5, 1.0, 0.3)
    servers = {}
    for peer in PEERS:
        if peer == "onnxruntime" and method != "occlusion":
            continue
        server = Server(model, method, peer, threads, batches, requests, sweep_seconds)
        if server.start.get("ready"):
            servers[peer] = server
        else:
            yield {"workload": workload, "peer": peer, "reason": server.start.get("reason")}
            server.quit()
    runs = {peer: [] for peer in servers}
    for _ in range(rounds):
        for peer, server in servers.items():
            runs[peer].append(server.ask(f"run {seconds}"))
    outputs = {peer: server.ask("check").get("outputs") for peer, server in servers.items()}
    for peer, server in servers.items():
        server.quit()
        yield line(workload, server.start, runs[peer], outputs[peer], outputs.get("torch-written"))


def line(workload, start, runs, outputs, reference):
    failures = [run["error"] for run in runs if "error" in run]
    if failures:
        return {"workload": workload, "peer": start["peer"], "reason": failures[0]}
    rates = [run["examples"] / run["seconds"] for run in runs]
    rate = sorted(rates)[len(rates) // 2]
    used = start["requests"] * start["threads"]
    cpu = sum(run["cpu_seconds"] for run in runs)
    share = cpu / sum(run["seconds"] for run in runs) / used
    result = {"workload": workload, **{k: start[k] for k in ("peer", "version")}}
    result.update({key: start[key] for key in ("batch", "requests", "threads")})
    result["examples_per_second"] = round(rate, 1)
    result["rates"] = [round(r, 1) for r in rates]
    if workload.endswith("/latency"):
        result["microseconds"] = round(1e6 / rate, 1)
    result["examples_per_cpu_second"] = round(sum(run["examples"] for run in runs) / cpu, 1)
    result["cpu_share"] = round(share, 2)
    if outputs and reference and len(outputs) == len(reference):
        largest = max(abs(a - b) for a, b in zip(outputs, reference))
        result["difference"] = largest / max(abs(b) for b in reference)
    result["note"] = start["note"]
    return result


def report(arguments):
    from benchmark_models import NETWORKS, write_all

    workloads = [f"{network}/{method}" for network in NETWORKS for method in METHODS]
    workloads += ["lenet/occlusion", *(f"mlp/{method}/latency" for method in METHODS)]
    chosen = arguments.only or workloads
    unknown = set(chosen) - set(workloads)
    if unknown:
        sys.exit(f"unknown workloads {sorted(unknown)}: expected some of {workloads}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.models or pathlib.Path(temporary)
        models = write_all(folder, {workload.split("/")[0] for workload in chosen})
        for workload in chosen:
            for result in measure(workload, models[workload.split("/")[0]], arguments):
                print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one configuration, short runs")
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--models", type=pathlib.Path, help="where the report's models are kept")
    parser.add_argument("--model")
    parser.add_argument("--method", choices=[*METHODS, "occlusion"])
    parser.add_argument("--peer", choices=PEERS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=peers.integers, default=[1, 16, 64, 256])
    parser.add_argument("--requests", type=peers.integers)
    parser.add_argument("--sweep-seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments)
        return
    if not (arguments.model and arguments.method and arguments.peer):
        parser.error("either --report, or --model, --method and --peer")
    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    serve(arguments, reply)


if __name__ == "__main__":
    main()
