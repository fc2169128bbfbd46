// The training loop.

public import CoalitionBase
public import CoalitionNet
public import CoalitionPrune

/// A model with examples to train it on.
///
///     let trainer = try Trainer(model, LabelledExamples(inputs: images, labels: labels))
///     let trained = try await trainer.trained()
///     try ONNX.write(trained.graph, to: "trained.onnx")
///
/// All weights, biases, scales, slopes and tables of the model are trained; what it computes from its inputs before the
/// first of them stays as it is. Batch normalisations take their statistics from the batch and remember them; dropouts
/// drop. The same options give the same bytes for any number of threads.
public struct Trainer: Sendable {
  public let model: Model
  public let examples: LabelledExamples
  /// Examples that are only measured.
  public let validation: LabelledExamples?
  public private(set) var options: TrainingOptions

  private let base: Graph
  private let payoff: PayoffGraph
  private let exampleCount: Int
  /// Over the examples that are measured: those of the validation, or without any those that are trained on.
  private let constantLoss: Double
  private let rows: [String: TrainingRows]

  /// - Parameter examples: inputs and labels; their own options and loss are not used.
  /// - Throws: what the model, inputs and labels do not allow.
  public init(
    _ model: Model, _ examples: LabelledExamples, validation: LabelledExamples? = nil,
    _ options: TrainingOptions = TrainingOptions()
  ) throws(CoalitionError) {
    try options.check()
    self.model = model
    self.examples = examples
    self.validation = validation
    self.options = options
    base = model.graph.preparedForTraining()
    let prepared = try model.rebuilt(base)
    let plan = try Plan(prepared, options.plan)
    exampleCount = try plan.check(examples.inputs)
    let analysis = try prepared.analysed(
      options.plan.inputShapes, memoryLimit: options.plan.memoryLimit
    ).analysis
    payoff = try PayoffGraph(
      prepared, analysis, output: options.output, loss: options.loss, payoff: .loss)
    let labels = try UnitLabels(
      examples.labels, examples: exampleCount, scores: payoff.scoreCount, for: options.loss)
    let constant = ConstantGuess(labels.targets, options.loss)
    // Looked at now, and not after the first epoch.
    if let validation {
      let measured = try UnitLabels(
        validation.labels, examples: try plan.check(validation.inputs), scores: payoff.scoreCount,
        for: options.loss, name: "validation labels")
      constantLoss = constant.loss(of: measured.targets)
    } else {
      constantLoss = constant.loss(of: labels.targets)
    }
    guard exampleCount <= Int(Int32.max) else {
      throw CoalitionError(
        .limitExceeded, "there are too many examples", expected: "at most \(Int32.max)",
        found: "\(exampleCount)")
    }
    var rows: [String: TrainingRows] = [:]
    for input in plan.inputs {
      guard let tensor = examples.inputs[input.name] else { continue }
      rows[input.name] = TrainingRows(tensor)
    }
    rows[PayoffGraph.targets] = try Self.targets(labels, payoff.scoreCount)
    self.rows = rows
  }

  /// Classes take their rows from a unit matrix.
  private static func targets(
    _ labels: UnitLabels, _ scores: Int
  ) throws(CoalitionError) -> TrainingRows {
    guard let classes = labels.classes else { return TrainingRows(labels.targets) }
    let unit = (0..<scores * scores).map { Float($0 / scores == $0 % scores ? 1 : 0) }
    return TrainingRows(
      try Tensor(shape: [scores, scores], elements: .float32(unit)),
      rowOf: classes.map { Int32($0) })
  }

  /// The same training, run in another way.
  public func running(_ run: RunOptions) -> Trainer {
    var copy = self
    copy.options.run = run
    return copy
  }

  /// Examples that are gone through in all.
  public var totalExamples: Int { exampleCount * options.epochs }

  /// The parameters at the start, ready for batches.
  package func session() throws(CoalitionError) -> TrainingSession {
    try TrainingSession(
      try model.rebuilt(payoff.graph), payoff: PayoffGraph.payoff, rows: rows,
      batch: min(options.batch, exampleCount), rule: options.rule, options.plan, options.run)
  }

  /// Trains.
  /// - Parameter report: called with the model as it came, and after each epoch.
  /// - Throws: `notFinite` when the loss or a weight no longer is and no epoch with a validation loss had ended,
  ///   `memoryLimit`, `cancelled` when the task is.
  public func trained(
    report: @Sendable (TrainingEpoch) -> Void = { _ in }
  ) async throws(CoalitionError) -> TrainedModel {
    let session = try session()
    let start = try await measureStart()
    var history = [start]
    report(start)
    var best = start.validationLoss.map { (epoch: 0, loss: $0, graph: base) }
    var stoppedEarly = false
    var divergence: CoalitionError?
    for epoch in 1...options.epochs {
      let done: TrainingEpoch
      do throws(CoalitionError) {
        let loss = try await run(session, epoch: epoch)
        var measured: (loss: Double, accuracy: Double?)?
        if let validation {
          let graph = try graph(session)
          let found = try await measure(graph, validation)
          if found.loss < best?.loss ?? .infinity { best = (epoch, found.loss, graph) }
          measured = found
        }
        done = TrainingEpoch(
          epoch: epoch, loss: loss, validationLoss: measured?.loss,
          validationAccuracy: measured?.accuracy)
      } catch {
        if error.code == .cancelled { throw cancelled(in: epoch) }
        guard error.code == .notFinite, best != nil, epoch > 1 else { throw error }
        divergence = error
        break
      }
      history.append(done)
      report(done)
      if let patience = options.patience, let best, epoch - best.epoch >= patience {
        stoppedEarly = epoch < options.epochs
        break
      }
    }
    let last: Graph
    var loss: Double
    if let best {
      (last, loss) = (best.graph, best.loss)
    } else {
      (last, loss) = (try graph(session), history[history.count - 1].loss)
      // What batches found may lie behind by an epoch, and dropouts add to it: before a model is called useless or worse
      // than it came it is measured itself.
      if loss >= constantLoss || loss > start.loss { loss = try await measure(last, examples).loss }
    }
    return TrainedModel(
      graph: last, history: history,
      epoch: best?.epoch ?? options.epochs, stoppedEarly: stoppedEarly, loss: loss,
      constantLoss: constantLoss, divergence: divergence,
      parameterCount: session.parameterCount)
  }

