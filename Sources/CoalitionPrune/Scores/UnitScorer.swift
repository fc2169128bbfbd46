// Scores of the units of layers, by any metric.

public import CoalitionBase
import CoalitionExplain
public import CoalitionNet
public import CoalitionShapley

/// How units are scored.
public struct UnitScoreOptions: Sendable {
  public var metric = UnitMetric.shapley
  public var loss = Loss.crossEntropy
  /// Which of the model's outputs has the scores that the loss looks at; nil: the only one.
  public var output: String?
  /// What the Shapley value and leave-one-out share out.
  public var payoff = UnitPayoff.loss
  public var aggregation = UnitAggregation.mean
  /// Score units at the layer's own output instead of behind its batch normalisation and activation.
  public var atOutput = false
  /// Of Shapley values: its estimator, samples, tolerance and seed. Coalitions are the same for all examples. Rules that look
  /// at results look at the mean over the examples, or, where deviations between them count, at every example; `lowest`
  /// needs the mean and is at most one less than the layer's units. Estimators by moments take no samples and leave the
  /// numbers of them aside. `auto` without a rule for its end: docs/Methods.md, "Scores of hidden units".
  public var sampling: ShapleyOptions
  public var seed: UInt64 = 0
  public var plan = PlanOptions()
  public var run = RunOptions()

  public init() {
    sampling = ShapleyOptions()
    sampling.antithetic = false
  }

  /// Permutations, when nothing is said.
  public static let defaultSamples = 20
  /// Coalitions in which `auto` toggles every unit.
  public static let defaultToggles = 128
  /// Units of which all coalitions are evaluated.
  public static let exactLimit = 20
}

/// Scores units of a model on examples.
public struct UnitScorer: Sendable {
  public let coupling: UnitCoupling
  public let options: UnitScoreOptions
  package let inputs: [String: Tensor]
  private let labels: UnitLabels?
  private let payoff: PayoffGraph?

  /// - Parameters:
  ///   - inputs: rows of the model's inputs; none for metrics of the weights alone.
  ///   - labels: as `UnitLabels`.
  /// - Throws: `usage` for what the metric needs and is not given, and what inputs and labels throw.
  public init(
    _ coupling: UnitCoupling, inputs: [String: Tensor] = [:], labels: Tensor? = nil,
    _ options: UnitScoreOptions = UnitScoreOptions()
  ) throws(CoalitionError) {
    self.coupling = coupling
    self.options = options
    guard options.metric.usesExamples else {
      (self.inputs, self.labels, payoff) = ([:], nil, nil)
      return
    }
    let plan = try Plan(coupling.model, options.plan)
    guard !inputs.isEmpty else {
      throw CoalitionError(
        .usage, "the metric looks at examples: give inputs", node: options.metric.rawValue)
    }
    let examples = try plan.check(inputs)
    var rows = inputs
    for input in plan.inputs where inputs[input.name]?.shape == input.shape {
      rows[input.name] = try inputs[input.name]?.reshaped(to: [1] + input.shape)
    }
    self.inputs = rows
    guard options.metric.usesLabels else {
      (self.labels, payoff) = (nil, nil)
      return
    }
    let graph = try PayoffGraph(
      coupling.model, coupling.analysis, output: options.output, loss: options.loss,
      payoff: options.payoff)
    payoff = graph
    let isSingle = options.payoff == .score && graph.scoreCount == 1
    let ones = isSingle ? Tensor(.float32([Float](repeating: 1, count: examples))) : nil
    guard let labels = ones ?? labels else {
      throw CoalitionError(
        .usage, "the metric looks at the labels: give some", node: options.metric.rawValue)
    }
    let known = try UnitLabels(
      labels, examples: examples, scores: graph.scoreCount, for: options.loss)
    guard options.payoff == .loss || isSingle || known.classes != nil else {
      throw CoalitionError(
        .usage, "accuracy and score need the number of a class per example",
        expected: "[\(examples)]", found: "\(labels.shape)")
    }
    if options.payoff == .accuracy, options.metric.usesGradients {
      throw CoalitionError(
        .usage, "accuracy has no gradient", node: options.metric.rawValue,
        expected: "the loss or the score as payoff")
    }
    self.labels = known
  }

