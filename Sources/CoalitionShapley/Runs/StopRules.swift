// When a run has done enough. Rules that look at results do so at fixed numbers of blocks only, so that the same
// command stops at the same sample whatever the machine.

import CoalitionBase

/// Why a run ended.
public enum StopReason: String, Sendable, Hashable, Codable {
  /// All coalitions are evaluated.
  case exact
  case samples
  case evaluations
  case tolerance
  case top
  case lowest
  case rank
  case time
  /// Nobody adds anything.
  case constant
  /// Values by moments are all there at once.
  case moments
}

/// The numbers of blocks at which results are looked at.
enum CheckPoints {
  /// Replicates that every rule wants to have seen.
  static let first = 32
  /// Blocks after which numbers without any spread are believed.
  static let firstWithoutSpread = 16 * first

  /// The first one after so many blocks: 32, 40, 48, 56, 64, 80, 96, ..., four in each doubling, so that half of one is
  /// one again from 64 on.
  static func next(after blocks: Int) -> Int {
    guard blocks >= first else { return first }
    let step = 1 << (Int.bitWidth - 1 - blocks.leadingZeroBitCount - 2)
    return (blocks / step + 1) * step
  }

  static func isOne(_ blocks: Int) -> Bool {
    blocks == first || (blocks > first && next(after: blocks - 1) == blocks)
  }

  /// How many there are up to so many blocks.
  static func count(upTo blocks: Int) -> Int {
    var count = 0
    var next = first
    while next <= blocks {
      count += 1
      next = Self.next(after: next)
    }
    return count
  }

  /// Looks that a run remembers: from half the samples on.
  static let kept = 4

  /// Whether schemes that look back do so after so many blocks: 64, 128, 256, ...
  static func isAdaptation(_ blocks: Int) -> Bool {
    blocks >= firstAdaptation && blocks & (blocks - 1) == 0
  }

  /// The first such number that is larger.
  static func nextAdaptation(after blocks: Int) -> Int {
    guard blocks >= firstAdaptation else { return firstAdaptation }
    return 1 << (Int.bitWidth - blocks.leadingZeroBitCount)
  }

  private static let firstAdaptation = 64
}

/// The rules of a run that look at results.
struct StopRules {
  let tolerance: Double?
  let top: Int?
  let lowest: Int?
  let rankStability: Double?
  /// nil: all.
  private let targets: Range<Int>?

  init(_ options: ShapleyOptions) {
    tolerance = options.tolerance
    top = options.top
    lowest = options.lowest
    targets = options.ruledTargets
    rankStability = options.rankStability
  }

  /// The reason to stop one example: every target that the rules look at has to have one.
  /// - Parameter earlier: the values at half the samples, when they were looked at.
  func reason(
    _ outcome: Jackknife.Outcome, blocks: Int, ends: [GameEnds], earlier: [Double]?
  ) -> StopReason? {
    let players = outcome.values.count / max(ends.count, 1)
    func all(_ rule: (ArraySlice<Double>, ArraySlice<Double>, GameEnds, Range<Int>) -> Bool)
      -> Bool
    {
      (targets ?? ends.indices).allSatisfy { target in
        let own = target * players..<(target + 1) * players
        return rule(outcome.values[own], outcome.standardErrors[own], ends[target], own)
      }
    }
    if all({ values, errors, ends, _ in isConstant(values, errors, ends) }) { return .constant }
    if let tolerance,
      all({ values, errors, ends, _ in
        isConstant(values, errors, ends) || isWithin(tolerance, values, errors, blocks)
      })
    {
      return .tolerance
    }
    let quantile = StudentT.quantile975(outcome.replicates - 1)
    if let top,
      all({ values, errors, _, _ in
        isWithoutSpread(values, errors, blocks) || isResolved(top, values, errors, quantile)
      })
    {
      return .top
    }
    if let lowest,
      all({ values, errors, _, _ in
        isWithoutSpread(values, errors, blocks)
          || isResolved(values.count - lowest, values, errors, quantile)
      })
    {
      return .lowest
    }
    if let rankStability, let earlier,
      all({ values, errors, ends, own in
        isWithoutSpread(values, errors, blocks)
          || Correlation.spearman(values, earlier[own]) >= rankStability
            && errors.contains { $0 > 0 }
      })
    {
      return .rank
    }
    return nil
  }

  /// Nothing adds anything, and everybody together adds nothing: zeros alone would prove nothing.
  private func isConstant(
    _ values: ArraySlice<Double>, _ errors: ArraySlice<Double>, _ ends: GameEnds
  ) -> Bool {
    ends.difference == 0 && values.allSatisfy { $0 == 0 } && errors.allSatisfy { $0 == 0 }
  }

  private func isWithin(
    _ tolerance: Double, _ values: ArraySlice<Double>, _ errors: ArraySlice<Double>, _ blocks: Int
  ) -> Bool {
    guard let least = values.min(), let most = values.max(), let worst = errors.max(),
      errors.allSatisfy(\.isFinite)
    else { return false }
    // Players that are alike have no range for errors to be a share of.
    if isWithoutSpread(values, errors, blocks) { return true }
    return worst > 0 && worst <= tolerance * (most - least)
  }

  /// Whether no spread has been seen for so long that none is expected: at first, rare contributions may still be
  /// unseen. More samples would then tell neither ranks nor errors.
  private func isWithoutSpread(
    _ values: ArraySlice<Double>, _ errors: ArraySlice<Double>, _ blocks: Int
  ) -> Bool {
    // Sums and equations in double precision leave a spread of rounding.
    let rounding = 1e-11 * values.reduce(0) { max($0, abs($1)) }
    return blocks >= CheckPoints.firstWithoutSpread && errors.allSatisfy { $0 <= rounding }
  }

  /// Whether the intervals of the largest values lie above all others.
  private func isResolved(
    _ top: Int, _ values: ArraySlice<Double>, _ errors: ArraySlice<Double>, _ quantile: Double
  ) -> Bool {
    guard errors.allSatisfy(\.isFinite), errors.contains(where: { $0 > 0 }), top < values.count
    else { return false }
    let order = zip(values, errors).sorted { $0.0 > $1.0 }
    let least = order[..<top].map { $0.0 - quantile * $0.1 }.min() ?? 0
    let most = order[top...].map { $0.0 + quantile * $0.1 }.max() ?? 0
    return least > most
  }
}

/// Student's distribution.
package enum StudentT {
  /// The 97.5 % quantile for a number of degrees of freedom: from 10 on by the expansion around that of the normal
  /// distribution (Abramowitz and Stegun 26.7.5), within 1e-4.
  package static func quantile975(_ degrees: Int) -> Double {
    if degrees < 10 { return few[max(degrees, 1) - 1] }
    let z = 1.959963984540054
    let n = Double(degrees)
    let (z3, z5, z7) = (z * z * z, z * z * z * z * z, z * z * z * z * z * z * z)
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n)
      + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n)
  }

  /// For 1 to 9 degrees of freedom.
  private static let few = [
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157,
  ]
}
