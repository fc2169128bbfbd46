// What samples say of values by moments: how far these are off, and how both are best put together.

/// Values by moments m of n players beside sampled ones s, whose errors have the mean square e^2 as replicates show it.
///
/// Samples are unbiased (or nearly), so the mean of (s - m)^2 is e^2 and b^2, the mean square error of the moments. For normal errors of
/// the samples it varies by (2 e^4 + 4 e^2 b^2) / n.
struct MomentAgreement {
  /// e^2; NaN where replicates are too few.
  let sampled: Double
  /// The mean of (s - m)^2.
  let apart: Double
  /// Players that are not known to add nothing.
  let count: Int

  /// - Parameters:
  ///   - values: sampled, of all players.
  ///   - errors: their standard errors.
  ///   - moments: values of all players as well.
  ///   - active: the players that are not known to add nothing.
  init(
    _ values: ArraySlice<Double>, errors: ArraySlice<Double>, moments: ArraySlice<Double>,
    active: [Int]
  ) {
    var (apart, sampled) = (0.0, 0.0)
    for player in active {
      let error = errors[errors.startIndex + player]
      let difference = values[values.startIndex + player] - moments[moments.startIndex + player]
      apart += difference * difference
      sampled += error * error
    }
    count = active.count
    self.apart = apart / Double(max(count, 1))
    self.sampled = sampled / Double(max(count, 1))
  }

  /// b^2, raised by one standard error of it: what the samples cannot exclude.
  var momentSquare: Double {
    let found = max(apart - sampled, 0)
    let variance = 2 * sampled * sampled + 4 * sampled * found
    return found + (variance / Double(max(count, 1))).squareRoot()
  }

  /// The weight w of the samples in w s + (1 - w) m with the least error, b^2 / (e^2 + b^2) as the samples show it (James, Stein
  /// 1961; values of known sum have one degree of freedom less). 1 where too little is known, and for too few players to gain.
  var sampleWeight: Double {
    guard sampled.isFinite, apart.isFinite, count > 3 else { return 1 }
    guard apart > 0 else { return sampled > 0 ? 0 : 1 }
    return max(0, 1 - Double(count - 3) / Double(count - 1) * sampled / apart)
  }
}
