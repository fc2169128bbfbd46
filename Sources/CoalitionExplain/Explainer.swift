// Explainer: a model, the scores that are explained, and where attributions go.

public import CoalitionBase
public import CoalitionNet
import Synchronization

/// What is explained.
public struct ExplainerOptions: Sendable {
  /// The value that holds the scores; nil: the output, before a final softmax or sigmoid.
  public var scores: String?
  /// Explain the output itself, also behind a softmax.
  public var afterSoftmax = false
  /// Inner values and inputs that attributions go to, and to nothing else; none: the inputs, or the embeddings of inputs
  /// that are whole numbers.
  public var sources: [String] = []
  public var plan = PlanOptions()

  public init() {}
}

/// A model made ready to be explained. Immutable and safe to share; programs are made when a method first needs them.
public final class Explainer: Sendable {
  public let model: Model
  public let options: ExplainerOptions
  /// The value that holds the scores.
  public let scores: String
  /// Whether attributions are of embeddings, whose elements belong to tokens together.
  public let explainsEmbeddings: Bool
  package let cut: CutModel
  package let forward: Plan
  private let plans = Mutex<[ReverseRequest: ReversePlan]>([:])

  /// - Throws: `CoalitionError` for names that the model does not have and for operators that are not supported.
  public init(
    _ model: Model, _ options: ExplainerOptions = ExplainerOptions()
  ) throws(CoalitionError) {
    self.model = model
    self.options = options
    if let name = options.scores {
      scores = name
    } else {
      scores = try model.scoreTensor(afterSoftmax: options.afterSoftmax)
    }
    let embeddings = options.sources.isEmpty ? model.embeddings() : []
    explainsEmbeddings = !embeddings.isEmpty
    cut = try CutModel(
      model, at: options.sources.isEmpty ? embeddings : options.sources, target: scores,
      options.plan)
    var planOptions = options.plan
    planOptions.outputs = [scores]
    if cut.front != nil { planOptions.inputShapes = [:] }
    forward = try Plan(cut.model, planOptions)
  }

  /// Attributions of the inputs' elements.
  /// - Parameters:
  ///   - inputs: per input of the model [N, one example's shape]; the axis of examples may be left out for one.
  ///   - baselines: per input; those that are not named have the zero baseline.
  ///   - ledger: whether to keep the residual of every node.
  public func explain(
    _ inputs: [String: Tensor], by method: GradientMethod, target: Target = .predicted,
    baselines: [String: Baseline] = [:], ledger: Bool = false, _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Explanation {
    if case .epsilonLRP(let epsilon) = method, !(epsilon > 0 && epsilon.isFinite) {
      throw CoalitionError(.usage, "epsilon must be above 0 and finite", found: "\(epsilon)")
    }
    if case .layerwiseRelevance(let book) = method { try book.check(cut.model.graph) }
    let rows = try await rows(of: inputs, run)
    let examples = rows.values.first?.shape[0] ?? 0
    let (weights, outputs) = try await scoreWeights(target, rows, examples: examples, run)
    try checkNames(of: baselines)
    var references = BaselineRows()
    if method.usesBaseline { references = try await baselineRows(baselines, run) }
    let work = GradientWork(
      explainer: self, method: method, rows: rows, examples: examples, weights: weights,
      knownScores: outputs, baselines: references, keepsLedger: ledger, run: run)
    return try await work.explanation()
  }

  /// The weights that a target gives to the scores, and the scores where the target looks at them.
  func scoreWeights(
    _ target: Target, _ rows: [String: Tensor], examples: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> (weights: ScoreWeights, outputs: Tensor?) {
    var outputs: Tensor?
    if target == .predicted { outputs = try await forward.run(rows, run)[scores] }
    do throws(CoalitionError) {
      let weights = try ScoreWeights(
        target, shape: scoreShape, examples: examples, scores: outputs)
      return (weights, outputs)
    } catch {
      throw error.at(scores)
    }
  }

  // MARK: Rows

  /// The inputs behind the cut, each [N, shape].
  func rows(
    of inputs: [String: Tensor], _ run: RunOptions
  ) async throws(CoalitionError) -> [String: Tensor] {
    var rows = try await cut.inputs(inputs, run)
    for input in forward.inputs {
      guard let tensor = rows[input.name] else {
        throw CoalitionError(.usage, "the input is not given", node: input.name)
      }
      if tensor.shape == input.shape {
        rows[input.name] = try tensor.reshaped(to: [1] + input.shape)
      }
    }
    // The plan's own checks: names, shapes, numbers of examples. That numbers are finite, the engine sees.
    try forward.check(rows)
    return rows
  }

  // MARK: Programs

  /// What a method asks of a program, for attributions of the sources.
  func request(_ method: GradientMethod, seeds: Int = 1) -> ReverseRequest {
    var request = method.request(target: scores, seeds: seeds, model: cut.model)
    if !options.sources.isEmpty { request.sources = options.sources }
    return request
  }

  func plan(_ request: ReverseRequest) throws(CoalitionError) -> ReversePlan {
    if let plan = plans.withLock({ $0[request] }) { return plan }
    var planOptions = options.plan
    if cut.front != nil { planOptions.inputShapes = [:] }
    let plan = try ReversePlan(cut.model, request, planOptions)
    return plans.withLock { plans in
      if let other = plans[request] { return other }
      plans[request] = plan
      return plan
    }
  }
}
