// The schemes that sample, by what they estimate, as arguments of tests.

import CoalitionShapley
import Testing

/// A scheme to make for any players and seed.
struct NamedScheme: Sendable, CustomTestStringConvertible {
  let name: String
  let value: PlayerValue
  /// Samples below which there are no values.
  var minSamples: @Sendable (_ players: Int) -> Int = { _ in 1 }
  let make: @Sendable (_ players: Int, _ seed: UInt64) -> any SamplingScheme

  var testDescription: String { name }

  static let shapley = [
    NamedScheme(name: "permutation", value: .shapley) {
      PermutationScheme(playerCount: $0, isAntithetic: false, seed: $1)
    },
    NamedScheme(name: "antithetic permutation", value: .shapley) {
      PermutationScheme(playerCount: $0, isAntithetic: true, seed: $1)
    },
    NamedScheme(name: "orthogonal", value: .shapley) {
      OrthogonalScheme(playerCount: $0, seed: $1)
    },
    NamedScheme(name: "toggle", value: .shapley) {
      ToggleScheme(playerCount: $0, drawing: .sizes, seed: $1)
    },
    NamedScheme(name: "owen-sampling", value: .shapley) {
      ToggleScheme(playerCount: $0, drawing: .probabilities, seed: $1)
    },
    NamedScheme(
      name: "stratified", value: .shapley, minSamples: { min($0 - 1, 16) }
    ) { StratifiedScheme(playerCount: $0, seed: $1) },
    NamedScheme(name: "complementary", value: .shapley) {
      ComplementaryScheme(playerCount: $0, seed: $1)
    },
    NamedScheme(name: "kernel-unbiased", value: .shapley, minSamples: { _ in 4 }) {
      UnbiasedKernelScheme(playerCount: $0, seed: $1)
    },
  ]

  static let banzhaf = [
    NamedScheme(name: "Banzhaf toggle", value: .banzhaf) {
      ToggleScheme(playerCount: $0, drawing: .halves, seed: $1)
    },
    NamedScheme(name: "Banzhaf pairs", value: .banzhaf) {
      BanzhafScheme(playerCount: $0, seed: $1)
    },
  ]

  static let all = shapley + banzhaf
}
