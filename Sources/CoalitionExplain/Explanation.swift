// What an explaining method returns.

public import CoalitionBase

/// Attributions of some examples with what they should add up to.
public struct Explanation: Sendable {
  /// Per input [N, (T,) shape of one example], in the plan's precision or better; T only when all scores are
  /// explained.
  public var attributions: [String: Tensor]
  /// The explained score: [N, (T)].
  public var output: Tensor
  /// The score at the baseline, averaged over several: nil for methods without one.
  public var baselineOutput: Tensor?
  /// output - baseline output - the sum of attributions: nil for methods that do not promise it.
  public var residual: Tensor?
  /// Which score: [N], for a difference [N, 2], for all [T].
  public var target: Tensor
  /// Points at which the model was evaluated: as `output`.
  public var evaluations: [Int]
  /// Nodes of the ledger, and per example [N, (T,) nodes] what each of them lost or made up.
  public var ledger: (nodes: [String], residuals: Tensor)?
  public var warnings: [String] = []

  package init(
    attributions: [String: Tensor], output: Tensor, baselineOutput: Tensor? = nil,
    residual: Tensor? = nil, target: Tensor, evaluations: [Int]
  ) {
    self.attributions = attributions
    self.output = output
    self.baselineOutput = baselineOutput
    self.residual = residual
    self.target = target
    self.evaluations = evaluations
  }
}
