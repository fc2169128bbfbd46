// Scores against enumeration, differences and each other.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import CoalitionShapley
import Glibc
import TestSupport
import Testing

@Suite struct ScoreTests {
  /// A convolutional network with a dead unit, a unit that nobody reads, and two that are the same.
  private func network() throws -> (
    coupling: UnitCoupling, inputs: [String: Tensor], labels: Tensor
  ) {
    var net = NetBuilder(input: [2, 6, 6])
    var x = net.relu(net.conv("x", 6, name: "c1"))
    x = net.relu(net.conv(net.pool(x), 5, name: "c2"))
    let output = net.dense(net.flatten(net.globalPool(x)), 3, name: "fc")
    var graph = net.finished(output)
    var weight = try #require(graph.constants["c1.w"]).floats
    var bias = try #require(graph.constants["c1.b"]).floats
    // Unit 1 is unit 0; unit 2 is never active.
    for index in 0..<18 {
      weight[18 + index] = weight[index]
      weight[36 + index] = 0
    }
    (bias[1], bias[2]) = (bias[0], -1)
    graph.constants["c1.w"] = Tensor(filling: [6, 2, 3, 3], with: .float32(weight))
    graph.constants["c1.b"] = Tensor(.float32(bias))
    var next = try #require(graph.constants["c2.w"]).floats
    // Nobody reads unit 3, and units 0 and 1 are read alike.
    for unit in 0..<5 {
      for tap in 0..<9 {
        next[(unit * 6 + 3) * 9 + tap] = 0
        next[(unit * 6 + 1) * 9 + tap] = next[unit * 6 * 9 + tap]
      }
    }
    graph.constants["c2.w"] = Tensor(filling: [5, 6, 3, 3], with: .float32(next))
    return (
      try UnitCoupling(try Model(graph)), ["x": net.rows(7)],
      Tensor(.int64([0, 2, 1, 1, 0, 2, 2]))
    )
  }

  private func scorer(
    _ metric: UnitMetric, _ change: (inout UnitScoreOptions) -> Void = { _ in }
  ) throws -> UnitScorer {
    let (coupling, inputs, labels) = try network()
    var options = UnitScoreOptions()
    options.metric = metric
    options.plan.precision = .double
    change(&options)
    return try UnitScorer(coupling, inputs: inputs, labels: labels, options)
  }

