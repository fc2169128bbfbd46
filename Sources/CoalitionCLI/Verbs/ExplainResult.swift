// What a run of `coalition explain` writes: arrays by their names, and how they were made.

import CoalitionBase
import CoalitionData
import CoalitionExplain

struct ExplainResult {
  let players: PlayerSet?
  /// Whether attributions are for several inputs, each with an array of its own.
  let isSeveral: Bool
  /// Resolved, defaults included.
  let options: [JSONValue.Member]

  /// - Parameter record: what is known of the run.
  func file(
    _ outcome: ExplainRun.Outcome, _ record: ResultRecord
  ) throws(CoalitionError) -> ResultFile {
    let explanation = outcome.explanation
    var record = record
    record.options = options
    record.result = outcome.summary
    if record.result.isEmpty {
      record.result = [
        .init("examples", .integer(explanation.output.shape.first ?? 1)),
        .init("evaluations-per-example", .integer(explanation.evaluations.max() ?? 0)),
      ]
    }
    var result = ResultFile(
      metadata: record.members, mainArray: isSeveral ? nil : "attributions")
    for name in explanation.attributions.keys.sorted() {
      guard let tensor = explanation.attributions[name] else { continue }
      // Whatever precision they were computed in.
      try result.append(
        Self.name("attributions", name, isSeveral),
        Tensor(shape: tensor.shape, elements: .float64(tensor.doubles)))
    }
    if let values = outcome.values { try result.append("values", values) }
    if let errors = outcome.standardErrors { try result.append("standard_errors", errors) }
    if let errors = outcome.errorEstimate { try result.append("error_estimate", errors) }
    try result.append("output", explanation.output)
    if let baseline = explanation.baselineOutput { try result.append("baseline_output", baseline) }
    if let residual = explanation.residual { try result.append("residual", residual) }
    try result.append(
      "evaluations",
      Tensor(
        shape: explanation.output.shape,
        elements: .int64(explanation.evaluations.map { Int64($0) })))
    try result.append("target", explanation.target)
    if let players {
      for (name, map) in zip(players.names, players.maps) {
        try result.append(
          Self.name("players", name, isSeveral),
          Tensor(
            shape: (map.exampleCount.map { [$0] } ?? []) + map.shape, elements: .int32(map.ids)))
      }
    }
    if let ledger = explanation.ledger {
      try result.append("ledger_nodes", ledger.nodes)
      try result.append("ledger_residuals", ledger.residuals)
    }
    return result
  }

  private static func name(_ array: String, _ input: String, _ isSeveral: Bool) -> String {
    isSeveral ? "\(array).\(input)" : array
  }
}
