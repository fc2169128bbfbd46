// Derivatives and secants of the functions of LN_FUNCTIONS as their definitions read, in a wider type.

import CLanes

extension ReferenceReal {
  /// The density of the standard normal distribution.
  private static func normalDensity(_ x: Self) -> Self {
    exp(-x * x / 2) / (2 * Self.pi).squareRoot()
  }

  /// The derivative of a row of LN_FUNCTIONS; at a kink what PyTorch takes.
  static func slope(_ id: ln_function_id, _ x: Self, _ a: Self, _ b: Self) -> Self {
    if x.isNaN { return x }
    switch id {
    case LN_FUNCTION_identity, LN_FUNCTION_stabilize: return 1
    case LN_FUNCTION_relu: return x > 0 ? 1 : 0
    case LN_FUNCTION_leaky_relu: return x > 0 ? 1 : a
    case LN_FUNCTION_clip: return x >= a && x <= b ? 1 : 0
    case LN_FUNCTION_elu: return x > 0 ? b : b * a * exp(x)
    case LN_FUNCTION_celu: return x > 0 ? 1 : exp(x / a)
    case LN_FUNCTION_sigmoid: return sigmoid(x) * sigmoid(-x)
    case LN_FUNCTION_hard_sigmoid: return a * x + b > 0 && a * x + b < 1 ? a : 0
    case LN_FUNCTION_hard_swish: return x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1
    case LN_FUNCTION_tanh: return 4 * sigmoid(2 * x) * sigmoid(-2 * x)
    case LN_FUNCTION_softplus: return sigmoid(x)
    case LN_FUNCTION_softsign: return 1 / (1 + abs(x)) / (1 + abs(x))
    case LN_FUNCTION_gelu:
      return erfc(-x / (2 as Self).squareRoot()) / 2 + damped(x, normalDensity(x))
    case LN_FUNCTION_gelu_tanh:
      let c = 2 * (2 / Self.pi).squareRoot()
      let k = 44715 / 1_000_000 as Self
      let w = c * (x + k * (x * x * x))
      return damped(1 + damped(x * c * (1 + 3 * k * x * x), sigmoid(-w)), sigmoid(w))
    case LN_FUNCTION_swish:
      return damped(1 + damped(a * x, sigmoid(-a * x)), sigmoid(a * x))
    case LN_FUNCTION_mish:
      // tanh(log(1 + e)) = n / (n + 2), n = e (e + 2), whose derivative is 4 e (e + 1) / (n + 2)^2.
      let e = exp(min(x, 60))
      let n = e * (e + 2)
      return n / (n + 2) + damped(min(x, 60), 4 * e * (e + 1) / (n + 2) / (n + 2))
    case LN_FUNCTION_erf: return 2 / Self.pi.squareRoot() * exp(-x * x)
    case LN_FUNCTION_exp: return exp(x)
    case LN_FUNCTION_log: return x < 0 ? .nan : 1 / abs(x)
    case LN_FUNCTION_sqrt: return x < 0 ? .nan : 1 / (2 * abs(x).squareRoot())
    case LN_FUNCTION_absolute: return x > 0 ? 1 : x < 0 ? -1 : 0
    case LN_FUNCTION_negative: return -1
    case LN_FUNCTION_truncate: return 0
    case LN_FUNCTION_reciprocal: return -1 / x / x
    case LN_FUNCTION_square: return 2 * x
    default: return .nan
    }
  }

  /// The secant of a row: where it is smooth the mean of the derivative over the way (five-point
  /// Gauss-Legendre over short pieces), for values cancel; else the quotient of differences.
  static func secant(_ item: FunctionCase, _ x: Self, _ y: Self) -> Self {
    let a = Self(item.a)
    let b = Self(item.b)
    if x == y { return slope(item.id, x, a, b) }
    let low = min(x, y)
    let high = max(x, y)
    let scale = item.hasPole ? min(abs(x), abs(y)) : 2 / max(1, abs(a))
    let isSmooth = item.kinks.allSatisfy { Self($0) < low || Self($0) > high }
    if !isSmooth || item.id == LN_FUNCTION_truncate || high - low > 100 * scale {
      return (function(item.id, x, a, b) - function(item.id, y, a, b)) / (x - y)
    }
    let pieces = Int(((high - low) / scale * 20).rounded(.up))
    let s = (10 / 7 as Self).squareRoot() * 2
    let r = (70 as Self).squareRoot() * 13
    let nodes: [(place: Self, weight: Self)] = [
      (0, 128 / 225), ((5 - s).squareRoot() / 3, (322 + r) / 900),
      (-(5 - s).squareRoot() / 3, (322 + r) / 900), ((5 + s).squareRoot() / 3, (322 - r) / 900),
      (-(5 + s).squareRoot() / 3, (322 - r) / 900),
    ]
    let half = (high - low) / Self(2 * pieces)
    var sum: Self = 0
    for piece in 0..<pieces {
      for node in nodes {
        sum += node.weight * slope(item.id, low + half * (Self(2 * piece + 1) + node.place), a, b)
      }
    }
    return sum / Self(2 * pieces)
  }
}

