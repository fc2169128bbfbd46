// The steps of moment propagation through functions of one number (csrc/ops/moments.c, moment_slope.c).
//
// A value is its mean, the variance that is its own (rest), and its factors: the parts that depend on numbers which
// all values share. [count] each; factors are [rank][count], nil at rank 0.

import CLanes

/// The moments of f(z).
struct MomentsStep: Step {
  var function: Function
  var mean: Operand
  var rest: Operand
  var factors: Operand?
  var outMean: Operand
  var outRest: Operand
  var outFactors: Operand?
  var count: Int
  var rank: Int

  var reads: [Operand] { [mean, rest] + [factors].compactMap { $0 } }
  var writes: Operand? { outMean }
  var alsoWrites: [Operand] { [outRest] + [outFactors].compactMap { $0 } }
  var operations: Int { count * (function.momentOperations + 3 * rank) }
  var summary: String { "moments of \(function.name) \(count), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_moments.rawValue)
    step.moments = ln_moments(
      mean: places(mean), rest: places(rest), factors: places(factors), out_mean: places(outMean),
      out_rest: places(outRest), out_factors: places(outFactors), count: Int64(count),
      rank: Int32(rank), function: function.encoded)
    return step
  }
}

/// Its reverse: signals of the outputs (nil: zeros) to signals of the inputs.
struct MomentSlopeStep: Step {
  var function: Function
  var mean: Operand
  var rest: Operand
  var factors: Operand?
  var signalMean: Operand?
  var signalRest: Operand?
  var signalFactors: Operand?
  var outMean: Operand
  var outRest: Operand
  var outFactors: Operand?
  var count: Int
  var rank: Int

  var reads: [Operand] {
    [mean, rest] + [factors, signalMean, signalRest, signalFactors].compactMap { $0 }
  }
  var writes: Operand? { outMean }
  var alsoWrites: [Operand] { [outRest] + [outFactors].compactMap { $0 } }
  var operations: Int { count * (2 * function.momentOperations + 8 * rank) }
  var summary: String { "slopes of the moments of \(function.name) \(count), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_moment_slope.rawValue)
    step.moment_slope = ln_moment_slope(
      mean: places(mean), rest: places(rest), factors: places(factors),
      signal_mean: places(signalMean), signal_rest: places(signalRest),
      signal_factors: places(signalFactors), out_mean: places(outMean), out_rest: places(outRest),
      out_factors: places(outFactors), count: Int64(count), rank: Int32(rank),
      function: function.encoded)
    return step
  }
}

extension Function {
  /// About how many floating-point operations the moments of one value take: tails of the normal distribution, or a
  /// quadrature.
  fileprivate var momentOperations: Int {
    switch ln_function_id(rawValue: UInt32(id)) {
    case LN_FUNCTION_identity, LN_FUNCTION_negative, LN_FUNCTION_square, LN_FUNCTION_truncate,
      LN_FUNCTION_stabilize, LN_FUNCTION_reciprocal, LN_FUNCTION_sqrt, LN_FUNCTION_log:
      10
    case LN_FUNCTION_relu, LN_FUNCTION_leaky_relu, LN_FUNCTION_absolute, LN_FUNCTION_exp: 80
    default: 1000
    }
  }
}
