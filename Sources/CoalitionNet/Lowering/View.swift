// Strided views of lane values and constants.
//
// Moving data is mostly renaming positions. A view says where each element of a tensor lies without copying it:
// every axis is a list of digits (size, stride), outermost first, so that even the flattening of a
// channels-last map is a view: the axis of C*H*W elements is the digits (C, 1) (H, W*C) (W, C). Slices move the
// offset, broadcasting is a stride of 0, a reversed axis a negative stride. What no list of digits can say
// (a reshape across sizes that do not divide) returns nil, and the caller copies.

/// Where an operand of a step lives.
struct Operand: Hashable, Sendable {
  enum Space: Hashable, Sendable {
    /// A buffer of the arena: a vector of lanes per position.
    case buffer(Int)
    /// A block of constants: one number per position, the same for all lanes.
    case constant(Int)
  }
  var space: Space
  /// In positions from the start of the buffer or block.
  var offset = 0

  var buffer: Int? { if case .buffer(let id) = space { id } else { nil } }
  var isConstant: Bool { buffer == nil }
}

/// A factor of an axis.
struct Digit: Hashable, Sendable {
  var size: Int
  /// In positions.
  var stride: Int
}

struct View: Hashable, Sendable {
  var operand: Operand
  /// Per axis of the tensor, outermost digit first. An axis of size 1 has no digits.
  var axes: [[Digit]]

  init(_ operand: Operand, axes: [[Digit]]) {
    self.operand = operand
    self.axes = axes.map { $0.filter { $0.size != 1 } }
  }

  /// A dense view whose axes lie in memory in the order `order`, outermost first.
  init(_ operand: Operand, shape: [Int], order: [Int]) {
    var axes = [[Digit]](repeating: [], count: shape.count)
    var stride = 1
    for axis in order.reversed() {
      axes[axis] = [Digit(size: shape[axis], stride: stride)]
      stride *= shape[axis]
    }
    self.init(operand, axes: axes)
  }

  /// A dense row-major view.
  init(_ operand: Operand, shape: [Int]) {
    self.init(operand, shape: shape, order: Array(shape.indices))
  }

  var shape: [Int] { axes.map { $0.reduce(1) { $0 * $1.size } } }
  var count: Int { axes.reduce(1) { $1.reduce($0) { $0 * $1.size } } }
  var digits: [Digit] { axes.flatMap { $0 } }
}

// MARK: - Movement

extension View {
  func transposed(_ permutation: [Int]) -> View {
    View(operand, axes: permutation.map { axes[$0] })
  }

  /// Elements start, start + step, ... along an axis: `count` of them.
  /// - Returns: nil when the axis is made of several digits that the slice would cut.
  func sliced(_ axis: Int, start: Int, step: Int, count: Int) -> View? {
    var copy = self
    let merged = Self.merge(axes[axis])
    switch merged.count {
    case 0:
      copy.axes[axis] = count == 1 ? [] : [Digit(size: count, stride: 0)]
    case 1:
      copy.operand.offset += start * merged[0].stride
      copy.axes[axis] = count == 1 ? [] : [Digit(size: count, stride: step * merged[0].stride)]
    case _ where count == 1:
      var rest = start
      for digit in merged.reversed() {
        copy.operand.offset += rest % digit.size * digit.stride
        rest /= digit.size
      }
      copy.axes[axis] = []
    default:
      // Only whole periods of the inner digits can be taken out of the outermost one.
      let inner = merged.dropFirst().reduce(1) { $0 * $1.size }
      guard step == 1, start % inner == 0, count % inner == 0 else { return nil }
      copy.operand.offset += start / inner * merged[0].stride
      copy.axes[axis] =
        (count == inner ? [] : [Digit(size: count / inner, stride: merged[0].stride)])
        + merged.dropFirst()
    }
    return copy
  }

  /// The same elements in row-major order under another shape: nil when digits would have to be cut where
  /// they do not divide.
  func reshaped(to shape: [Int]) -> View? {
    var digits = Array(Self.merge(self.digits).reversed())  // innermost first
    var axes: [[Digit]] = []
    for size in shape.reversed() {
      var axis: [Digit] = []
      var left = size
      while left > 1 {
        guard let digit = digits.first else { return nil }
        if left % digit.size == 0 {
          axis.insert(digit, at: 0)
          left /= digit.size
          digits.removeFirst()
        } else if digit.size % left == 0 {
          axis.insert(Digit(size: left, stride: digit.stride), at: 0)
          digits[0] = Digit(size: digit.size / left, stride: digit.stride * left)
          left = 1
        } else {
          return nil
        }
      }
      axes.insert(axis, at: 0)
    }
    return digits.isEmpty ? View(operand, axes: axes) : nil
  }

