// Axes of operators that move elements, and what they have written down of sizes.

import CoalitionBase

extension Transpose {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    for (place, axis) in try order(x.count).enumerated() {
      relations.join(.input(0, axis), .output(place))
    }
  }
}

extension Concat {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let y = relations.shape(.output(0)) else { return }
    let joined = try resolveAxis(axis, rank: y.count)
    var first = 0
    for (index, info) in relations.inputs.values.enumerated() {
      guard let info else { continue }
      for axis in y.indices where axis != joined {
        relations.join(.input(index, axis), .output(axis))
      }
      for position in 0..<info.shape[joined] {
        relations.join(.input(index, joined), position, .output(joined), first + position)
      }
      first += info.shape[joined]
    }
  }
}

extension Split {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    let sizes = try relations.inputs.constantIntegers(1, "split")
    for (index, part) in try parts(x, sizes).enumerated() {
      for axis in x.indices where axis != part.axis {
        relations.join(.input(0, axis), .output(axis, of: index))
      }
      for position in 0..<part.count {
        relations.join(
          .input(0, part.axis), part.first + position, .output(part.axis, of: index), position)
      }
    }
  }

  /// Parts that were equal may be so no more.
  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    guard let x = node.shape(.input(0)) else { return }
    let parts = try parts(x, node.inputs[optional: 1]?.constant?.value.integers)
    guard let axis = parts.first?.axis, node.kept(.input(0, axis)) != nil else { return }
    let sizes = parts.indices.map { index in
      node.kept(.output(axis, of: index))?.count ?? parts[index].count
    }
    if node.opset < 13 {
      node.node.attributes["split"] = .ints(sizes)
    } else {
      node.setIntegers(1, sizes, "split")
      node.node.attributes["num_outputs"] = nil
    }
  }
}

extension Slice {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    var parameters: [[Int]?] = []
    for index in 1..<5 {
      parameters.append(try relations.inputs.constantIntegers(index, "range"))
    }
    let slices = try slices(x, parameters)
    for axis in x.indices {
      guard let slice = slices.first(where: { $0.axis == axis }), !slice.isWhole(x) else {
        relations.join(.input(0, axis), .output(axis))
        continue
      }
      if slice.step != 1 {
        relations.fix(.input(0, axis), "takes positions by their number")
        relations.fix(.output(axis), "takes positions by their number")
        continue
      }
      for position in 0..<slice.count {
        relations.join(.input(0, axis), slice.first + position, .output(axis), position)
      }
    }
  }

  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    guard let x = node.shape(.input(0)) else { return }
    let parameters = (1..<5).map { node.inputs[optional: $0]?.constant?.value.integers }
    var starts = written?.starts ?? parameters[0] ?? []
    var ends = written?.ends ?? parameters[1] ?? []
    var isChanged = false
    for (index, slice) in try slices(x, parameters).enumerated() where !slice.isWhole(x) {
      guard let kept = node.kept(.input(0, slice.axis)) else { continue }
      starts[index] = kept.count { $0 < slice.first }
      ends[index] = kept.count { $0 < slice.first + slice.count }
      isChanged = true
    }
    guard isChanged else { return }
    if written != nil {
      node.node.attributes["starts"] = .ints(starts)
      node.node.attributes["ends"] = .ints(ends)
    } else {
      node.setIntegers(1, starts, "starts")
      node.setIntegers(2, ends, "ends")
    }
  }
}

extension Pad {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)) else { return }
    let borders = try borders(
      x.count, pads: try relations.inputs.constantIntegers(1, "pads"),
      axes: try relations.inputs.constantIntegers(3, "axes"))
    for (axis, border) in borders.enumerated() {
      if border == Border() {
        relations.join(.input(0, axis), .output(axis))
      } else if mode == .constant && border.before >= 0 && border.after >= 0 {
        for position in 0..<x[axis] {
          relations.join(.input(0, axis), position, .output(axis), border.before + position)
        }
      } else {
        relations.fix(.input(0, axis), "repeats or crops positions of the axis")
        relations.fix(.output(axis), "repeats or crops positions of the axis")
      }
    }
  }

  /// Borders of units, as where a shortcut has fewer channels than what it is added to, shrink with what they go to.
  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    guard let x = node.shape(.input(0)) else { return }
    let axes = node.inputs[optional: 3]?.constant?.value.integers ?? Array(x.indices)
    var pads = written?.pads ?? node.inputs[optional: 1]?.constant?.value.integers ?? []
    let borders = try borders(x.count, pads: pads, axes: axes)
    var isChanged = false
    for (index, axis) in axes.enumerated() {
      let axis = axis < 0 ? axis + x.count : axis
      let border = borders[axis]
      guard border != Border(), let kept = node.kept(.output(axis)) else { continue }
      pads[index] = kept.count { $0 < border.before }
      pads[index + axes.count] = kept.count { $0 >= border.before + x[axis] }
      isChanged = true
    }
    guard isChanged else { return }
    if written != nil {
      node.node.attributes["pads"] = .ints(pads)
    } else {
      node.setIntegers(1, pads, "pads")
    }
  }
}

extension Expand {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.broadcast([0])
  }

  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    try node.rewriteShape(1)
  }
}

extension Tile {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    let repeats = try relations.inputs.constantIntegers(1, "repeats") ?? []
    for (axis, times) in repeats.enumerated() {
      if times == 1 {
        relations.join(.input(0, axis), .output(axis))
      } else {
        relations.fix(.input(0, axis), "repeats the axis")
        relations.fix(.output(axis), "repeats the axis")
      }
    }
  }
}

extension Gather {
  /// Rows that are chosen by number stay where they are; what a row holds goes along.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let data = relations.shape(.input(0)), let indices = relations.shape(.input(1)) else {
      return
    }
    let chosen = try axis(data)
    for place in data.indices where place != chosen {
      relations.join(
        .input(0, place), .output(place < chosen ? place : place + indices.count - 1))
    }
    for place in indices.indices { relations.join(.input(1, place), .output(chosen + place)) }
    relations.fix(.input(0, chosen), "takes positions by their number")
  }
}
