// Axes of Reshape, Flatten, Squeeze and Unsqueeze.
//
// An axis of size s, behind which I elements lie, is the digit (f / I) mod s of an element's row-major number f. Where
// the digit of an output axis (size t, O elements behind it) covers that of an input axis (I >= O, I s <= O t), several
// axes have been merged, and a position of the input is every position w of the output with (w / (I / O)) mod s equal to it:
// channel 5 of [64, 7, 7] is features 245 to 293 of the flattened map. An axis that is split into several is the same
// the other way round. Axes that overlap in another way, and all but one of those that are merged or split together,
// keep their size.

import CoalitionBase

extension Reshape {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    guard let x = relations.shape(.input(0)), let y = relations.shape(.output(0)) else { return }
    let from = Digit.all(of: x).filter { $0.size > 1 }
    let to = Digit.all(of: y).filter { $0.size > 1 }
    let reason = "merges or splits the axis"
    for output in to {
      let merged = from.filter { output.covers($0) }
      // Of several axes that could shrink, the first one may.
      let chosen = merged.first { relations.isFree(.input(0, $0.axis)) } ?? merged.first
      for input in merged where input.axis != chosen?.axis {
        relations.fix(.input(0, input.axis), reason)
      }
      guard let chosen else { continue }
      for position in 0..<output.size {
        relations.join(
          .input(0, chosen.axis), position / (chosen.inner / output.inner) % chosen.size,
          .output(output.axis), position)
      }
    }
    for input in from where !to.contains(where: { $0.covers(input) }) {
      let parts = to.filter { input.covers($0) }
      // Of the axes that one is split into, the largest one may shrink: of groups of channels, the channels.
      let chosen = parts.max { $0.size < $1.size }
      for output in parts where output.axis != chosen?.axis {
        relations.fix(.output(output.axis), reason)
      }
      guard let chosen else {
        relations.fix(.input(0, input.axis), reason)
        continue
      }
      for position in 0..<input.size {
        relations.join(
          .input(0, input.axis), position,
          .output(chosen.axis), position / (chosen.inner / input.inner) % chosen.size)
      }
    }
    for output in to
    where !from.contains(where: { output.covers($0) || $0.covers(output) }) {
      relations.fix(.output(output.axis), reason)
    }
  }

  func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {
    if node.node.operation == "Reshape" { try node.rewriteShape(1) }
  }

  private struct Digit {
    var axis: Int
    var size: Int
    /// Elements behind the axis.
    var inner: Int

    static func all(of shape: [Int]) -> [Digit] {
      shape.indices.map { axis in
        Digit(axis: axis, size: shape[axis], inner: shape[(axis + 1)...].reduce(1, *))
      }
    }

    func covers(_ other: Digit) -> Bool {
      inner <= other.inner && other.inner % inner == 0
        && other.inner * other.size <= inner * size
        && (inner * size) % (other.inner * other.size) == 0
    }
  }
}
