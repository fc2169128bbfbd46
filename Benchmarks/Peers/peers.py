"""Measures one peer library's forward throughput on one ONNX model, as a server on stdin and stdout.

    python peers.py --model X.onnx --peer NAME [--threads 2] [--batches 1,16,64,256] [--requests 1,2]

Promises the peer at its best: a sweep over the batch sizes, each as one request that uses all threads
and as one single-threaded request per thread at the same time, chooses the fastest configuration.
Then, one JSON object a line, so that runs of several libraries can be interleaved:

    (start)        {"ready": true, "peer", "version", "batch", "requests", "threads", "sweep": [...]}
    run SECONDS    {"examples", "seconds", "cpu_seconds"}: whole batches for about that long (at least
                   one a request: ask for many times as long as a batch takes)
    check          {"shape", "outputs"}: for 4 examples with input x[i] = sin(0.1 i), i over the flat array
    quit           (ends; so does end of input)

A library that is not installed answers {"ready": false, "peer", "reason"} and ends with status 0; a
command that fails answers {"error"}. Between commands the process sleeps; onnxruntime's pool does so
after spinning for some 50 ms. The input of a run is fixed normal noise, already in the library's own layout. `cpu_seconds` below
seconds x threads says that other processes took the machine away meanwhile (or that the work was too
small for its threads).
"""

import argparse
import ctypes
import json
import os
import sys
import threading
import time

CHECK_EXAMPLES = 4

# A configuration of the sweep counts by its best run; it is run until two had the processor to
# themselves (this share of all threads' time), but not for ever: waiting threads may really sleep.
QUIET_SHARE, QUIET_RUNS, MOST_RUNS = 0.95, 2, 6


class Measurement:
    """One configuration of an engine, warmed up: `requests` at the same time, `threads` each."""

    def __init__(self, engine, batch, requests, threads):
        import numpy as np

        self.batch, self.threads = batch, threads
        self.requests = engine.requests(batch, requests, threads)
        noise = np.random.Generator(np.random.PCG64(1))
        for request in self.requests:
            request.input[...] = noise.standard_normal(request.input.shape, np.float32)
            for _ in range(2):
                request.run()
        self.run(0.05)

    def run(self, seconds):
        """Runs whole batches until the time is over; every request runs at least one.

        The requests start together and end each with its own last batch: the time is the mean of
        theirs, so that the wait for the slowest is not held against the library.
        """
        counts, times = [0] * len(self.requests), [0.0] * len(self.requests)
        failures = []
        start_line = threading.Barrier(len(self.requests))

        def work(index):
            try:
                request = self.requests[index]
                start_line.wait()
                start = time.perf_counter()
                while counts[index] == 0 or times[index] < seconds:
                    request.run()
                    counts[index] += 1
                    times[index] = time.perf_counter() - start
            except Exception as failure:
                failures.append(failure)
                start_line.abort()

        others = [threading.Thread(target=work, args=(i,)) for i in range(1, len(self.requests))]
        for thread in others:
            thread.start()
        cpu = time.process_time()
        work(0)
        for thread in others:
            thread.join()
        cpu = time.process_time() - cpu
        if failures:
            raise failures[0]
        mean_time = sum(times) / len(times)
        return {"examples": sum(counts) * self.batch, "seconds": mean_time, "cpu_seconds": cpu}

    def outputs(self, examples):
        """The outputs for the given examples, through the very request that is measured."""
        import numpy as np

        request, parts = self.requests[0], []
        measured_input = request.input.copy()
        for start in range(0, len(examples), self.batch):
            part = examples[start : start + self.batch]
            request.input[...] = 0
            request.input[: len(part)] = part
            request.run()
            parts.append(np.array(request.result()[: len(part)]))
        request.input[...] = measured_input
        return np.concatenate(parts)


def best_rate(measurement, threads, seconds):
    best, quiet = 0.0, 0
    for _ in range(MOST_RUNS):
        result = measurement.run(seconds)
        best = max(best, result["examples"] / result["seconds"])
        quiet += result["cpu_seconds"] >= QUIET_SHARE * threads * result["seconds"]
        if quiet == QUIET_RUNS:
            break
    return best