extension FunctionCase {
  /// Where the function or its derivative jumps.
  var kinks: [Double] {
    switch id {
    case LN_FUNCTION_clip: [a, b]
    case LN_FUNCTION_hard_sigmoid: [-b / a, (1 - b) / a]
    case LN_FUNCTION_hard_swish: [-3, 3]
    case LN_FUNCTION_relu, LN_FUNCTION_leaky_relu, LN_FUNCTION_elu, LN_FUNCTION_celu,
      LN_FUNCTION_softsign, LN_FUNCTION_absolute, LN_FUNCTION_stabilize, LN_FUNCTION_log,
      LN_FUNCTION_sqrt, LN_FUNCTION_reciprocal:
      [0]
    default: []
    }
  }

  /// A singularity at 0: nothing is smooth but relative to the distance from it.
  var hasPole: Bool {
    [LN_FUNCTION_log, LN_FUNCTION_sqrt, LN_FUNCTION_reciprocal].contains(id)
  }
}

/// The rows with the errors that their derivatives may have, in ulp, as `functionCases` for values.
let slopeCases: [FunctionCase] = [
  .init(id: LN_FUNCTION_identity, near: 0, far: 0),
  .init(id: LN_FUNCTION_relu, near: 0, far: 0),
  .init(id: LN_FUNCTION_leaky_relu, a: 0.125, near: 0, far: 0),
  .init(id: LN_FUNCTION_clip, a: 0, b: 6, near: 0, far: 0),
  .init(id: LN_FUNCTION_elu, a: 1, b: 1, near: 1.2, far: 1.2),
  .init(id: LN_FUNCTION_elu, a: 1.625, b: 1.0625, near: 2.5, far: 2.5),
  .init(id: LN_FUNCTION_celu, a: 2, near: 2.2, far: 2.2),
  .init(id: LN_FUNCTION_sigmoid, near: 4, far: 4),
  .init(id: LN_FUNCTION_hard_sigmoid, a: 0.25, b: 0.5, near: 0, far: 0),
  .init(id: LN_FUNCTION_hard_swish, near: 0.7, far: 0.7, floor: 0.5),
  .init(id: LN_FUNCTION_tanh, near: 4, far: 4),
  .init(id: LN_FUNCTION_softplus, near: 2.5, far: 2.5),
  .init(id: LN_FUNCTION_softsign, near: 3.6, far: 3.6),
  .init(id: LN_FUNCTION_gelu, near: 2.5, far: 2.5, floor: 0.5),
  .init(id: LN_FUNCTION_gelu_tanh, near: 3.5, far: 3.5, floor: 0.5),
  .init(id: LN_FUNCTION_swish, a: 1, near: 3, far: 3, floor: 0.5),
  .init(id: LN_FUNCTION_mish, near: 2.5, far: 2.5, floor: 0.5),
  .init(id: LN_FUNCTION_erf, near: 3, far: 3),
  .init(id: LN_FUNCTION_exp, near: 1.2, far: 1.2),
  .init(id: LN_FUNCTION_log, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_sqrt, near: 1.5, far: 1.5),
  .init(id: LN_FUNCTION_absolute, near: 0, far: 0),
  .init(id: LN_FUNCTION_negative, near: 0, far: 0),
  .init(id: LN_FUNCTION_truncate, near: 0, far: 0),
  .init(id: LN_FUNCTION_stabilize, a: 0.0625, near: 0, far: 0),
  .init(id: LN_FUNCTION_reciprocal, near: 2, far: 2),
  .init(id: LN_FUNCTION_square, near: 0, far: 0),
]
