// What an input is compared with.

public import CoalitionBase

/// The baseline of an input: what it is when nothing is present.
public enum Baseline: Sendable, Hashable {
  case zero
  /// The same number everywhere.
  case value(Double)
  /// One example's shape, or several rows of it: attributions are then averaged over them.
  case rows(Tensor)
  /// A token whose embedding stands for absence, for inputs that are explained at their embedding.
  case token(Int)
}

extension Baseline {
  /// Rows [B, shape].
  func rows(_ name: String, shape: [Int]) throws(CoalitionError) -> Tensor {
    let count = shape.reduce(1, *)
    switch self {
    case .zero, .token:
      return Tensor(
        filling: [1] + shape, with: .float64([Double](repeating: 0, count: count)))
    case .value(let number):
      guard number.isFinite else {
        throw CoalitionError(.notFinite, "the baseline is not finite", node: name)
      }
      return Tensor(
        filling: [1] + shape, with: .float64([Double](repeating: number, count: count)))
    case .rows(let tensor):
      if let place = tensor.firstNonFinite {
        throw CoalitionError(
          .notFinite, "the baseline is not finite at element \(place)", node: name)
      }
      if tensor.shape == shape { return try tensor.reshaped(to: [1] + shape) }
      guard tensor.rank == shape.count + 1, Array(tensor.shape.dropFirst()) == shape,
        tensor.shape[0] > 0
      else {
        throw CoalitionError(
          .shapeMismatch, "the baseline does not have the shape of an input", node: name,
          expected: "\(shape), or rows of it", found: "\(tensor.shape)")
      }
      return tensor
    }
  }
}
