// Boxes of buffers: where a change lies.
//
// A grid divides the positions of a buffer into axes, row-major: [y][x][channel] for a map. A box is a range along
// every axis. The new values of a box stand in a compact buffer of their own, in the same row-major order.

struct BufferGrid: Hashable, Sendable {
  /// Axes of size 1 are left out.
  let sizes: [Int]
  let strides: [Int]

  init(_ sizes: [Int]) {
    self.sizes = sizes.filter { $0 != 1 }
    strides = Self.strides(self.sizes)
  }

  /// The grid of a buffer that is walked by these strides: one axis where they do not divide each other.
  init(strides: [Int], count: Int) {
    let sorted = Set(strides + [1]).filter { (1..<max(count, 2)).contains($0) }.sorted(by: >)
    var sizes: [Int] = []
    var rest = count
    for stride in sorted {
      guard rest % stride == 0 else {
        self.init([count])
        return
      }
      sizes.append(rest / stride)
      rest = stride
    }
    self.init(sizes)
  }

  var count: Int { sizes.reduce(1, *) }
  var whole: Box { Box(ranges: sizes.map { 0..<$0 }) }

  static func strides(_ sizes: [Int]) -> [Int] {
    var strides = sizes
    var next = 1
    for axis in sizes.indices.reversed() {
      strides[axis] = next
      next *= sizes[axis]
    }
    return strides
  }

  /// The axis and coordinates of a position.
  func coordinates(_ position: Int) -> [Int] {
    zip(strides, sizes).map { position / $0 % $1 }
  }

  /// The elements of a box in the buffer itself.
  func view(_ box: Box, of buffer: Operand) -> View {
    var start = buffer
    for (range, stride) in zip(box.ranges, strides) { start.offset += range.lowerBound * stride }
    return View(
      start, axes: zip(box.ranges, strides).map { [Digit(size: $0.count, stride: $1)] })
  }
}

/// A range along every axis of a grid.
struct Box: Hashable, Sendable {
  var ranges: [Range<Int>]

  init(ranges: [Range<Int>]) { self.ranges = ranges }

  /// Ranges along axes of the given sizes, of which a grid leaves out those of size 1.
  init(_ ranges: [Range<Int>], sizes: [Int]) {
    self.ranges = zip(ranges, sizes).filter { $1 != 1 }.map(\.0)
  }

  var extents: [Int] { ranges.map(\.count) }
  var count: Int { ranges.reduce(1) { $0 * $1.count } }
  /// In the compact buffer of the box.
  var strides: [Int] { BufferGrid.strides(extents) }

  func contains(_ other: Box) -> Bool {
    zip(ranges, other.ranges).allSatisfy {
      $0.lowerBound <= $1.lowerBound && $1.upperBound <= $0.upperBound
    }
  }

  /// The smallest box around both.
  func joined(_ other: Box) -> Box {
    Box(
      ranges: zip(ranges, other.ranges).map {
        min($0.lowerBound, $1.lowerBound)..<max($0.upperBound, $1.upperBound)
      })
  }

  /// What both have in common: nil for nothing.
  func common(_ other: Box) -> Box? {
    let parts = zip(ranges, other.ranges).map { $0.clamped(to: $1) }
    return parts.contains(where: \.isEmpty) ? nil : Box(ranges: parts)
  }

  /// The elements of a smaller box in the compact buffer of this one.
  func view(_ inner: Box, in compact: Operand) -> View {
    var start = compact
    let strides = strides
    for (axis, range) in inner.ranges.enumerated() {
      start.offset += (range.lowerBound - ranges[axis].lowerBound) * strides[axis]
    }
    return View(
      start, axes: zip(inner.ranges, strides).map { [Digit(size: $0.count, stride: $1)] })
  }

  /// The place of a point in the compact buffer: nil outside of the box.
  func place(_ point: [Int]) -> Int? {
    guard zip(ranges, point).allSatisfy({ $0.contains($1) }) else { return nil }
    return zip(zip(ranges, point), strides).reduce(0) {
      $0 + ($1.0.1 - $1.0.0.lowerBound) * $1.1
    }
  }
}

/// How one operand of a loop nest goes through the grid of its buffer.
struct GridWalk: Sendable {
  /// Where the nest starts.
  let origin: [Int]
  /// Per axis of the nest: the axis of the grid along which it moves, or nil where it stays.
  let axes: [Int?]
  /// Per axis of the nest: by how much.
  let steps: [Int]

