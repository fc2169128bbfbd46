// Shapley values of a model's inputs that improve while one watches, and of a game that is no model.
//
//     improving-values [MODEL.onnx]
//
// Explains one example of a model with a single input of at most 64 numbers, every number a player: a random input for
// the model that is named, else for a small network that is made here.

import Coalition

/// A network of 16 numbers and one score: W2 relu(W1 x) with weights from a formula.
func smallNetwork() throws -> Graph {
  func weights(_ rows: Int, _ columns: Int) throws -> Tensor {
    let numbers = (0..<rows * columns).map { Float(($0 * 7919) % 31 - 15) / 20 }
    return try Tensor(shape: [rows, columns], elements: .float32(numbers))
  }
  return Graph(
    nodes: [
      Node("MatMul", inputs: ["x", "first"], outputs: ["hidden"]),
      Node("Relu", inputs: ["hidden"], outputs: ["active"]),
      Node("MatMul", inputs: ["active", "second"], outputs: ["score"]),
    ],
    inputs: [Port("x", shape: ["N", 16])], outputs: [Port("score", shape: ["N", 1])],
    constants: ["first": try weights(16, 32), "second": try weights(32, 1)])
}

/// Estimates of a model's players, the last one within a tolerance.
func explain(_ graph: Graph) async throws -> ShapleyEstimate? {
  let explainer = try Explainer(Model(graph))
  guard let input = explainer.modelInputs.first, input.count <= 64 else { return nil }
  var random = SystemRandomNumberGenerator()
  let x = try Tensor(
    shape: [1] + input.shape,
    elements: .float32((0..<input.count).map { _ in Float.random(in: -1...1, using: &random) }))
  let (game, _) = try await explainer.game([input.name: x], players: explainer.players())

  var options = ShapleyOptions()
  options.estimator = .permutation
  options.tolerance = 0.002
  var last: ShapleyEstimate?
  for try await estimate in try Shapley(game, options).estimates {
    print(
      "\(estimate.evaluations[0]) evaluations, largest error \(estimate.relativeError) of the range"
    )
    last = estimate
  }
  return last
}

/// Two left gloves and a right one: only pairs are worth something.
func gloves() async throws -> ShapleyEstimate {
  let game = ClosureGame(playerCount: 3) { coalitions in
    (0..<coalitions.count).map { row in
      coalitions[row, 2] && (coalitions[row, 0] || coalitions[row, 1]) ? 1 : 0
    }
  }
  return try await Shapley(game).result()
}

let graph =
  CommandLine.arguments.count > 1
  ? try ONNX.read(contentsOf: CommandLine.arguments[1]) : try smallNetwork()
guard let estimate = try await explain(graph) else {
  print("the example explains models whose first input has at most 64 numbers")
  throw CoalitionError(.unsupported, "the input is too large for this example")
}
for (player, value) in estimate.values.enumerated() {
  print("player \(player): \(value) +- \(estimate.margins[player])")
}
print("residual \(estimate.residuals[0])")
print("gloves: \(try await gloves().values)")