def sweep(engine, batches, request_counts, threads, seconds, measure=Measurement):
    """Measures every configuration and returns the best with the table of all."""
    table = []
    for requests in request_counts:
        share = max(1, threads // requests)
        for batch in batches:
            measurement = measure(engine, batch, requests, share)
            found = best_rate(measurement, threads, seconds)
            table.append(
                {
                    "batch": batch,
                    "requests": requests,
                    "threads": share,
                    "examples_per_second": round(found, 1),
                }
            )
            log(f"{engine.name}: {table[-1]}")
    best = max(table, key=lambda row: row["examples_per_second"])
    # Built again: a library may hold one configuration at a time.
    return measure(engine, best["batch"], best["requests"], best["threads"]), table


def serve_fastest(arguments, version, candidates, seconds, shape, reply):
    """Measures candidates, (description, batch, measurement) each, and serves the fastest one.

    `seconds` are those of warming up and of the measurement.
    """
    best, found = None, 0.0
    for description, batch, measurement in candidates:
        measurement.run(seconds[0])
        result = measurement.run(seconds[1])
        rate = result["examples"] / result["seconds"]
        log(f"{arguments.peer}: {description}, {rate:.0f}/s")
        if rate > found:
            best, found = (batch, measurement), rate
    batch, measurement = best
    reply(
        {
            "ready": True,
            "peer": arguments.peer,
            "version": version,
            "batch": batch,
            "requests": 1,
            "threads": arguments.threads,
        }
    )
    converse(measurement, shape, reply)


def static_shapes(path):
    """The shapes of the input and the output without their first axis, which is the batch."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    parameters = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in parameters]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(f"{path}: expected one input and one output")
    return tuple(
        tuple(d.dim_value for d in value.type.tensor_type.shape.dim[1:])
        for value in (inputs[0], graph.output[0])
    )


def check(measurement, shape):
    import numpy as np

    count = CHECK_EXAMPLES * int(np.prod(shape))
    examples = np.sin(0.1 * np.arange(count)).astype(np.float32)
    outputs = measurement.outputs(examples.reshape(CHECK_EXAMPLES, *shape))
    return {"shape": list(outputs.shape), "outputs": [float(v) for v in outputs.ravel()]}


def answer(line, measurement, shape):
    command, *arguments = line.split()
    if command == "run" and len(arguments) == 1:
        return measurement.run(float(arguments[0]))
    if command == "check" and not arguments:
        return check(measurement, shape)
    return {"error": f"unknown command: {line.strip()}"}


def log(text):
    print(text, file=sys.stderr, flush=True)


def keep_freed_memory():
    """Makes glibc reuse freed memory in place of returning it to the system after every operator.

    Eager torch allocates each result anew; the page faults that follow cost it nearly half of its speed
    on LeNet (batch 64, two threads: 9,000 to 10,000 examples a second, and 15,000 to 19,000 with this).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 2**30)
    mallopt(arena_max, 1)


def serve(arguments, reply):
    try:
        from engines import ENGINES

        if arguments.peer not in ENGINES:
            sys.exit(f"unknown peer {arguments.peer}: expected one of {', '.join(ENGINES)}")
        input_shape, output_shape = static_shapes(arguments.model)
        engine = ENGINES[arguments.peer](arguments.model, input_shape, output_shape)
    except ImportError as absent:
        reply({"ready": False, "peer": arguments.peer, "reason": str(absent)})
        return
    threads = arguments.threads
    measurement, table = sweep(
        engine,
        arguments.batches,
        arguments.requests or sorted({1, threads}),
        threads,
        arguments.sweep_seconds,
    )
    reply(
        {
            "ready": True,
            "peer": engine.name,
            "version": engine.version,
            "batch": measurement.batch,
            "requests": len(measurement.requests),
            "threads": measurement.threads,
            "sweep": table,
        }
    )
    converse(measurement, input_shape, reply)


def converse(measurement, shape, reply):
    """Answers commands until told to stop."""
    for line in sys.stdin:
        if line.strip() == "quit":
            return
        if not line.strip():
            continue
        try:
            reply(answer(line, measurement, shape))
        except Exception as failure:
            reply({"error": f"{type(failure).__name__}: {failure}"})


def integers(text):
    return [int(part) for part in text.split(",")]


def protocol():
    """The way to reply. Libraries print to stdout as they please; the protocol has its own copy of it."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(message):
        output.write(json.dumps(message) + "\n")
        output.flush()

    return reply


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=integers, default=[1, 16, 64, 256])
    parser.add_argument("--requests", type=integers, help="default: 1 and the number of threads")
    parser.add_argument("--sweep-seconds", type=float, default=0.5)
    arguments = parser.parse_args()

    reply = protocol()
    keep_freed_memory()
    # Read once, when the libraries load. OpenMP's threads (torch) sleep after some milliseconds.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    serve(arguments, reply)


if __name__ == "__main__":
    main()