  /// Whether the units of a layer lead to what the metric looks at: in a model of several outputs those of one branch may
  /// not lead to the scores of another.
  public func leadsToScores(layer index: Int) -> Bool {
    guard let payoff else { return true }
    let output = coupling.layers[index].output
    return payoff.graph.withoutDeadNodes().nodes.contains { $0.outputs.contains(output) }
  }

  /// The scores of a layer's units.
  public func scores(layer index: Int) async throws(CoalitionError) -> LayerScores {
    guard coupling.layers.indices.contains(index) else {
      throw CoalitionError(
        .usage, "there is no such layer", expected: "0 to \(coupling.layers.count - 1)",
        found: "\(index)")
    }
    let layer = coupling.layers[index]
    guard leadsToScores(layer: index) else {
      throw CoalitionError(
        .usage, "the units do not lead to the scores that the loss looks at", node: layer.name,
        expected: "a layer in front of '\(payoff?.scores ?? "")'")
    }
    do throws(CoalitionError) {
      switch options.metric {
      case .shapley: return try await shapley(layer)
      case .leaveOneOut: return try await leaveOneOut(layer)
      case .activationCount: return try await activationCounts(layer)
      case .reconstruction: return try await reconstruction(layer, index: index)
      case .sensitivity, .taylor, .taylorSigned, .fisher: return try await gradients(layer)
      case .random, .weight, .weightSquared, .scale, .geometricMedian, .adaptiveMagnitude:
        let scores = try WeightScores(layer, coupling)
          .scores(options.metric, seed: options.seed, index: index)
        return LayerScores(layer, scores)
      }
    } catch {
      throw error.at(layer.name)
    }
  }

  private func place(_ layer: HiddenLayer) -> String {
    options.atOutput ? layer.output : layer.evaluation
  }

  /// - Parameter isGame: units come and go, so that their zeros may as well be behind what keeps zeros.
  package func tail(
    _ layer: HiddenLayer, isGame: Bool = true
  ) throws(CoalitionError) -> (tail: LayerTail, targets: Tensor) {
    guard let payoff, let labels else {
      throw CoalitionError(.internalFault, "the payoff was not prepared", node: layer.name)
    }
    guard place(layer) != payoff.scores else {
      throw CoalitionError(.usage, "the units of the layer are the scores themselves")
    }
    var value = place(layer)
    if isGame {
      value = HiddenLayer.lastSeparate(
        value, before: payoff.scores, in: coupling.analysis)
    }
    let tail = try LayerTail(
      layer, at: value, payoff, coupling.analysis, coupling.batching, options.plan)
    return (tail, labels.targets)
  }

  // MARK: Games

  /// What the payoff loses without each unit, all others being there.
  private func leaveOneOut(_ layer: HiddenLayer) async throws(CoalitionError) -> LayerScores {
    let (tail, targets) = try tail(layer)
    var coalitions = Coalitions(playerCount: layer.unitCount)
    coalitions.appendFull()
    for unit in 0..<layer.unitCount { coalitions[coalitions.appendFull(), unit] = false }
    let elements = tail.plan.inputs.reduce(0) { $0 + $1.count }
    let examples = try await slices(elements: elements) { picked throws(CoalitionError) in
      let game = try tail.game(
        try await tail.rows(try rows(picked), try targets.rows(picked), options.run))
      let values = try await game.values(coalitions, options.run)
      return picked.indices.map { example in
        let row = values[example * coalitions.count..<(example + 1) * coalitions.count]
        return row.dropFirst().map { (row.first ?? 0) - $0 }
      }
    }
    return LayerScores(
      layer, examples: examples, options.aggregation, evaluations: coalitions.count)
  }

