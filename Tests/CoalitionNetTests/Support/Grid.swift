// A row-major array of doubles for the reference: indexed by tuples, without strides or views.

import CoalitionBase
import TestSupport

struct Grid: Equatable {
  var shape: [Int]
  var values: [Double]

  init(_ shape: [Int], _ values: [Double]) {
    precondition(shape.reduce(1, *) == values.count)
    self.shape = shape
    self.values = values
  }

  /// Every element from its index.
  init(_ shape: [Int], _ element: ([Int]) -> Double) {
    self.shape = shape
    values = []
    values.reserveCapacity(shape.reduce(1, *))
    for flat in 0..<shape.reduce(1, *) { values.append(element(Grid.unflatten(flat, shape))) }
  }

  init(_ tensor: Tensor) { self.init(tensor.shape, tensor.doubles) }

  static func unflatten(_ flat: Int, _ shape: [Int]) -> [Int] {
    var rest = flat
    var index = [Int](repeating: 0, count: shape.count)
    for axis in shape.indices.reversed() {
      index[axis] = rest % shape[axis]
      rest /= shape[axis]
    }
    return index
  }

  subscript(_ index: [Int]) -> Double {
    var flat = 0
    for (position, size) in zip(index, shape) {
      precondition((0..<size).contains(position))
      flat = flat * size + position
    }
    return values[flat]
  }

  /// The element for an index of a shape that this one broadcasts to.
  func broadcast(_ index: [Int]) -> Double {
    let own = Array(index.suffix(shape.count))
    return self[zip(own, shape).map { $1 == 1 ? 0 : $0 }]
  }

  static func broadcastShape(_ shapes: [[Int]]) -> [Int] {
    let rank = shapes.map(\.count).max() ?? 0
    return (0..<rank).map { axis in
      shapes.map { shape in
        axis < rank - shape.count ? 1 : shape[axis - rank + shape.count]
      }.reduce(1) { $0 == 1 ? $1 : $0 }
    }
  }

  /// One slice along an axis, which stays with size 1.
  func slice(_ axis: Int, _ position: Int) -> Grid {
    var small = shape
    small[axis] = 1
    return Grid(small) { index in
      var index = index
      index[axis] = position
      return self[index]
    }
  }

  /// The examples of `axis` brought to the front.
  func examplesFirst(_ axis: Int) -> Grid {
    var moved = shape
    moved.remove(at: axis)
    return Grid([shape[axis]] + moved) { index in
      var own = Array(index.dropFirst())
      own.insert(index[0], at: axis)
      return self[own]
    }
  }

  func tensor(_ type: ElementType = .float32) -> Tensor {
    Tensor(filling: shape, with: .float64(values)).as(type)
  }
}

extension Tensor {
  func `as`(_ type: ElementType) -> Tensor {
    let elements: Elements =
      switch type {
      case .float32: .float32(doubles.map { Float($0) })
      case .float64: .float64(doubles)
      case .int32: .int32(doubles.map { Int32($0) })
      case .int64: .int64(doubles.map { Int64($0) })
      case .uint8: .uint8(doubles.map { UInt8($0) })
      case .bool: .bool(doubles.map { $0 != 0 })
      }
    return Tensor(filling: shape, with: elements)
  }
}

extension Seeded {
  /// Numbers that single precision holds exactly, so that both sides start from the same ones.
  mutating func grid(_ shape: [Int], _ range: ClosedRange<Double> = -1...1) -> Grid {
    Grid(
      shape,
      (0..<shape.reduce(1, *)).map { _ in
        Double(Float(Double.random(in: range, using: &self)))
      })
  }

  mutating func tensor(_ shape: [Int], _ range: ClosedRange<Double> = -1...1) -> Tensor {
    grid(shape, range).tensor()
  }
}
