// Small models for values by moments, in double precision.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import CoalitionShapley
import TestSupport
import Testing

/// A multilayer perceptron with random weights.
struct Perceptron: Sendable {
  var graph: Graph

  /// - Parameters:
  ///   - sizes: inputs, hidden units, outputs.
  ///   - function: after every layer but the last; nil: none.
  init(
    _ sizes: [Int], function: String? = "Relu", seed: Int, bias: Double = 1, scale: Double = 1
  ) {
    var random = Seeded(seed)
    graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", .float64, shape: [.symbolic("N"), .fixed(sizes[0])])]
    var value = "x"
    for (layer, (inputs, outputs)) in zip(sizes, sizes.dropFirst()).enumerated() {
      let spread = scale * (3 / Double(inputs)).squareRoot()
      graph.constants["w\(layer)"] = Tensor(
        filling: [inputs, outputs],
        with: .float64(random.numbers(inputs * outputs, -spread...spread)))
      graph.constants["b\(layer)"] = Tensor(
        .float64(random.numbers(outputs, -spread...spread).map { $0 * bias }))
      graph.nodes.append(
        Node("Gemm", inputs: [value, "w\(layer)", "b\(layer)"], outputs: ["z\(layer)"]))
      value = "z\(layer)"
      if let function, layer < sizes.count - 2 {
        graph.nodes.append(Node(function, inputs: [value], outputs: ["a\(layer)"]))
        value = "a\(layer)"
      }
    }
    graph.outputs = [Port(value, shape: nil)]
  }
}

/// The game of a model's elements, or of other players, for rows of its only input.
func momentGame(
  _ graph: Graph, _ rows: [[Double]], players: Players = .element, target: Target = .all,
  baseline: Baseline = .zero, precision: Precision = .double
) async throws -> MaskedGame {
  var options = ExplainerOptions()
  options.plan.precision = precision
  let explainer = try Explainer(Model(graph), options)
  let input = try #require(explainer.modelInputs.first)
  let tensor = Tensor(filling: [rows.count] + input.shape, with: .float64(rows.flatMap { $0 }))
  return try await explainer.game(
    [input.name: tensor], players: explainer.players(players), target: target,
    baselines: [input.name: baseline]
  ).game
}

/// Values by an estimator.
func momentValues(
  _ game: MaskedGame, _ estimator: Estimator, rank: Int = 0, nodes: Int = 8, sizes: Int? = nil,
  checked: Int = 0
) async throws -> ShapleyEstimate {
  var options = ShapleyOptions()
  options.estimator = estimator
  options.moments.rank = rank
  options.moments.nodes = nodes
  options.moments.sizes = sizes
  options.moments.checkedPlayers = checked
  return try await Shapley(game, options).result()
}

func exactValues(_ game: MaskedGame) async throws -> ShapleyEstimate {
  var options = ShapleyOptions()
  options.estimator = .exact
  return try await Shapley(game, options).result()
}

/// The root of the mean square difference.
func rootMeanSquare(_ a: [Double], _ b: [Double]) -> Double {
  (zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(a.count)).squareRoot()
}
