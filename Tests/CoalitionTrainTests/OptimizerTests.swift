// Rules of optimisation against a naive implementation, on a linear model whose gradient is written out.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import TestSupport
import Testing

@testable import CoalitionTrain

/// y = w x + b for one output with the mean of (y - t)^2 over a batch, element by element.
private struct Reference {
  var weights: [Double]
  private var first: [Double]
  private var second: [Double]
  private var steps = 0

  init(_ weights: [Double]) {
    self.weights = weights
    first = [Double](repeating: 0, count: weights.count)
    second = first
  }

  /// - Parameter rows: inputs with a 1 at the end, for the bias.
  mutating func step(_ rows: [[Double]], _ targets: [Double], _ options: TrainingOptions) {
    var gradient = [Double](repeating: 0, count: weights.count)
    for (row, target) in zip(rows, targets) {
      let error = zip(row, weights).reduce(0) { $0 + $1.0 * $1.1 } - target
      for i in weights.indices { gradient[i] += 2 * error * row[i] / Double(rows.count) }
    }
    steps += 1
    let rate = options.learningRate ?? options.optimizer.usualRate
    for i in weights.indices {
      let g = gradient[i] + options.weightDecay * weights[i]
      switch options.optimizer {
      case .sgd(let momentum, let nesterov):
        first[i] = momentum * first[i] + g
        weights[i] -= rate * (nesterov ? g + momentum * first[i] : first[i])
      case .adam(let beta1, let beta2, let epsilon):
        first[i] = beta1 * first[i] + (1 - beta1) * g
        second[i] = beta2 * second[i] + (1 - beta2) * g * g
        var (power1, power2) = (1.0, 1.0)
        for _ in 0..<steps { (power1, power2) = (power1 * beta1, power2 * beta2) }
        weights[i] -=
          rate * first[i] / (1 - power1)
          / ((second[i] / (1 - power2)).squareRoot() + epsilon)
      case .adadelta(let rho, let epsilon):
        first[i] = rho * first[i] + (1 - rho) * g * g
        let change =
          g * (second[i] + epsilon).squareRoot() / (first[i] + epsilon).squareRoot()
        second[i] = rho * second[i] + (1 - rho) * change * change
        weights[i] -= rate * change
      }
    }
  }
}

@Suite struct OptimizerTests {
  static let optimizers: [Optimizer] = [
    .sgd(momentum: 0), .sgd(momentum: 0.9), .sgd(momentum: 0.8, nesterov: true), .adam(),
    .adam(beta1: 0.5, beta2: 0.75, epsilon: 1e-3), .adadelta(), .adadelta(rho: 0.5, epsilon: 1e-4),
  ]

  @Test(arguments: optimizers, [0, 0.05])
  func rulesAreThoseOfTheNaiveOnes(optimizer: Optimizer, decay: Double) async throws {
    let inputs = 37
    let count = 30
    var random = Seeded(2)
    let rows = (0..<count).map { _ in random.numbers(inputs) + [1] }
    let targets = random.numbers(count)
    let start = random.numbers(inputs)
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", shape: ["N", .fixed(inputs)])]
    graph.constants["w"] = try Tensor(shape: [inputs, 1], elements: .float64(start))
    graph.constants["b"] = Tensor(.float64([0.25]))
    graph.nodes = [Node("Gemm", inputs: ["x", "w", "b"], outputs: ["y"])]
    graph.outputs = [Port("y", shape: nil)]
    var options = TrainingOptions()
    options.loss = .squaredError
    options.optimizer = optimizer
    options.weightDecay = decay
    options.batch = count
    options.epochs = 7
    options.plan.precision = .double
    let trainer = try Trainer(
      try Model(graph),
      LabelledExamples(
        inputs: [
          "x": try Tensor(
            shape: [count, inputs], elements: .float64(rows.flatMap { $0.dropLast() }))
        ], labels: try Tensor(shape: [count, 1], elements: .float64(targets))), options)
    let trained = try await trainer.trained()
    var reference = Reference(start + [0.25])
    for _ in 0..<options.epochs { reference.step(rows, targets, options) }
    let found =
      (trained.graph.constants["w"]?.doubles ?? []) + (trained.graph.constants["b"]?.doubles ?? [])
    for (value, expected) in zip(found, reference.weights) {
      #expect(abs(value - expected) < 1e-10 * max(1, abs(expected)))
    }
    #expect(found.count == inputs + 1)
    #expect(trained.parameterCount == inputs + 1)
  }
}
