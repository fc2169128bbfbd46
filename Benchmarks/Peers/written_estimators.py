"""Hand-written estimators of Shapley values in batches: what a person writes who knows the literature.

Promises estimates of the values of one game from a function that evaluates masks [coalition][player] in
bulk: antithetic permutations, KernelSHAP by leverage scores (pairs of complements, sizes stratified, without
replacement), and the regression on all interactions of one and three players in the Walsh basis (OddSHAP). The
regressions are for up to 20 players: coalitions of a size are listed once, and drawn from the list.
"""

import itertools

import numpy as np

from shapley_exact_engines import ExactSums

# Players of games whose coalitions are listed.
LISTED = 20


class Written:
    """The estimators of games of so many players."""

    def __init__(self, count):
        self.count, self.exact_sums = count, None
        if count > LISTED:
            return
        numbers = np.arange(1 << count, dtype=np.uint32)
        sizes = np.zeros(1 << count, np.uint8)
        for player in range(count):
            sizes += (numbers >> np.uint32(player) & 1).astype(np.uint8)
        # One of each pair of complements: those of the middle size have player 0.
        self.halves = [numbers[sizes == size] for size in range(1, count // 2 + 1)]
        if count % 2 == 0:
            self.halves[-1] = self.halves[-1][self.halves[-1] & 1 == 1]
        self.triples = np.array(list(itertools.combinations(range(count), 3))).T

    def masks(self, numbers):
        return (numbers[:, None] >> np.arange(self.count, dtype=np.uint32) & 1).astype(np.float32)

    def exact(self, game, evaluations, random):
        if self.exact_sums is None:
            self.exact_sums = ExactSums(self.count)
        return self.exact_sums(game(self.exact_sums.masks))

    def antithetic(self, game, evaluations, random):
        """Permutations, each with its reverse."""
        count = self.count
        pairs = max(1, evaluations // (2 * (count - 1)))
        orders = random.random((pairs, count)).argsort(1)
        ranks = orders.argsort(1)
        places = np.arange(1, count)
        # Proper prefixes, and their complements: the prefixes of the reverse.
        prefixes = (ranks[:, None] < places[:, None]).astype(np.float32).reshape(-1, count)
        both = np.concatenate([prefixes, 1 - prefixes, np.zeros((1, count)), np.ones((1, count))])
        values = game(both)
        empty, full = values[-2:]
        forward, backward = values[:-2].reshape(2, pairs, count - 1).astype(np.float64)
        gains = np.diff(forward, axis=1, prepend=empty, append=full)
        gains -= np.diff(backward, axis=1, prepend=full, append=empty)
        return np.bincount(orders.ravel(), gains.ravel(), count) / (2 * pairs)

    def pairs(self, wanted, random):
        """Coalitions, one of each pair, and the pairs' weights in the regression."""
        quotas, left, open_sizes = np.zeros(len(self.halves), int), wanted, len(self.halves)
        # Every size as often, but no pair twice: small sizes are listed whole.
        for index in np.argsort([len(half) for half in self.halves]):
            quotas[index] = min(len(self.halves[index]), -(-left // open_sizes))
            left, open_sizes = left - quotas[index], open_sizes - 1
        numbers, weights = [], []
        for index, (half, quota) in enumerate(zip(self.halves, quotas)):
            if quota == 0:
                continue
            size = index + 1
            numbers.append(half[random.choice(len(half), quota, replace=False, shuffle=False)])
            # The kernel's weight of the size's pairs, shared by those drawn; the middle size has half the coalitions.
            share = 0.5 if 2 * size == self.count else 1.0
            weights.append(np.full(quota, share / (size * (self.count - size) * quota)))
        return np.concatenate(numbers), np.concatenate(weights)

    def differences(self, game, wanted, random):
        """Signs [pair][player], v(S) - v(complement), weights, and v(all) - v(nobody)."""
        numbers, weights = self.pairs(wanted, random)
        masks = self.masks(numbers)
        values = game(
            np.concatenate([masks, 1 - masks, np.zeros((1, self.count)), np.ones((1, self.count))])
        ).astype(np.float64)
        pairs = len(masks)
        return (
            2.0 * masks - 1,
            values[:pairs] - values[pairs:-2],
            weights,
            values[-1] - values[-2],
        )

    def leverage(self, game, evaluations, random):
        signs, differences, weights, total = self.differences(
            game, max(1, evaluations // 2 - 1), random
        )
        return constrained(signs, differences, weights, total)

    def odd(self, game, evaluations, random):
        unknowns = self.count + self.triples.shape[1]
        pairs = evaluations // 2 - 1
        if pairs < 1.2 * unknowns:
            return None
        signs, differences, weights, total = self.differences(game, pairs, random)
        signs = signs.astype(np.float32)
        i, j, k = self.triples
        design = np.concatenate([signs, signs[:, i] * signs[:, j] * signs[:, k]], 1)
        found = constrained(design, differences, weights, total)
        values = found[: self.count].copy()
        for players in self.triples:
            values += np.bincount(players, found[self.count :] / 3, self.count)
        return values


def constrained(design, targets, weights, total):
    """The weighted least squares solution whose coefficients add up to `total`.

    In both regressions: with everybody present all products of signs are 1, and v(all) - v(nobody) is the
    difference of that pair. A coefficient of one player is its value, one of three players is shared by them.
    """
    weighted = design * weights[:, None].astype(design.dtype)
    matrix = (design.T @ weighted).astype(np.float64)
    right = weighted.T.astype(np.float64) @ targets
    # A trace of ridge, for as many pairs as unknowns or fewer.
    matrix[np.diag_indices_from(matrix)] += 1e-9 * np.trace(matrix) / len(matrix)
    solved = np.linalg.solve(matrix, np.stack([right, np.ones_like(right)], 1))
    return solved[:, 0] + solved[:, 1] * (total - solved[:, 0].sum()) / solved[:, 1].sum()


class PrefixGame:
    """Antithetic permutations of a chain of dense layers: the first layer's sums by prefix sums."""

    def __init__(self, game):
        self.network, self.own, self.torch = game.network, game.contributions, game.torch

    def antithetic(self, evaluations, random):
        torch, network, count = self.torch, self.network, len(self.own)
        pairs = max(1, evaluations // (2 * (count - 1)))
        with torch.inference_mode():
            orders = torch.from_numpy(random.random((pairs, count), np.float32)).argsort(1)
            prefixes = self.own[orders].cumsum_(1)
            total = prefixes[:, -1:] + network.bias
            # [0] the prefixes, [1] their complements; the last place is everybody and nobody.
            sums = torch.stack([prefixes + network.bias, total - prefixes])
            values = network.tail(sums)
            full, empty = values[:, :, -1:]
            forward = torch.cat([empty, values[0]], 1).diff(dim=1)
            backward = torch.cat([full, values[1]], 1).diff(dim=1)
            gains = (forward - backward).reshape(-1)
            sums = torch.zeros(count).index_add_(0, orders.reshape(-1), gains)
        return (sums / (2 * pairs)).numpy()