  /// Repeats axes of size 1, aligned at the last axis, to fill `shape`.
  func broadcast(to shape: [Int]) -> View {
    let missing = shape.count - axes.count
    var copy = self
    copy.axes = shape.indices.map { axis in
      let own = axis < missing ? [] : axes[axis - missing]
      return own.isEmpty && shape[axis] != 1 ? [Digit(size: shape[axis], stride: 0)] : own
    }
    return copy
  }

  /// Joins neighbouring digits that step like one.
  static func merge(_ digits: some Sequence<Digit>) -> [Digit] {
    var merged: [Digit] = []
    for digit in digits {
      if let last = merged.last, last.stride == digit.stride * digit.size {
        merged[merged.count - 1] = Digit(size: last.size * digit.size, stride: digit.stride)
      } else {
        merged.append(digit)
      }
    }
    return merged
  }
}

// MARK: - Memory order

extension View {
  /// Whether the elements lie in row-major order without gaps.
  var isRowMajor: Bool {
    let merged = Self.merge(digits)
    return merged.isEmpty || merged.count == 1 && merged[0].stride == 1
  }

  /// Whether the elements fill a block of `count` positions in some order, each once.
  var isDense: Bool {
    let merged = Self.merge(digits.sorted { $0.stride > $1.stride })
    return merged.isEmpty || merged.count == 1 && merged[0].stride == 1
  }

  /// Whether memory holds the axes in this order, outermost first, without gaps.
  func isDense(inOrder order: [Int]) -> Bool {
    self == View(operand, shape: shape, order: order) || transposed(order).isRowMajor
  }

  /// A dense view of another operand with the same order of elements in memory; row-major when this view is not
  /// dense (an axis that is broadcast, a slice).
  func denseLike(_ other: Operand) -> View {
    let sorted = digits.sorted { $0.stride > $1.stride }
    guard Set(digits.map(\.stride)).count == digits.count, digits.allSatisfy({ $0.stride > 0 })
    else {
      return View(other, shape: shape)
    }
    var strides: [Digit: Int] = [:]
    var stride = 1
    for digit in sorted.reversed() {
      strides[digit] = stride
      stride *= digit.size
    }
    return View(other, axes: axes.map { $0.map { Digit(size: $0.size, stride: strides[$0] ?? 0) } })
  }
}

// MARK: - Walking views together

/// A loop nest that walks several views of one shape at once.
struct Nest: Sendable, Equatable {
  var sizes: [Int]
  /// Per view, per axis of the nest.
  var strides: [[Int]]

  /// The nest over `views` in the order of the first one's memory (outermost first), with as few axes as
  /// possible: nil when the views cut an axis in ways that do not divide.
  init?(over views: [View]) {
    guard let first = views.first else { return nil }
    var sizes: [Int] = []
    var strides = [[Int]](repeating: [], count: views.count)
    for axis in first.axes.indices {
      var left = views.map { Array($0.axes[axis].reversed()) }  // innermost digit first
      var parts: [(size: Int, strides: [Int])] = []
      while let smallest = left.compactMap({ $0.first?.size }).min() {
        var part: [Int] = []
        for view in left.indices {
          guard let digit = left[view].first, digit.size % smallest == 0 else { return nil }
          part.append(digit.stride)
          if digit.size == smallest {
            left[view].removeFirst()
          } else {
            left[view][0] = Digit(size: digit.size / smallest, stride: digit.stride * smallest)
          }
        }
        parts.append((smallest, part))
      }
      for part in parts.reversed() {
        sizes.append(part.size)
        for view in views.indices { strides[view].append(part.strides[view]) }
      }
    }
    let order = sizes.indices.sorted {
      (abs(strides[0][$0]), $1) > (abs(strides[0][$1]), $0)
    }
    self.sizes = []
    self.strides = [[Int]](repeating: [], count: views.count)
    for axis in order {
      let joins =
        !self.sizes.isEmpty
        && views.indices.allSatisfy {
          self.strides[$0].last == strides[$0][axis] * sizes[axis]
        }
      if joins {
        self.sizes[self.sizes.count - 1] *= sizes[axis]
        for view in views.indices {
          self.strides[view][self.sizes.count - 1] = strides[view][axis]
        }
      } else {
        self.sizes.append(sizes[axis])
        for view in views.indices { self.strides[view].append(strides[view][axis]) }
      }
    }
  }

  var count: Int { sizes.reduce(1, *) }

  /// A walked view, with an axis for each of the nest's; `axes` picks some of them.
  func view(_ index: Int, of operand: Operand, axes: [Int]? = nil) -> View {
    View(
      operand,
      axes: (axes ?? Array(sizes.indices)).map {
        [Digit(size: sizes[$0], stride: strides[index][$0])]
      })
  }
}
