"""Exact values and interactions of five small games by shapiq, for InteractionReferenceTests.

    pip install shapiq==1.4.1
    python make_fixtures.py            # writes Fixtures/shapiq.json

A game is a table of the values of its coalitions, at the bits of their players. Pairs are in the order
(0, 1), (0, 2), (1, 2), (0, 3), ...: by the higher player, then the lower.
"""

import json
import pathlib
from importlib.metadata import version

import numpy as np
from shapiq import ExactComputer


def tables():
    rng = np.random.default_rng(20)

    def table(players, value):
        return [
            float(value([p for p in range(players) if bits >> p & 1]))
            for bits in range(1 << players)
        ]

    weights = [7, 5, 4, 2, 1]
    yield (
        "majority of 10 votes",
        5,
        table(5, lambda s: sum(weights[p] for p in s) >= 10),
    )
    yield (
        "gloves",
        5,
        table(5, lambda s: min(sum(p < 2 for p in s), sum(p >= 2 for p in s))),
    )
    costs = [1, 1, 3, 4.5, 7, 10]
    yield "airport", 6, table(6, lambda s: max((costs[p] for p in s), default=0))
    first, second = rng.normal(size=(4, 7)), rng.normal(size=4)
    yield (
        "hidden units",
        7,
        table(
            7, lambda s: second @ np.maximum(first[:, s].sum(axis=1) - 0.4, 0) + 0.25
        ),
    )
    noise = rng.normal(size=256).round(4)
    yield "noise", 8, [float(value) for value in noise]


def reference(players, table):
    def game(coalitions):
        powers = 1 << np.arange(players)
        return np.array([table[int(row @ powers)] for row in np.atleast_2d(coalitions)])

    computer = ExactComputer(game, players, evaluate_game=True)
    pairs = [(low, high) for high in range(players) for low in range(high)]

    def values(index, order):
        found = computer(index, order)
        return {
            "players": [float(found[(p,)]) for p in range(players)],
            "pairs": [float(found[pair]) for pair in pairs] if order == 2 else [],
        }

    return {
        "shapley": values("SV", 1)["players"],
        "banzhaf": values("BV", 1)["players"],
        "sii": values("SII", 2)["pairs"],
        "kSII": values("k-SII", 2),
        "faithSII": values("FSII", 2),
    }


if __name__ == "__main__":
    games = [
        {
            "name": name,
            "playerCount": players,
            "table": table,
            **reference(players, table),
        }
        for name, players, table in tables()
    ]
    path = pathlib.Path(__file__).parent / "Fixtures" / "shapiq.json"
    path.write_text(json.dumps({"shapiq": version("shapiq"), "games": games}) + "\n")
