"""Measures how fast hand-written torch computes Shapley values by moments: a server as peers.py.

    python moment_peers.py --model X.onnx --inputs X.f32 --players patch:4x4 --peer torch-written
        (--sizes 16 | --nodes 8) [--threads 2] [--batches 64,256]

speaks the protocol of peers.py, as shapley_peers.py does. The units of `run` are passes of moments
(moment_engines.py); `check` answers the values of the first two inputs' players.
"""

import os

import peers
import shapley_peers


def main():
    parser = shapley_peers.parser(__doc__)
    parser.add_argument("--sizes", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=0)
    arguments = parser.parse_args()

    reply = peers.protocol()
    peers.keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

    def make(shape):
        import moment_engines

        return moment_engines.make(
            arguments.peer,
            arguments.model,
            shape,
            arguments.players,
            arguments.sizes,
            arguments.nodes,
        )

    shapley_peers.serve(arguments, reply, make)


if __name__ == "__main__":
    main()
