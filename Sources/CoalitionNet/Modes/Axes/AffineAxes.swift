// Axes of layers with weights, and of pools.

import CoalitionBase

extension Convolution {
  /// x [N, C, space], weight [O, C / groups, kernel], bias [O] -> y [N, O, space].
  ///
  /// With one channel per group (depthwise), a channel goes with its group: the outputs made of it. Other groups stay, and
  /// stay equally large: the i-th channels of all groups are one thing, before the layer (where they share column i of the
  /// weight) and behind it.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)), let weight = relations.shape(.input(1)) else {
      return
    }
    relations.join(.input(0, 0), .output(0))
    relations.join(.input(1, 0), .output(1))
    relations.join(.input(2, 0), .output(1))
    let (inputs, outputs) = (weight[1], weight[0] / groups)
    if groups > 1 && inputs == 1 {
      for channel in 0..<weight[0] {
        relations.join(.input(0, 1), channel / outputs, .output(1), channel)
      }
      relations.fix(.input(1, 1), "has groups of one channel")
    } else {
      for channel in 0..<x[1] {
        relations.join(.input(0, 1), channel, .input(1, 1), channel % inputs)
      }
      for channel in 0..<weight[0] {
        relations.join(.output(1), channel % outputs, .output(1), channel)
      }
    }
    for axis in 2..<max(x.count, 2) {
      for axis in [PortAxis.input(0, axis), .input(1, axis), .output(axis)] {
        relations.fix(axis, "slides its windows over the axis")
      }
    }
  }

  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    guard groups > 1, let weight = node.shape(.input(1)), weight[1] == 1,
      let kept = node.kept(.input(0, 1))
    else { return }
    node.node.attributes["group"] = .int(kept.count)
  }
}

extension Gemm {
  /// y = A' B' + C: rows of A' and columns of B' are those of y; columns of A' meet rows of B'.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    let (row, inner) = transposesA ? (1, 0) : (0, 1)
    relations.join(.input(0, row), .output(0))
    relations.join(.input(1, transposesB ? 0 : 1), .output(1))
    relations.join(.input(0, inner), .input(1, transposesB ? 1 : 0))
    relations.broadcast([2])
  }
}

extension MatMul {
  /// y [batch, m, n] = a [batch, m, k] b [batch, k, n]; a vector lacks m or n.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let a = relations.shape(.input(0)), let b = relations.shape(.input(1)),
      let y = relations.shape(.output(0))
    else { return }
    relations.join(.input(0, a.count - 1), .input(1, max(b.count - 2, 0)))
    let columns = b.count > 1 ? 1 : 0
    if a.count > 1 { relations.join(.input(0, a.count - 2), .output(y.count - 1 - columns)) }
    if b.count > 1 { relations.join(.input(1, b.count - 1), .output(y.count - 1)) }
    let batch = y.count - columns - (a.count > 1 ? 1 : 0)
    for (input, rank) in [(0, a.count), (1, b.count)] {
      for axis in 0..<max(rank - 2, 0) {
        relations.join(.input(input, axis), .output(axis + batch - (rank - 2)))
      }
    }
  }
}

extension BatchNormalization {
  /// x [N, C, ...] with four numbers per channel; running statistics as further outputs.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    for axis in (relations.shape(.input(0)) ?? []).indices {
      relations.join(.input(0, axis), .output(axis))
    }
    for parameter in 1...4 { relations.join(.input(parameter, 0), .output(1)) }
    for statistic in 1..<3 { relations.join(.output(0, of: statistic), .output(1)) }
  }
}

extension Pooling {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    for axis in (relations.shape(.input(0)) ?? []).indices {
      if axis < 2 {
        relations.join(.input(0, axis), .output(axis))
      } else {
        relations.fix(.input(0, axis), "slides its windows over the axis")
        relations.fix(.output(axis), "slides its windows over the axis")
      }
    }
    relations.fixAxes(of: .output(1), "tells places of maxima")
  }
}

extension Reduction {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    let reduced = try reduced(x.count, try relations.inputs.constantIntegers(1, "axes"))
    var place = 0
    for axis in x.indices {
      if reduced.contains(axis) {
        relations.fix(.input(0, axis), "reduces the axis")
        if keepsAxes { place += 1 }
      } else {
        relations.join(.input(0, axis), .output(place))
        place += 1
      }
    }
  }
}

extension Softmax {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    for axis in try normalised(x) { relations.fix(.input(0, axis), "normalises over the axis") }
    relations.broadcast([0])
  }
}
