// The moments of the first affine values for random coalitions (csrc/ops/front.c).

import CLanes

/// mean = base + p others + w own with others = sum - own, and the variance and factors that lanes.h defines, from
/// rows of the caller.
struct FrontStep: Step {
  var output: MomentPlaces
  var count: Int
  var rank: Int
  /// Input slots; rows have `count` elements.
  var base: Int
  var sum: Int
  var squares: Int
  /// nil: zeros.
  var own: Int?
  /// Rows of [rank][count]; not read at rank 0.
  var basis: Int
  /// Rows of p, w, kappa, mu, root, then u and v, `rank` numbers each.
  var scalars: Int

  var reads: [Operand] { [] }
  var writes: Operand? { output.mean }
  var alsoWrites: [Operand] { output.others }
  var operations: Int { count * (11 + 7 * rank) }
  var summary: String { "moments of random coalitions \(count), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_front.rawValue)
    step.front = ln_front(
      out_mean: places(output.mean), out_rest: places(output.rest),
      out_factors: places(output.factors), count: Int64(count), rank: Int32(rank),
      base: Int32(base), sum: Int32(sum), squares: Int32(squares), own: Int32(own ?? -1),
      basis: Int32(basis), scalars: Int32(scalars))
    return step
  }
}
