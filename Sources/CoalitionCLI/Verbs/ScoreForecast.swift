// What scores of layers take, before anything is computed: for the dry runs of `score` and `prune`.

import Coalition

struct ScoreForecast {
  private let options: UnitScoreOptions
  private let layers: [HiddenLayer]

  init(_ options: UnitScoreOptions, _ layers: [HiddenLayer]) {
    self.options = options
    self.layers = layers
  }

  /// - Parameter held: bytes of the model and the arrays.
  func text(held: Int) -> String {
    var table = Table(("layer", .left), ("units", .right), ("evaluations per example", .right))
    for layer in layers {
      table.add(layer.name, Numbers.grouped(layer.unitCount), evaluations(layer.unitCount))
    }
    return table.text + "memory of model and arrays: \(Numbers.bytes(held))\n"
  }

  private func evaluations(_ units: Int) -> String {
    switch options.metric {
    case .leaveOneOut: return Numbers.grouped(units + 1)
    case .shapley: return shapley(units)
    default: return options.metric.usesExamples ? "1" : "0"
    }
  }

  private func shapley(_ units: Int) -> String {
    let sampling = options.sampling
    let permutations = UnitScoreOptions.defaultSamples * (units - 1) + 2
    switch sampling.estimator {
    case .exact:
      return units <= UnitScoreOptions.exactLimit
        ? Numbers.grouped(1 << units) : "refused: more than \(UnitScoreOptions.exactLimit) units"
    case .dasp: return "moments: coalition sizes"
    case .momentGradient: return "moments: \(sampling.moments.nodes) nodes"
    case .auto where !sampling.hasStopRule:
      return units <= UnitScorer.enumerated
        ? Numbers.grouped(1 << units)
        : "moments, or \(UnitScoreOptions.defaultToggles) toggles of each unit"
    case .permutation where !sampling.hasStopRule: return Numbers.grouped(permutations)
    case .permutation:
      if let samples = sampling.samples { return Numbers.grouped(samples * (units - 1) + 2) }
    default:
      if let samples = sampling.samples { return "\(Numbers.grouped(samples)) samples" }
    }
    let limit =
      sampling.evaluations ?? ShapleyOptions.defaultEvaluationsPerPlayer * units
    return "at most \(Numbers.grouped(limit))"
  }
}