  @Test("A model with a single score shares out that one, without labels")
  func singleScore() async throws {
    var net = NetBuilder(input: [3])
    let hidden = net.relu(net.dense("x", 6, name: "h"))
    let output = net.dense(hidden, 1, name: "y")
    let model = try Model(net.finished(output))
    let inputs = ["x": net.rows(5)]
    for metric in [UnitMetric.shapley, .leaveOneOut] {
      var options = UnitScoreOptions()
      (options.metric, options.payoff) = (metric, .score)
      options.plan.precision = .double
      options.sampling.estimator = .exact
      let scores = try await UnitScorer(
        try UnitCoupling(model), inputs: inputs, options
      ).scores(layer: 0)
      // The tail is affine: both give each unit what it adds, which is the score less the bias.
      let outputs = try await model.scores(inputs, options.plan).doubles
      let bias = try #require(model.graph.constants["y.b"]).doubles[0]
      for (example, values) in (scores.examples ?? []).enumerated() {
        #expect(abs(values.reduce(0, +) - (outputs[example] - bias)) < 1e-9)
      }
      #expect(scores.examples?.count == 5 && scores.scores.contains { $0 != 0 })
    }
    var options = UnitScoreOptions()
    options.payoff = .accuracy
    let refused = #expect(throws: CoalitionError.self) {
      try UnitScorer(try UnitCoupling(model), inputs: inputs, options)
    }
    #expect(refused?.code == .unsupported)
  }

  @Test func efficiencyNullsAndSymmetry() async throws {
    let exact = try await scorer(.shapley) {
      $0.sampling.estimator = .exact
    }.scores(layer: 0)
    let sampled = try await scorer(.shapley) {
      $0.sampling.estimator = .permutation
      $0.sampling.samples = 3
    }.scores(layer: 0)
    let ends = try await losses()
    for (example, (lost, full)) in ends.enumerated() {
      for values in [exact, sampled] {
        let own = try #require(values.examples)[example]
        #expect(abs(own.reduce(0, +) - (lost - full)) < 1e-9)
        #expect(abs(own[2]) < 1e-12 && abs(own[3]) < 1e-12)
      }
      let own = try #require(exact.examples)[example]
      #expect(abs(own[0] - own[1]) < 1e-9)
      // Of every permutation, nothing.
      let drawn = try #require(sampled.examples)[example]
      #expect(drawn[2] == 0 && drawn[3] == 0)
    }
    #expect(exact.scores[0] != 0)
  }

  /// Per example the loss without the first layer and with it, in double precision, by hand.
  private func losses() async throws -> [(Double, Double)] {
    let (coupling, inputs, labels) = try network()
    var graph = coupling.model.graph
    let full = try await crossEntropies(graph, inputs, labels)
    for node in graph.nodes.indices where graph.nodes[node].operation == "MaxPool" {
      graph.constants["zero"] = Tensor(scalar: 0)
      graph.nodes.append(
        Node("Mul", inputs: [graph.nodes[node].inputs[0], "zero"], outputs: ["nothing"]))
      graph.nodes[node].inputs[0] = "nothing"
    }
    return Array(zip(try await crossEntropies(graph, inputs, labels), full))
  }

  private func crossEntropies(
    _ graph: Graph, _ inputs: [String: Tensor], _ labels: Tensor
  ) async throws -> [Double] {
    var options = PlanOptions()
    options.precision = .double
    let output = try await Plan(try Model(graph), options).run(inputs)
    let scores = try #require(output[graph.outputs[0].name]).doubles
    return try #require(labels.integers).enumerated().map { example, label in
      let own = scores[example * 3..<example * 3 + 3]
      return log(own.reduce(0) { $0 + exp($1) }) - scores[example * 3 + label]
    }
  }

  /// Gradients of the loss by differences: of the activations of one unit at a time.
  @Test func signedTaylorIsTheSlope() async throws {
    let (coupling, inputs, labels) = try network()
    let scores = try await scorer(.taylorSigned).scores(layer: 0)
    let absolute = try await scorer(.taylor).scores(layer: 0)
    let examples = try #require(scores.examples)
    let step = 1e-5
    for unit in 0..<6 {
      func losses(_ factor: Double) async throws -> [Double] {
        var graph = coupling.model.graph
        var factors = [Double](repeating: 1, count: 6)
        factors[unit] = factor
        graph.constants["factors"] = try Tensor(shape: [6, 1, 1], elements: .float64(factors))
        for node in graph.nodes.indices where graph.nodes[node].operation == "MaxPool" {
          graph.nodes.append(
            Node("Mul", inputs: [graph.nodes[node].inputs[0], "factors"], outputs: ["scaled"]))
          graph.nodes[node].inputs[0] = "scaled"
        }
        return try await crossEntropies(graph, inputs, labels)
      }
      // d loss / d factor = sum of g a.
      let (up, down) = (try await losses(1 + step), try await losses(1 - step))
      for example in 0..<7 {
        let slope = (up[example] - down[example]) / (2 * step)
        #expect(abs(examples[example][unit] + slope) < 1e-6)
      }
    }
    for (a, b) in zip(absolute.scores, scores.scores) { #expect(a >= abs(b) - 1e-12) }
    for (a, b) in zip(try #require(absolute.examples).joined(), examples.joined()) {
      #expect(a == abs(b))
    }
  }

  /// For a loss that is linear in the activations, signed Taylor and leave-one-out are the exact marginal contribution.
  @Test func linearLoss() async throws {
    func scores(_ metric: UnitMetric) async throws -> [Double] {
      try await scorer(metric) {
        $0.payoff = .score
        $0.sampling.estimator = .permutation
        $0.sampling.samples = 2
      }.scores(layer: 1).scores
    }
    let exact = try await scores(.leaveOneOut)
    expectClose(try await scores(.taylorSigned), exact, within: 1e-9)
    expectClose(try await scores(.shapley), exact, within: 1e-9)
  }

  /// Scores of examples do not depend on which others are there, and their means are the scores.
  @Test(arguments: UnitMetric.allCases.filter(\.isPerExample)) func batches(
    _ metric: UnitMetric
  ) async throws {
    let (coupling, inputs, labels) = try network()
    var options = UnitScoreOptions()
    options.metric = metric
    options.sampling.estimator = .permutation
    options.sampling.samples = 4
    let all = try await UnitScorer(coupling, inputs: inputs, labels: labels, options)
      .scores(layer: 0)
    let picked = [5, 1, 2]
    let rows = try #require(inputs["x"])
    let size = rows.count / 7
    let some = try Tensor(
      shape: [3] + rows.shape.dropFirst(),
      elements: .float32(picked.flatMap { rows.floats[$0 * size..<($0 + 1) * size] }))
    let own = Tensor(.int64(picked.map { Int64(labels.integers?[$0] ?? 0) }))
    let part = try await UnitScorer(coupling, inputs: ["x": some], labels: own, options)
      .scores(layer: 0)
    let examples = try #require(all.examples)
    let found = try #require(part.examples)
    #expect(found == picked.map { examples[$0] })
    for unit in 0..<6 {
      let mean = examples.reduce(0) { $0 + $1[unit] } / 7
      #expect(abs(all.scores[unit] - mean) < 1e-12)
      let squares = examples.reduce(0) { $0 + ($1[unit] - mean) * ($1[unit] - mean) }
      #expect(abs(all.dataErrors[unit] - (squares / 6 / 7).squareRoot()) < 1e-12)
    }
  }

  /// In single precision, sums of contributions take the place of passes of the whole tail; in double they do not.
  @Test(arguments: [
    (Architecture.vgg, "c2"), (.vgg, "c3"), (.vgg, "d1"), (.resnet, "a1"), (.resnet, "b1"),
    (.squeezenet, "squeeze1"), (.mobilenet, "pw1"), (.inception, "b1"), (.resnext, "in"),
    (.resnext, "out"), (.inception, "after"), (.perceptron, "d1"), (.sequence, "steps"),
    (.gatedTail, "c1"),
  ]) func sumsOfContributions(_ architecture: Architecture, _ name: String) async throws {
    let (graph, builder) = architecture.build()
    try await expectSums(graph, builder, name)
  }

  /// A product with the rows of maps that are as wide as there are channels reads one row, not all of an example.
  @Test func sumsOfRows() async throws {
    var net = NetBuilder(input: [3, 8, 8])
    var x = net.relu(net.conv("x", 8, name: "c"))
    x = net.node(
      "MatMul", [x, net.constant("rows", [8, 3], -0.6...0.6)], shape: [8, 8, 3], name: "rows")
    let output = net.dense(net.flatten(net.relu(x)), 5, name: "fc")
    let graph = net.finished(output)
    try await expectSums(graph, net, "c")
  }

  private func expectSums(
    _ graph: Graph, _ builder: NetBuilder, _ name: String
  ) async throws {
    let coupling = try UnitCoupling(try Model(graph))
    let layer = try coupling.layer(named: name)
    let classes = try await outputs(graph, builder.rows(1)).count
    func examples(_ precision: Precision, _ estimator: Estimator) async throws -> [Double] {
      var options = UnitScoreOptions()
      options.plan.precision = precision
      options.sampling.estimator = estimator
      options.sampling.samples = 5
      let labels = Tensor(.int64((0..<5).map { Int64($0 % classes) }))
      let scorer = try UnitScorer(
        coupling, inputs: ["x": builder.rows(5)], labels: labels, options)
      return Array(try #require(try await scorer.scores(layer: layer).examples).joined())
    }
    let single = try await examples(.single, .permutation)
    let double = try await examples(.double, .permutation)
    let size = double.map { abs($0) }.max() ?? 0
    #expect(size > 1e-4)
    expectClose(single, double, within: 1e-4 * size)
    // Toggled coalitions come from deltas, for both.
    expectClose(
      try await examples(.single, .toggle), try await examples(.double, .toggle),
      within: 1e-4 * size)
  }

  /// Labels are what the whole network says: it is always right, and without a layer it is not.
  @Test func accuracyAsPayoff() async throws {
    let (network, builder) = Architecture.vgg.build()
    let coupling = try UnitCoupling(try Model(network))
    let inputs = ["x": builder.rows(20)]
    let labels = try await coupling.model.predictions(inputs)
    var options = UnitScoreOptions()
    options.payoff = .accuracy
    let layer = try coupling.layer(named: "d1")
    let scores = try await UnitScorer(coupling, inputs: inputs, labels: labels, options)
      .scores(layer: layer)
    let examples = LabelledExamples(inputs: inputs, labels: labels)
    #expect(try await examples.measure(coupling.model).accuracy == 1)
    var graph = network
    let units = coupling.layers[layer].evaluation
    graph.constants["zero"] = Tensor(scalar: 0)
    for node in graph.nodes.indices {
      graph.nodes[node].inputs = graph.nodes[node].inputs.map { $0 == units ? "nothing" : $0 }
    }
    graph.nodes.append(Node("Mul", inputs: [units, "zero"], outputs: ["nothing"]))
    let none = try #require(try await examples.measure(try Model(graph)).accuracy)
    #expect(abs(scores.scores.reduce(0, +) - (1 - none)) < 1e-9)
    #expect(try #require(scores.examples).joined().contains { $0 != 0 })
  }

  /// Sampled values are the exact ones within their errors, and a tolerance holds.
  @Test(arguments: [Estimator.permutation, .toggle, .stratified, .kernel, .leverage])
  func samplers(_ estimator: Estimator) async throws {
    let exact = try await scorer(.shapley) {
      $0.sampling.estimator = .exact
    }.scores(layer: 0)
    let drawn = try await scorer(.shapley) {
      $0.plan.precision = .single
      $0.sampling.estimator = estimator
      $0.sampling.tolerance = 0.01
    }.scores(layer: 0)
    #expect(drawn.estimator == estimator)
    for (unit, score) in drawn.scores.enumerated() {
      #expect(abs(score - exact.scores[unit]) <= 5 * drawn.standardErrors[unit] + 1e-5)
    }
    // A dead unit and one that nobody reads get nothing from any of them.
    #expect(drawn.scores[2] == 0 && drawn.scores[3] == 0)
    #expect((drawn.examples ?? []).allSatisfy { $0[2] == 0 && $0[3] == 0 })
  }

  /// Of several outputs one is named, and scores are those of a model with that one alone.
  @Test func severalOutputs() async throws {
    let (graph, builder) = Architecture.vgg.build()
    var both = graph
    both.outputs.append(Port("d1.y", shape: nil))
    let inputs = ["x": builder.rows(3)]
    func scores(_ graph: Graph, _ output: String?) async throws -> [Double] {
      var options = UnitScoreOptions()
      (options.metric, options.output) = (.leaveOneOut, output)
      let coupling = try UnitCoupling(try Model(graph))
      return try await UnitScorer(
        coupling, inputs: inputs, labels: Tensor(.int64([0, 1, 2])), options
      ).scores(layer: try coupling.layer(named: "c2")).scores
    }
    #expect(try await scores(both, graph.outputs[0].name) == scores(graph, nil))
    for wrong in [nil, "d7.y"] {
      let error = await failure { _ = try await scores(both, wrong) }
      #expect(error.code == .usage && (error.expected ?? "").contains("d1.y"))
    }
  }

  /// Few units are enumerated; of more, whatever is chosen is near the exact values.
  @Test func chosenEstimator() async throws {
    let few = try await scorer(.shapley).scores(layer: 0)
    #expect(few.estimator == .exact && few.standardErrors.allSatisfy { $0 == 0 })
    let (graph, builder) = Architecture.vgg.build()
    let coupling = try UnitCoupling(try Model(graph))
    let layer = try coupling.layer(named: "d1")
    func scores(_ estimator: Estimator) async throws -> LayerScores {
      var options = UnitScoreOptions()
      options.sampling.estimator = estimator
      return try await UnitScorer(
        coupling, inputs: ["x": builder.rows(6)], labels: Tensor(.int64([0, 1, 2, 3, 4, 0])),
        options
      ).scores(layer: layer)
    }
    let exact = try await scores(.exact)
    let chosen = try await scores(.auto)
    #expect([.momentGradient, .toggle].contains(chosen.estimator))
    let size = (exact.scores.reduce(0) { $0 + $1 * $1 } / 14).squareRoot()
    for (a, b) in zip(chosen.scores, exact.scores) { #expect(abs(a - b) < 0.3 * size) }
  }

  /// Untrained networks do better on the examples without the units that harm (paper 3, its section on untrained networks).
  @Test func negativeUnitsHarm() async throws {
    var better = 0
    for seed in 1...10 {
      var net = NetBuilder(input: [12], seed: seed)
      let hidden = net.relu(net.dense("x", 16, name: "hidden"))
      let output = net.dense(hidden, 3, name: "out")
      let coupling = try UnitCoupling(try Model(net.finished(output)))
      // Three classes around centres of their own.
      var random = Seeded(seed)
      let centres = (0..<3).map { _ in random.numbers(12, -2...2) }
      let rows = (0..<60).flatMap { row in
        zip(centres[row % 3], random.numbers(12)).map { Float($0 + $1) }
      }
      let examples = LabelledExamples(
        inputs: ["x": try Tensor(shape: [60, 12], elements: .float32(rows))],
        labels: Tensor(.int64((0..<60).map { Int64($0 % 3) })))
      var options = UnitScoreOptions()
      options.sampling.estimator = .permutation
      options.sampling.samples = 100
      let scores = try await UnitScorer(
        coupling, inputs: examples.inputs, labels: examples.labels, options
      ).scores(layer: 0)
      let negative = try UnitRanking(coupling, scores: [0: scores.scores]).negative()
      guard !negative.isEmpty else { continue }
      let whole = try await examples.measure(coupling.model).loss
      let smaller = try Model(try coupling.removing(negative))
      if try await examples.measure(smaller).loss < whole { better += 1 }
    }
    #expect(better >= 8, "\(better) of 10")
  }

  /// Rules look at the mean over the examples: fewer samples than when every example has to keep them.
  @Test func rules() async throws {
    let exact = try await scorer(.shapley) {
      $0.sampling.estimator = .exact
    }.scores(layer: 0)
    func scores(_ change: @escaping (inout UnitScoreOptions) -> Void) async throws -> LayerScores {
      try await scorer(.shapley) {
        $0.sampling.estimator = .permutation
        change(&$0)
      }.scores(layer: 0)
    }
    // Units 2 and 3 add nothing; the others lie apart.
    let order = exact.scores.indices.sorted { exact.scores[$0] < exact.scores[$1] }
    let split = try #require(
      (1..<5).max {
        exact.scores[order[$0]] - exact.scores[order[$0 - 1]]
          < exact.scores[order[$1]] - exact.scores[order[$1 - 1]]
      })
    let lowest = try await scores { $0.sampling.lowest = split }
    #expect(lowest.stop == .lowest)
    let found = lowest.scores.indices.sorted { lowest.scores[$0] < lowest.scores[$1] }
    #expect(Set(found.prefix(split)) == Set(order.prefix(split)))
    let mean = try await scores { $0.sampling.tolerance = 0.02 }
    #expect(mean.stop == .tolerance)
    let range = (mean.scores.max() ?? 0) - (mean.scores.min() ?? 0)
    #expect((mean.standardErrors.max() ?? 1) <= 0.02 * range)
    let each = try await scores {
      $0.sampling.tolerance = 0.02
      $0.aggregation = .meanAndDeviations
    }
    #expect(each.evaluations > mean.evaluations)
    let capped = try await scores { $0.sampling.tolerance = 1e-9 }
    #expect(capped.stop == .evaluations && capped.evaluations <= 2000 * 6)
    await #expect(throws: CoalitionError.self) {
      try await scores {
        $0.sampling.lowest = 2
        $0.aggregation = .meanAndDeviations
      }
    }
  }

  @Test func scales() async throws {
    let (graph, _) = Architecture.vgg.build()
    let coupling = try UnitCoupling(try Model(graph))
    var options = UnitScoreOptions()
    options.metric = .scale
    let scorer = try UnitScorer(coupling, options)
    let expected = try #require(graph.constants["c1.bn.scale"]).doubles
    #expect(try await scorer.scores(layer: 0).scores == expected)
    let error = await failure { _ = try await scorer.scores(layer: 3) }
    #expect(error.code == .unsupported && error.node == "d1")
  }

  @Test func random() async throws {
    func scores(_ seed: UInt64, layer: Int) async throws -> [Double] {
      try await scorer(.random) { $0.seed = seed }.scores(layer: layer).scores
    }
    let own = try await scores(3, layer: 0)
    #expect(own.allSatisfy { (0..<1).contains($0) } && Set(own).count == 6)
    #expect(try await scores(3, layer: 0) == own)
    #expect(try await scores(4, layer: 0) != own)
    #expect(Array(own.prefix(5)) != (try await scores(3, layer: 1)))
  }

  // MARK: Refusals

  @Test func labels() async throws {
    let (coupling, inputs, _) = try network()
    func error(_ labels: Tensor?, loss: Loss = .crossEntropy) async -> CoalitionError {
      await failure {
        var options = UnitScoreOptions()
        options.loss = loss
        _ = try UnitScorer(coupling, inputs: inputs, labels: labels, options)
      }
    }
    let high = await error(Tensor(.int64([0, 1, 3, 0, 0, 0, 0])))
    #expect(high.code == .invalidData && high.message.contains("example 2"))
    #expect(await error(Tensor(.float32([0, 1, 0.5, 0, 0, 0, 0]))).code == .invalidData)
    #expect(await error(Tensor(.int64([0, 1]))).code == .shapeMismatch)
    #expect(await error(nil).code == .usage)
    let model = try MaxModel([1, 0.5, 0.5, 0])
    let single = await failure {
      _ = try UnitScorer(model.coupling, inputs: model.inputs, labels: model.labels)
    }
    #expect(single.code == .unsupported)
  }

  @Test func limits() async throws {
    let scorer = try scorer(.shapley)
    // The scores themselves are no units.
    #expect(await failure { _ = try await scorer.scores(layer: 2) }.code == .usage)
    var options = UnitScoreOptions()
    options.metric = .taylor
    let (coupling, _, _) = try network()
    #expect(await failure { _ = try UnitScorer(coupling, options) }.code == .usage)
  }
}
