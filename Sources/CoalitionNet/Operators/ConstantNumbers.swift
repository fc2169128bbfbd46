// Rounding, powers and remainders of constants, as exporters write them into the arithmetic of shapes.

import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

struct ConstantNumbers: ConstantOperator {
  static let operations = ["Floor", "Ceil", "Round", "Sign", "Reciprocal", "Pow", "Mod"]

  let operation: String
  let isElementwise = true
  /// Mod with the sign of the dividend, as C's fmod.
  private let takesDividendSign: Bool

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    takesDividendSign = try node.flag("fmod", false)
  }

  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor {
    let left = try inputs.required(0)
    guard operation == "Pow" || operation == "Mod" else {
      let results = left.doubles.map(rounded)
      return Tensor(filling: left.shape, with: .float64(results)).converted(to: left.elementType)
    }
    let right = try inputs.required(1)
    let shape = try broadcastShape([left.shape, right.shape])
    _ = try Tensor.checkedConstantCount(shape)
    let a = HostView(left).broadcast(to: shape).materialised()
    let b = HostView(right).broadcast(to: shape).materialised()
    if let a = a.integers, let b = b.integers {
      var results: [Int] = []
      for (a, b) in zip(a, b) { results.append(try integer(a, b)) }
      return Tensor.integers(results, shape: shape, like: left.elementType)
    }
    let results = zip(a.doubles, b.doubles).map { a, b in
      operation == "Pow" ? pow(a, b) : fmod(a, b)
    }
    return Tensor(filling: shape, with: .float64(results)).converted(to: left.elementType)
  }

  private func rounded(_ x: Double) -> Double {
    switch operation {
    case "Floor": x.rounded(.down)
    case "Ceil": x.rounded(.up)
    case "Round": x.rounded(.toNearestOrEven)
    case "Sign": x > 0 ? 1 : x < 0 ? -1 : x
    default: 1 / x
    }
  }

  private func integer(_ a: Int, _ b: Int) throws(CoalitionError) -> Int {
    if operation == "Mod" {
      guard b != 0 else { throw CoalitionError(.invalidData, "Mod by 0") }
      let rest = b == -1 ? 0 : a % b
      return rest != 0 && !takesDividendSign && (rest < 0) != (b < 0) ? rest + b : rest
    }
    let result = pow(Double(a), Double(b)).rounded(.towardZero)
    guard abs(result) <= 0x1p53 else {
      throw CoalitionError(.invalidData, "Pow of whole numbers overflows", found: "\(a) and \(b)")
    }
    return Int(result)
  }
}
