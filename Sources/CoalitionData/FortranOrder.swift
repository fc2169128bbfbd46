// From Fortran order, first axis fastest, to the row-major order of tensors.

import CoalitionBase

extension Tensor.Elements {
  /// These elements of `shape`, stored in Fortran order, in row-major order.
  func reorderedFromFortran(_ shape: [Int]) -> Tensor.Elements {
    switch self {
    case .float32(let values): .float32(reorder(values, shape))
    case .float64(let values): .float64(reorder(values, shape))
    case .int32(let values): .int32(reorder(values, shape))
    case .int64(let values): .int64(reorder(values, shape))
    case .uint8(let values): .uint8(reorder(values, shape))
    case .bool(let values): .bool(reorder(values, shape))
    }
  }
}

/// Output index (i, j, k) reads from i + I * (j + J * k). The inner loop walks the last axis; an odometer
/// over the others keeps the offset where it starts.
private func reorder<T>(_ values: [T], _ shape: [Int]) -> [T] {
  guard shape.count > 1, let last = shape.last, values.count > 1 else { return values }
  var strides: [Int] = []
  var stride = 1
  for size in shape {
    strides.append(stride)
    stride *= size
  }
  let outer = shape.count - 1
  var index = Array(repeating: 0, count: outer)
  var start = 0
  var result: [T] = []
  result.reserveCapacity(values.count)
  while result.count < values.count {
    var position = start
    for _ in 0..<last {
      result.append(values[position])
      position += strides[outer]
    }
    var axis = outer - 1
    while axis >= 0 {
      index[axis] += 1
      start += strides[axis]
      if index[axis] < shape[axis] { break }
      start -= strides[axis] * shape[axis]
      index[axis] = 0
      axis -= 1
    }
  }
  return result
}
