// Functions of one and two numbers in the reference, from their textbook formulas.

import Glibc

extension Reference.Call {
  func unary() -> ((Double) -> Double)? {
    let alpha = { (fallback: Double) in float("alpha", fallback) }
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    func softplus(_ x: Double) -> Double { x > 30 ? x : log1p(exp(x)) }
    switch node.operation {
    case "Relu": return { max($0, 0) }
    case "LeakyRelu": return { $0 < 0 ? alpha(0.01) * $0 : $0 }
    case "Elu": return { $0 < 0 ? alpha(1) * expm1($0) : $0 }
    case "Selu":
      let scale = float("gamma", 1.05070102214813232421875)
      return { $0 < 0 ? scale * alpha(1.67326319217681884765625) * expm1($0) : scale * $0 }
    case "Celu": return { max(0, $0) + min(0, alpha(1) * expm1($0 / alpha(1))) }
    case "Sigmoid": return sigmoid
    case "HardSigmoid": return { min(max(alpha(0.2) * $0 + float("beta", 0.5), 0), 1) }
    case "HardSwish": return { $0 * min(max($0 / 6 + 0.5, 0), 1) }
    case "Tanh": return { tanh($0) }
    case "Softplus": return softplus
    case "Softsign": return { $0 / (1 + abs($0)) }
    case "Gelu" where string("approximate", "none") == "tanh":
      return {
        0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
      }
    case "Gelu": return { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
    case "Swish": return { $0 * sigmoid(alpha(1) * $0) }
    case "Mish": return { $0 * tanh(softplus($0)) }
    case "Erf": return { erf($0) }
    case "Exp": return { exp($0) }
    case "Log": return { log($0) }
    case "Sqrt": return { $0.squareRoot() }
    case "Abs": return { abs($0) }
    case "Neg": return { -$0 }
    case "Floor": return { $0.rounded(.down) }
    case "Ceil": return { $0.rounded(.up) }
    case "Round": return { $0.rounded(.toNearestOrEven) }
    case "Sign": return { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
    case "Reciprocal": return { 1 / $0 }
    case "Not": return { $0 == 0 ? 1 : 0 }
    case "Identity", "Dropout": return { $0 }
    case "Cast":
      switch int("to", 1) {
      case 1, 11: return { $0 }
      case 9: return { $0 != 0 ? 1 : 0 }
      default: return { $0.rounded(.towardZero) }
      }
    case "Clip":
      let low = opset < 11 ? float("min", -.infinity) : optional(1)?.values[0] ?? -.infinity
      let high = opset < 11 ? float("max", .infinity) : optional(2)?.values[0] ?? .infinity
      return { min(max($0, low), high) }
    default: return nil
    }
  }

  func binary() -> ((Double, Double) -> Double)? {
    func truth(_ value: Bool) -> Double { value ? 1 : 0 }
    switch node.operation {
    case "Add", "Sum", "Mean": return { $0 + $1 }
    case "Sub": return { $0 - $1 }
    case "Mul": return { $0 * $1 }
    case "Div": return { $0 / $1 }
    case "Max": return { max($0, $1) }
    case "Min": return { min($0, $1) }
    case "Pow": return { pow($0, $1) }
    case "PRelu": return { $0 < 0 ? $1 * $0 : $0 }
    case "Equal": return { truth($0 == $1) }
    case "Less": return { truth($0 < $1) }
    case "Greater": return { truth($0 > $1) }
    case "LessOrEqual": return { truth($0 <= $1) }
    case "GreaterOrEqual": return { truth($0 >= $1) }
    case "And": return { truth($0 != 0 && $1 != 0) }
    case "Or": return { truth($0 != 0 || $1 != 0) }
    case "Mod":
      let isC = int("fmod", 0) != 0
      return { a, b in isC ? fmod(a, b) : a - b * (a / b).rounded(.down) }
    default: return nil
    }
  }
}