  /// The model as it came, as epoch 0.
  private func measureStart() async throws(CoalitionError) -> TrainingEpoch {
    do throws(CoalitionError) {
      var measured: (loss: Double, accuracy: Double?)?
      if let validation { measured = try await measure(base, validation) }
      return TrainingEpoch(
        epoch: 0, loss: try await measure(base, examples).loss, validationLoss: measured?.loss,
        validationAccuracy: measured?.accuracy)
    } catch {
      guard error.code == .cancelled else { throw error }
      throw cancelled(in: 1)
    }
  }

  private func cancelled(in epoch: Int) -> CoalitionError {
    let place =
      epoch == 1
      ? "before epoch 1 of \(options.epochs) had ended"
      : "after epoch \(epoch - 1) of \(options.epochs)"
    return CoalitionError(.cancelled, "cancelled \(place)")
  }

  /// One epoch: the mean loss of its examples.
  package func run(
    _ session: TrainingSession, epoch: Int
  ) async throws(CoalitionError) -> Double {
    var order = Array(0..<exampleCount)
    var random = CounterRandom(
      seed: options.seed, purpose: .exampleOrder, index: UInt64(epoch))
    random.shuffle(&order)
    let batches = stride(from: 0, to: exampleCount, by: options.batch).map { first in
      order[first..<min(first + options.batch, exampleCount)].map { Int32($0) }
    }
    // Some batches at a time, so that others get to the engine as well.
    let together = 32
    var sum = 0.0
    for first in stride(from: 0, to: batches.count, by: together) {
      let part = Array(batches[first..<min(first + together, batches.count)])
      let losses = try await session.train(
        on: part, rule: options.rule, seed: options.seed, round: epoch)
      for (batch, loss) in zip(part, losses) { sum += loss * Double(batch.count) }
    }
    return sum / Double(exampleCount)
  }

  /// The model with the parameters as they are.
  /// - Throws: `notFinite` when one of them is not: after the last step no loss would tell.
  private func graph(_ session: TrainingSession) throws(CoalitionError) -> Graph {
    var graph = base
    for (name, tensor) in session.constants().sorted(by: { $0.key < $1.key }) {
      guard let old = graph.constants[name] else { continue }
      guard tensor.firstNonFinite == nil else {
        throw CoalitionError(
          .notFinite, "a weight is no longer finite: a smaller learning rate may help", node: name)
      }
      graph.constants[name] = try tensor.reshaped(to: old.shape).converted(to: old.elementType)
    }
    return graph
  }

  /// The mean loss and accuracy of a model in the form that it is written in: dropouts drop nothing.
  /// - Throws: `notFinite` when the loss is not.
  private func measure(
    _ graph: Graph, _ measured: LabelledExamples
  ) async throws(CoalitionError) -> (loss: Double, accuracy: Double?) {
    var examples = LabelledExamples(
      inputs: measured.inputs, labels: measured.labels, loss: options.loss)
    examples.output = options.output
    examples.plan = options.plan
    examples.run = options.run
    // What is measured does not count as progress.
    examples.run.progress = nil
    let found = try await examples.measure(try model.rebuilt(graph))
    guard found.loss.isFinite else {
      throw CoalitionError(
        .notFinite,
        graph == base
          ? "the loss is not finite before the first step"
          : "the loss is no longer finite: a smaller learning rate may help",
        found: "\(found.loss)")
    }
    return found
  }
}

extension LabelledExamples {
  /// A share of the examples, drawn at random, and the others.
  /// - Throws: `usage` when either would be none.
  public func split(
    share: Double, seed: UInt64 = 0
  ) throws(CoalitionError) -> (part: LabelledExamples, rest: LabelledExamples) {
    let count = labels.shape.first ?? 0
    for (name, tensor) in inputs where tensor.shape.first != count {
      throw CoalitionError(
        .shapeMismatch, "there must be one label per example", node: name,
        expected: "\(tensor.shape.first ?? 0)", found: "\(count)")
    }
    let size = Int((Double(count) * share).rounded())
    guard size > 0, size < count else {
      throw CoalitionError(
        .usage, "the share of examples leaves none on one side",
        expected: "more than none and less than all of \(count)", found: "\(size)")
    }
    var order = Array(0..<count)
    var random = CounterRandom(seed: seed, purpose: .validationSplit, index: 0)
    random.shuffle(&order)
    return (
      try picked(order[..<size].sorted()), try picked(order[size...].sorted())
    )
  }

  private func picked(_ places: [Int]) throws(CoalitionError) -> LabelledExamples {
    var rows: [String: Tensor] = [:]
    for (name, tensor) in inputs { rows[name] = try tensor.rows(places) }
    var part = LabelledExamples(inputs: rows, labels: try labels.rows(places), loss: loss)
    (part.output, part.plan, part.run) = (output, plan, run)
    return part
  }
}
