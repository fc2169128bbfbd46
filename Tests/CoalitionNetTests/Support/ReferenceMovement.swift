// Movement and shapes in the reference.

import CoalitionBase
import CoalitionNet

extension Reference.Call {
  func movement() -> [Grid]? {
    switch node.operation {
    case "Reshape":
      let x = input(0)
      var shape = integers(1) ?? []
      for axis in shape.indices where shape[axis] == 0 && int("allowzero", 0) == 0 {
        shape[axis] = x.shape[axis]
      }
      if let open = shape.firstIndex(of: -1) {
        shape[open] = x.values.count / shape.filter { $0 != -1 }.reduce(1, *)
      }
      return [Grid(shape, x.values)]
    case "Flatten":
      let x = input(0)
      let cut = axis(int("axis", 1), x.shape.count)
      return [Grid([x.shape[..<cut].reduce(1, *), x.shape[cut...].reduce(1, *)], x.values)]
    case "Squeeze":
      let x = input(0)
      let axes = (ints("axes") ?? integers(1))?.map { axis($0, x.shape.count) }
      let kept = x.shape.indices.filter { place in
        if let axes { !axes.contains(place) } else { x.shape[place] != 1 }
      }
      return [Grid(kept.map { x.shape[$0] }, x.values)]
    case "Unsqueeze":
      let x = input(0)
      let given = ints("axes") ?? integers(1) ?? []
      let rank = x.shape.count + given.count
      var shape = x.shape
      for axis in given.map({ axis($0, rank) }).sorted() { shape.insert(1, at: axis) }
      return [Grid(shape, x.values)]
    case "Transpose":
      let x = input(0)
      let order = ints("perm") ?? Array(x.shape.indices.reversed())
      return [
        Grid(order.map { x.shape[$0] }) { index in
          var own = index
          for (place, axis) in order.enumerated() { own[axis] = index[place] }
          return x[own]
        }
      ]
    case "Slice": return [slice()]
    case "Split":
      let x = input(0)
      let axis = axis(int("axis", 0), x.shape.count)
      let count = node.outputs.count
      let chunk = (x.shape[axis] + count - 1) / count
      let equal = (0..<count).map { min(chunk, x.shape[axis] - $0 * chunk) }
      var first = 0
      return (ints("split") ?? integers(1) ?? equal).map { size in
        defer { first += size }
        let start = first
        return x.picking(axis, (0..<size).map { start + $0 })
      }
    case "Expand":
      let x = input(0)
      return [Grid(Grid.broadcastShape([x.shape, integers(1) ?? []])) { x.broadcast($0) }]
    case "Tile":
      let x = input(0)
      return [
        Grid(zip(x.shape, integers(1) ?? []).map(*)) { index in
          x[zip(index, x.shape).map { $0 % $1 }]
        }
      ]
    case "Concat":
      let parts = inputs.compactMap { $0 }
      let axis = axis(int("axis", 1), parts[0].shape.count)
      var shape = parts[0].shape
      shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
      return [
        Grid(shape) { index in
          var index = index
          for part in parts {
            if index[axis] < part.shape[axis] { return part[index] }
            index[axis] -= part.shape[axis]
          }
          return .nan
        }
      ]
    case "Pad": return [pad()]
    case "Gather":
      let (x, chosen) = (input(0), input(1))
      let axis = axis(int("axis", 0), x.shape.count)
      return [
        Grid(Array(x.shape[..<axis]) + chosen.shape + Array(x.shape[(axis + 1)...])) { index in
          let row = Int(chosen[Array(index[axis..<(axis + chosen.shape.count)])])
          return x[
            Array(index[..<axis]) + [row < 0 ? row + x.shape[axis] : row]
              + Array(index[(axis + chosen.shape.count)...])]
        }
      ]
    default: return nil
    }
  }