  /// nil for a walk that turns back, or goes over the end of an axis into the next row.
  init?(_ grid: BufferGrid, offset: Int, sizes: [Int], strides: [Int]) {
    origin = grid.coordinates(offset)
    var reach = origin
    var axes = [Int?](repeating: nil, count: sizes.count)
    var steps = [Int](repeating: 0, count: sizes.count)
    for (index, stride) in strides.enumerated() where stride != 0 && sizes[index] > 1 {
      guard stride > 0,
        let axis = grid.strides.firstIndex(where: { $0 <= stride && stride % $0 == 0 })
      else { return nil }
      axes[index] = axis
      steps[index] = stride / grid.strides[axis]
      reach[axis] += steps[index] * (sizes[index] - 1)
    }
    guard offset < grid.count, zip(reach, grid.sizes).allSatisfy({ $0 < $1 }) else { return nil }
    self.axes = axes
    self.steps = steps
  }

  /// The indices of the nest at which the operand may lie in a box: nil for none.
  func indices(in box: Box, sizes: [Int]) -> [Range<Int>]? {
    var ranges = sizes.map { 0..<$0 }
    for (axis, range) in box.ranges.enumerated() {
      let moving = axes.indices.filter { axes[$0] == axis }
      if moving.isEmpty {
        guard range.contains(origin[axis]) else { return nil }
      } else if moving.count == 1 {
        let (index, step) = (moving[0], steps[moving[0]])
        let low = max(0, (range.lowerBound - origin[axis] + step - 1) / step)
        let last = range.upperBound - 1 - origin[axis]
        guard last >= 0 else { return nil }
        let high = min(sizes[index], last / step + 1)
        guard low < high else { return nil }
        ranges[index] = low..<high
      }
    }
    return ranges
  }

  /// The smallest box around the positions that ranges of indices reach.
  func box(_ ranges: [Range<Int>]) -> Box {
    var low = origin
    var high = origin
    for (index, axis) in axes.enumerated() {
      guard let axis else { continue }
      low[axis] += steps[index] * ranges[index].lowerBound
      high[axis] += steps[index] * (ranges[index].upperBound - 1)
    }
    return Box(ranges: zip(low, high).map { $0..<$1 + 1 })
  }

  /// Ranges of indices in the compact buffer of `box`, which holds them: where the first one is, and the strides.
  func compact(_ ranges: [Range<Int>], in box: Box) -> (offset: Int, strides: [Int]) {
    let own = box.strides
    var offset = zip(zip(origin, box.ranges), own).reduce(0) {
      $0 + ($1.0.0 - $1.0.1.lowerBound) * $1.1
    }
    var strides = [Int](repeating: 0, count: axes.count)
    for (index, axis) in axes.enumerated() {
      guard let axis else { continue }
      strides[index] = steps[index] * own[axis]
      offset += strides[index] * ranges[index].lowerBound
    }
    return (offset, strides)
  }
}

extension Nest {
  /// The same walk with axes cut where the operands' grids have axes.
  func refined(by grids: [BufferGrid?]) -> Nest {
    var result = self
    result.sizes = []
    result.strides = strides.map { _ in [] }
    for axis in sizes.indices {
      var cuts = Set<Int>()
      for (view, grid) in grids.enumerated() where strides[view][axis] > 0 {
        for stride in grid?.strides ?? []
        where stride % strides[view][axis] == 0 && stride > strides[view][axis] {
          let cut = stride / strides[view][axis]
          if cut < sizes[axis] && sizes[axis] % cut == 0 { cuts.insert(cut) }
        }
      }
      var rest = sizes[axis]
      for cut in cuts.sorted(by: >) where rest % cut == 0 {
        result.append(rest / cut, strides.map { $0[axis] * cut })
        rest = cut
      }
      result.append(rest, strides.map { $0[axis] })
    }
    return result
  }

  private mutating func append(_ size: Int, _ steps: [Int]) {
    sizes.append(size)
    for view in strides.indices { strides[view].append(steps[view]) }
  }

  init(sizes: [Int], strides: [[Int]]) {
    self.sizes = sizes
    self.strides = strides
  }
}
