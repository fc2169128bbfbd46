// Values of players for people: per example what the values add up to, and the largest with their errors.

import Coalition
import CoalitionBase
import CoalitionExplain

struct ShapleySummary {
  let layout: ShapleyLayout
  /// How many of the largest values are printed.
  let top: Int
  /// More are only counted.
  private let exampleLimit = 10
  private let targetLimit = 10

  init(layout: ShapleyLayout, top: Int) {
    (self.layout, self.top) = (layout, top)
  }

  /// What was done, in a line.
  static func line(_ estimate: ShapleyEstimate) -> String {
    let examples = estimate.exampleCount
    let evaluations = estimate.evaluations.reduce(0, +)
    return "values of \(Numbers.grouped(estimate.playerCount)) players"
      + (examples > 1 ? " for \(Numbers.grouped(examples)) examples" : "")
      + " by \(estimate.estimator.rawValue), \(Numbers.grouped(evaluations)) evaluations"
  }

  func text(_ estimate: ShapleyEstimate) -> String {
    var text = Self.line(estimate) + "\n"
    if let choice = estimate.choice { text += "\(estimate.estimator.rawValue): \(choice)\n" }
    for example in 0..<min(estimate.exampleCount, exampleLimit) {
      for target in 0..<min(estimate.targetCount, targetLimit) {
        text += one(estimate, example, target)
      }
      if estimate.targetCount > targetLimit {
        text += "  and \(Numbers.grouped(estimate.targetCount - targetLimit)) more targets\n"
      }
    }
    if estimate.exampleCount > exampleLimit {
      text += "and \(Numbers.grouped(estimate.exampleCount - exampleLimit)) more examples: "
      text += "write them with --output\n"
    }
    return text
  }

  private func one(_ estimate: ShapleyEstimate, _ example: Int, _ target: Int) -> String {
    let row = example * estimate.targetCount + target
    var heading: [String] = []
    if estimate.exampleCount > 1 || layout.players != nil { heading.append("example \(example)") }
    if let name = targetName(example, target) { heading.append("target \(name)") }
    heading.append("everybody \(Numbers.significant(estimate.fullValues[row]))")
    heading.append("nobody \(Numbers.significant(estimate.emptyValues[row]))")
    heading.append("residual \(Numbers.significant(estimate.residuals[row], 2))")
    heading.append("\(Numbers.grouped(estimate.evaluations[example])) evaluations")
    if !estimate.errorEstimates.isEmpty {
      let own = row * estimate.playerCount..<(row + 1) * estimate.playerCount
      heading.append(Self.error(estimate.errorEstimates[own]))
    }
    if !estimate.sampleWeights.isEmpty {
      heading.append("weight of the samples \(Numbers.significant(estimate.sampleWeights[row], 2))")
    }
    if let stop = estimate.stops[example] { heading.append("stopped by \(stop.rawValue)") }
    return heading.joined(separator: ", ") + "\n" + largest(estimate, row)
  }

  /// What is known of the errors of values by moments, or drawn towards them, of all players.
  static func error(_ estimates: ArraySlice<Double>) -> String {
    let error = ShapleyEstimate.errorEstimate(of: estimates)
    return error.isNaN
      ? "error of a value not known" : "error of a value about \(Numbers.significant(error, 2))"
  }

  /// The target of an example, as it was given or found.
  private func targetName(_ example: Int, _ target: Int) -> String? {
    guard let named = layout.target?.integers else { return nil }
    if layout.hasTargetAxis { return "\(named[target])" }
    guard layout.target?.rank == 2 else { return "\(named[example])" }
    return "\(named[2 * example]) minus \(named[2 * example + 1])"
  }

  /// The largest values, whatever their sign; the first of equal ones first.
  private func largest(_ estimate: ShapleyEstimate, _ row: Int) -> String {
    let start = row * estimate.playerCount
    let values = Array(estimate.values[start..<start + estimate.playerCount])
    let keys = values.map { $0.isNaN ? -1 : abs($0) }
    let order = keys.indices.sorted { (keys[$1], $0) < (keys[$0], $1) }.prefix(top)
    return order.map { player in
      let value = values[player]
      // Of values by moments there is one error for all.
      let errors =
        estimate.sampleWeights.isEmpty ? estimate.standardErrors : estimate.errorEstimates
      let error = estimate.estimator.usesMoments ? 0 : errors[start + player]
      let sign = value < 0 ? "" : "+"
      let spread = error == 0 ? "" : error.isNaN ? " +- ?" : " +- \(Numbers.significant(error, 2))"
      return "  \(sign)\(Numbers.significant(value))\(spread)  player \(player)\n"
    }.joined() + largestPairs(estimate, row)
  }

  /// The largest interactions, where they were asked for.
  private func largestPairs(_ estimate: ShapleyEstimate, _ row: Int) -> String {
    let players = estimate.playerCount
    guard !estimate.interactions.isEmpty else { return "" }
    let start = row * players * players
    let values = Array(estimate.interactions[start..<start + players * players])
    // Symmetric: those above the diagonal are all there are.
    let pairs = values.indices.filter { $0 / players < $0 % players && !values[$0].isNaN }
    let order = pairs.sorted { (abs(values[$1]), $0) < (abs(values[$0]), $1) }.prefix(top)
    return order.map { pair in
      let sign = values[pair] < 0 ? "" : "+"
      return "  \(sign)\(Numbers.significant(values[pair]))  players \(pair / players) and "
        + "\(pair % players) together\n"
    }.joined()
  }
}
