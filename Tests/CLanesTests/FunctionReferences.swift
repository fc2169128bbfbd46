// The functions of LN_FUNCTIONS and LN_BINARY_FUNCTIONS as their definitions read, in a wider type.

import CLanes
import Glibc

/// A type that references are computed in.
protocol ReferenceReal: BinaryFloatingPoint {
  static func exp(_ x: Self) -> Self
  static func expm1(_ x: Self) -> Self
  static func log(_ x: Self) -> Self
  static func log1p(_ x: Self) -> Self
  static func tanh(_ x: Self) -> Self
  static func erf(_ x: Self) -> Self
  static func erfc(_ x: Self) -> Self
}

extension Double: ReferenceReal {
  static func exp(_ x: Double) -> Double { Glibc.exp(x) }
  static func expm1(_ x: Double) -> Double { Glibc.expm1(x) }
  static func log(_ x: Double) -> Double { Glibc.log(x) }
  static func log1p(_ x: Double) -> Double { Glibc.log1p(x) }
  static func tanh(_ x: Double) -> Double { Glibc.tanh(x) }
  static func erf(_ x: Double) -> Double { Glibc.erf(x) }
  static func erfc(_ x: Double) -> Double { Glibc.erfc(x) }
}

#if arch(x86_64)
  extension Float80: ReferenceReal {
    static func exp(_ x: Float80) -> Float80 { Glibc.exp(x) }
    static func expm1(_ x: Float80) -> Float80 { Glibc.expm1(x) }
    static func log(_ x: Float80) -> Float80 { Glibc.log(x) }
    static func log1p(_ x: Float80) -> Float80 { Glibc.log1p(x) }
    static func tanh(_ x: Float80) -> Float80 { Glibc.tanh(x) }
    static func erf(_ x: Float80) -> Float80 { Glibc.erf(x) }
    static func erfc(_ x: Float80) -> Float80 { Glibc.erfc(x) }
  }
  typealias WidestReal = Float80
#else
  typealias WidestReal = Double
#endif

extension ReferenceReal {
  static func sigmoid(_ x: Self) -> Self {
    x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x))
  }

  /// x times a factor that is 0 where x is infinite.
  static func damped(_ x: Self, _ factor: Self) -> Self { factor == 0 ? 0 : x * factor }

  /// A row of LN_FUNCTIONS.
  static func function(_ id: ln_function_id, _ x: Self, _ a: Self, _ b: Self) -> Self {
    if x.isNaN { return x }
    switch id {
    case LN_FUNCTION_identity: return x
    case LN_FUNCTION_relu: return max(x, 0)
    case LN_FUNCTION_leaky_relu: return x < 0 ? a * x : x
    case LN_FUNCTION_clip: return min(max(x, a), b)
    case LN_FUNCTION_elu: return x < 0 ? b * a * expm1(x) : b * x
    case LN_FUNCTION_celu: return max(0, x) + min(0, a * expm1(x / a))
    case LN_FUNCTION_sigmoid: return sigmoid(x)
    case LN_FUNCTION_hard_sigmoid: return min(max(a * x + b, 0), 1)
    case LN_FUNCTION_hard_swish: return damped(x, min(max(x / 6 + 0.5, 0), 1))
    case LN_FUNCTION_tanh: return tanh(x)
    case LN_FUNCTION_softplus: return max(x, 0) + log1p(exp(-abs(x)))
    case LN_FUNCTION_softsign: return x.isInfinite ? (x < 0 ? -1 : 1) : x / (1 + abs(x))
    case LN_FUNCTION_gelu: return damped(x, erfc(-x / (2 as Self).squareRoot()) / 2)
    case LN_FUNCTION_gelu_tanh:
      let slope = 2 * (2 / Self.pi).squareRoot()
      return damped(x, sigmoid(slope * (x + 44715 * (x * x * x) / 1_000_000)))
    case LN_FUNCTION_swish: return damped(x, sigmoid(a * x))
    case LN_FUNCTION_mish:
      // tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2)
      let e = exp(min(x, 50))
      return damped(x, e * (e + 2) / (e * (e + 2) + 2))
    case LN_FUNCTION_erf: return erf(x)
    case LN_FUNCTION_exp: return exp(x)
    case LN_FUNCTION_log: return log(x)
    case LN_FUNCTION_sqrt: return x.squareRoot()
    case LN_FUNCTION_absolute: return abs(x)
    case LN_FUNCTION_negative: return -x
    case LN_FUNCTION_truncate: return x.rounded(.towardZero)
    case LN_FUNCTION_stabilize: return x < 0 ? x - a : x + a
    case LN_FUNCTION_reciprocal: return 1 / x
    case LN_FUNCTION_square: return x * x
    default: return .nan
    }
  }

  /// A row of LN_BINARY_FUNCTIONS.
  static func binary(_ id: ln_binary_id, _ x: Self, _ y: Self) -> Self {
    switch id {
    case LN_BINARY_add: return x + y
    case LN_BINARY_subtract: return x - y
    case LN_BINARY_multiply: return x * y
    case LN_BINARY_divide: return x / y
    case LN_BINARY_maximum: return x.isNaN || y.isNaN ? .nan : max(x, y)
    case LN_BINARY_minimum: return x.isNaN || y.isNaN ? .nan : min(x, y)
    case LN_BINARY_prelu: return x < 0 ? y * x : x
    case LN_BINARY_at_least: return x >= y ? 1 : 0
    case LN_BINARY_greater: return x > y ? 1 : 0
    default: return .nan
    }
  }
}