  // MARK: Sums over positions

  /// Examples of one call: bounds the memory of activations and gradients.
  private static let bytesPerCall = 256 << 20

  /// Runs `body` on slices of the examples.
  private func slices(
    elements: Int, _ body: (_ rows: [Int]) async throws(CoalitionError) -> [[Double]]
  ) async throws(CoalitionError) -> [[Double]] {
    let examples = inputs.values.first?.shape.first ?? 0
    let size = max(1, min(examples, Self.bytesPerCall / max(1, elements * 8)))
    var result: [[Double]] = []
    for first in stride(from: 0, to: examples, by: size) {
      result += try await body(Array(first..<min(first + size, examples)))
    }
    return result
  }

  private func rows(_ picked: [Int]) throws(CoalitionError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, tensor) in inputs { result[name] = try tensor.rows(picked) }
    return result
  }

  private func activationCounts(
    _ layer: HiddenLayer
  ) async throws(CoalitionError) -> LayerScores {
    let axis = coupling.analysis.axis(layer.axis, of: place(layer))
    let model = ModelOnExamples(
      model: coupling.model, inputs: inputs, plan: options.plan, run: options.run)
    var examples: [[Double]] = []
    try await model.forEachSlice(of: [place(layer)]) { slice, values throws(CoalitionError) in
      let activations = values[0].doubles
      let count = activations.count / max(slice.count, 1)
      let inner = values[0].shape.dropFirst(axis + 2).reduce(1, *)
      for example in slice.indices {
        let start = (example - slice.startIndex) * count
        var counts = [Double](repeating: 0, count: layer.unitCount)
        for place in 0..<count where activations[start + place] > 0 {
          counts[place / inner % layer.unitCount] += 1
        }
        examples.append(counts)
      }
    }
    return LayerScores(layer, examples: examples, options.aggregation, evaluations: 1)
  }

  /// Metrics of the activations a and the gradients g of the loss at them; the reverse pass gives -g, the gradient of
  /// the payoff.
  private func gradients(_ layer: HiddenLayer) async throws(CoalitionError) -> LayerScores {
    let (tail, targets) = try tail(layer, isGame: false)
    let reverse = try ReversePlan(
      tail.cut.model,
      ReverseRequest(
        target: PayoffGraph.payoff, sources: [tail.units], rules: ReverseRules(), product: .signal),
      tail.plan.options)
    guard let source = reverse.sources.first else {
      throw CoalitionError(.internalFault, "no gradient reaches the units", node: layer.name)
    }
    let inner = source.shape[(tail.axis + 1)...].reduce(1, *)
    let metric = options.metric
    let examples = try await slices(elements: source.count) { picked throws(CoalitionError) in
      let rows = try await tail.rows(try rows(picked), try targets.rows(picked), options.run)
      var work = ReversePlan.Work(examples: picked.count)
      work.inputs = rows
      work.seeds = [try Tensor(shape: [1, 1], elements: .float64([1]))]
      work.seedOf = [Int32](repeating: 0, count: picked.count)
      let outcome = try await reverse.run(work, options.run)
      let gains = outcome.results.first?.first?.doubles ?? []
      let activations = rows[tail.units]?.doubles ?? []
      return picked.indices.map { example in
        var sums = [Double](repeating: 0, count: layer.unitCount)
        for place in 0..<source.count {
          let element = example * source.count + place
          let unit = place / inner % layer.unitCount
          sums[unit] +=
            metric == .sensitivity ? abs(gains[element]) : gains[element] * activations[element]
        }
        switch metric {
        case .taylor: return sums.map { abs($0) }
        case .fisher: return sums.map { $0 * $0 / 2 }
        default: return sums
        }
      }
    }
    return LayerScores(layer, examples: examples, options.aggregation, evaluations: 1)
  }
}
