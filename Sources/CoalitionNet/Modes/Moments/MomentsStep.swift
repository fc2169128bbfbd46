// The steps of moment propagation through functions of one number (csrc/ops/moments.c, moment_slope.c).
//
// A value is its mean, the variance that is its own (rest), and its factors: the parts that depend on numbers which
// all values share. [count] each; factors are [rank][count], nil at rank 0.

import CLanes

/// Where the moments of values lie.
struct MomentPlaces {
  var mean: Operand
  var rest: Operand
  var factors: Operand?

  var all: [Operand] { [mean] + others }
  var others: [Operand] { [rest] + (factors.map { [$0] } ?? []) }

  /// These in place of others, part by part.
  func replacing(
    mean: Operand?, rest: Operand?, factors: Operand?
  ) -> [(output: Operand, input: Operand)] {
    var pairs: [(output: Operand, input: Operand)] = []
    if let mean { pairs.append((self.mean, mean)) }
    if let rest { pairs.append((self.rest, rest)) }
    if let own = self.factors, let factors { pairs.append((own, factors)) }
    return pairs
  }
}

/// Where signals of moments lie; nil: zeros.
struct MomentSignals {
  var mean: Operand?
  var rest: Operand?
  var factors: Operand?

  var all: [Operand] { [mean, rest, factors].compactMap { $0 } }
}

/// The moments of f(z).
struct MomentsStep: Step {
  var function: Function
  var input: MomentPlaces
  var output: MomentPlaces
  var count: Int
  var rank: Int

  var reads: [Operand] { input.all }
  var writes: Operand? { output.mean }
  var alsoWrites: [Operand] { output.others }
  var replacements: [(output: Operand, input: Operand)] {
    output.replacing(mean: input.mean, rest: input.rest, factors: input.factors)
  }
  var operations: Int { count * (function.momentOperations + 3 * rank) }
  var summary: String { "moments of \(function.name) \(count), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_moments.rawValue)
    step.moments = ln_moments(
      mean: places(input.mean), rest: places(input.rest), factors: places(input.factors),
      out_mean: places(output.mean), out_rest: places(output.rest),
      out_factors: places(output.factors), count: Int64(count), rank: Int32(rank),
      function: function.encoded)
    return step
  }
}

/// Its reverse: signals of the outputs to signals of the inputs.
struct MomentSlopeStep: Step {
  var function: Function
  var input: MomentPlaces
  var signal: MomentSignals
  var output: MomentPlaces
  var count: Int
  var rank: Int

  var reads: [Operand] { input.all + signal.all }
  var writes: Operand? { output.mean }
  var alsoWrites: [Operand] { output.others }
  var replacements: [(output: Operand, input: Operand)] {
    output.replacing(mean: signal.mean, rest: signal.rest, factors: signal.factors)
  }
  var operations: Int { count * (2 * function.momentOperations + 8 * rank) }
  var summary: String { "slopes of the moments of \(function.name) \(count), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_moment_slope.rawValue)
    step.moment_slope = ln_moment_slope(
      mean: places(input.mean), rest: places(input.rest), factors: places(input.factors),
      signal_mean: places(signal.mean), signal_rest: places(signal.rest),
      signal_factors: places(signal.factors), out_mean: places(output.mean),
      out_rest: places(output.rest), out_factors: places(output.factors), count: Int64(count),
      rank: Int32(rank), function: function.encoded)
    return step
  }
}

extension Function {
  /// Whether its moments are those of the tangent at the mean (csrc/simd/moments.h, "points").
  var hasTangentMoments: Bool {
    switch ln_function_id(rawValue: UInt32(id)) {
    case LN_FUNCTION_log, LN_FUNCTION_sqrt, LN_FUNCTION_reciprocal, LN_FUNCTION_truncate,
      LN_FUNCTION_stabilize:
      true
    default: false
    }
  }

  /// About how many floating-point operations the moments of one value take: tails of the normal distribution, or a
  /// quadrature.
  fileprivate var momentOperations: Int {
    switch ln_function_id(rawValue: UInt32(id)) {
    case _ where hasTangentMoments: 10
    case LN_FUNCTION_identity, LN_FUNCTION_negative, LN_FUNCTION_square: 10
    case LN_FUNCTION_relu, LN_FUNCTION_leaky_relu, LN_FUNCTION_absolute, LN_FUNCTION_exp: 80
    default: 1000
    }
  }
}