/// A function with parameters, and the error in ulp that its kernels may have.
struct FunctionCase: CustomStringConvertible, Sendable {
  var id: ln_function_id
  var a = 0.0
  var b = 0.0
  /// Largest error for |x| <= 5 and for all x, in ulp of the result.
  var near: Double
  var far: Double
  /// Results smaller than this count as this large: for functions that cancel on the way.
  var floor = 0.0

  var function: ln_function { ln_function(id: Int32(id.rawValue), a: a, b: b) }
  var description: String { "\(functionName(id)) (\(a), \(b))" }
}

extension LaneElement {
  /// The spacing of this type at a number of a wider one; subnormal numbers have that of the smallest one.
  static func spacing<Wide: BinaryFloatingPoint>(at x: Wide) -> Wide {
    let magnitude = abs(x)
    if magnitude < Wide(leastNormalMagnitude) { return Wide(leastNonzeroMagnitude) }
    return Wide(Self.ulpOfOne) * Wide(sign: .plus, exponent: magnitude.exponent, significand: 1)
  }
}

/// Every row of LN_FUNCTIONS, with the parameters that networks use. The limits are the errors measured,
/// rounded up: they may not grow unseen.
let functionCases: [FunctionCase] = [
  .init(id: LN_FUNCTION_identity, near: 0, far: 0),
  .init(id: LN_FUNCTION_relu, near: 0, far: 0),
  .init(id: LN_FUNCTION_leaky_relu, a: 0.125, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_clip, a: 0, b: 6, near: 0, far: 0),
  .init(id: LN_FUNCTION_elu, a: 1, b: 1, near: 1.2, far: 1.2),
  .init(id: LN_FUNCTION_elu, a: 1.625, b: 1.0625, near: 2.5, far: 2.5),
  .init(id: LN_FUNCTION_celu, a: 2, near: 2.2, far: 2.2),
  .init(id: LN_FUNCTION_sigmoid, near: 2.5, far: 2.5),
  .init(id: LN_FUNCTION_hard_sigmoid, a: 0.25, b: 0.5, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_hard_swish, near: 3, far: 3, floor: 1),
  .init(id: LN_FUNCTION_tanh, near: 1.5, far: 1.5),
  .init(id: LN_FUNCTION_softplus, near: 1.8, far: 1.8),
  .init(id: LN_FUNCTION_softsign, near: 1.6, far: 1.6),
  .init(id: LN_FUNCTION_gelu, near: 6.5, far: 30),
  .init(id: LN_FUNCTION_gelu_tanh, near: 60, far: 3000),
  .init(id: LN_FUNCTION_swish, a: 1, near: 3.5, far: 400),
  .init(id: LN_FUNCTION_mish, near: 4, far: 400),
  .init(id: LN_FUNCTION_erf, near: 1.6, far: 1.6),
  .init(id: LN_FUNCTION_exp, near: 1.2, far: 1.2),
  .init(id: LN_FUNCTION_log, near: 1.2, far: 1.2),
  .init(id: LN_FUNCTION_sqrt, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_absolute, near: 0, far: 0),
  .init(id: LN_FUNCTION_negative, near: 0, far: 0),
  .init(id: LN_FUNCTION_truncate, near: 0, far: 0),
  .init(id: LN_FUNCTION_stabilize, a: 0.0625, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_reciprocal, near: 0.5, far: 0.5),
  .init(id: LN_FUNCTION_square, near: 0.5, far: 0.5),
]