  private func slice() -> Grid {
    var x = input(0)
    let starts = ints("starts") ?? integers(1) ?? []
    let ends = ints("ends") ?? integers(2) ?? []
    let axes = ints("axes") ?? integers(3) ?? Array(starts.indices)
    let steps = integers(4) ?? starts.map { _ in 1 }
    for (index, given) in axes.enumerated() {
      let axis = axis(given, x.shape.count)
      let size = x.shape[axis]
      func place(_ value: Int, _ low: Int, _ high: Int) -> Int {
        min(max(value < 0 ? value + size : value, low), high)
      }
      var rows: [Int] = []
      if steps[index] > 0 {
        var row = place(starts[index], 0, size)
        while row < place(ends[index], 0, size) {
          rows.append(row)
          row += steps[index]
        }
      } else {
        var row = place(starts[index], 0, size - 1)
        while row > place(max(ends[index], -size - 1), -1, size - 1) {
          rows.append(row)
          row += steps[index]
        }
      }
      x = x.picking(axis, rows)
    }
    return x
  }

  private func pad() -> Grid {
    var x = input(0)
    let pads = ints("pads") ?? integers(1) ?? []
    let axes = (integers(3) ?? Array(x.shape.indices)).map { axis($0, x.shape.count) }
    let value = optional(2)?.values[0] ?? float("value", 0)
    for (index, axis) in axes.enumerated() {
      let (before, after) = (pads[index], pads[index + axes.count])
      // Crop first, then walk outwards.
      let size = x.shape[axis]
      x = x.picking(axis, Array(max(0, -before)..<(size - max(0, -after))))
      let kept = x.shape[axis]
      var rows = (0..<kept).map { Int?.some($0) }
      for step in 1...max(1, max(before, 0)) where step <= before {
        rows.insert(source(-step, kept), at: 0)
      }
      for step in 0..<max(0, after) { rows.append(source(kept + step, kept)) }
      let old = x
      var shape = x.shape
      shape[axis] = rows.count
      x = Grid(shape) { place in
        guard let row = rows[place[axis]] else { return value }
        var place = place
        place[axis] = row
        return old[place]
      }
    }
    return x
  }

  private func source(_ place: Int, _ size: Int) -> Int? {
    switch string("mode", "constant") {
    case "edge": return place < 0 ? 0 : size - 1
    case "wrap":
      var place = place
      while place < 0 { place += size }
      while place >= size { place -= size }
      return place
    case "reflect":
      var place = place
      while place < 0 || place >= size { place = place < 0 ? -place : 2 * (size - 1) - place }
      return place
    default: return nil
    }
  }

  func shapes() -> [Grid] {
    switch node.operation {
    case "Constant":
      switch node.attributes.first?.value {
      case .tensor(let tensor)?: return [Grid(tensor)]
      case .int(let value)?: return [Grid([], [Double(value)])]
      case .float(let value)?: return [Grid([], [Double(value)])]
      case .ints(let values)?: return [Grid([values.count], values.map { Double($0) })]
      case .floats(let values)?: return [Grid([values.count], values.map { Double($0) })]
      default: preconditionFailure("a constant without a value")
      }
    case "Shape":
      let shape = input(0).shape
      let first = axis(int("start", 0), shape.count)
      let last = axis(int("end", shape.count), shape.count)
      return [Grid([last - first], shape[first..<last].map { Double($0) })]
    case "Size": return [Grid([], [Double(input(0).values.count)])]
    case "ConstantOfShape":
      var value = 0.0
      if case .tensor(let tensor)? = node.attributes["value"] { value = tensor.doubles[0] }
      return [Grid(integers(0) ?? []) { _ in value }]
    case "Range":
      let (first, last, step) = (input(0).values[0], input(1).values[0], input(2).values[0])
      let values = Array(stride(from: first, to: last, by: step))
      return [Grid([values.count], values)]
    case "Where":
      let (c, x, y) = (input(0), input(1), input(2))
      return [
        Grid(Grid.broadcastShape([c.shape, x.shape, y.shape])) { index in
          c.broadcast(index) != 0 ? x.broadcast(index) : y.broadcast(index)
        }
      ]
    default: preconditionFailure("the reference does not know \(node.operation)")
    }
  }
}

extension Grid {
  func picking(_ axis: Int, _ rows: [Int]) -> Grid {
    var result = shape
    result[axis] = rows.count
    return Grid(result) { index in
      var index = index
      index[axis] = rows[index[axis]]
      return self[index]
    }
  }
}
