// Which positions along the axes of a model's values can only be removed together.
//
// A value of shape [1, 64, 14, 14] has 1 + 64 + 14 + 14 places. Every operator says which places of its inputs and outputs
// are one thing: channel 5 of a convolution's output, row 5 of its weight and element 5 of its bias, and behind a
// Flatten the 14 * 14 features that were channel 5. What is one thing for all operators together is a class; removing
// it from all axes at once leaves a model that computes the same from what is left. A class that reaches an axis which
// must keep its size is fixed, and knows the node that fixed it.

package import CoalitionBase

/// Places of all values of a graph, and their classes (disjoint sets, by union and path halving).
package struct AxisClasses: Sendable {
  /// Why places cannot be removed.
  package struct Obstacle: Sendable, Hashable {
    /// The node that fixes them, or the input or output of the model.
    package let node: String
    /// A clause: "normalises over the axis".
    package let reason: String

    package init(node: String, reason: String) {
      self.node = node
      self.reason = reason
    }
  }

  /// Per value and axis its first place.
  private var firsts: [String: [Int]] = [:]
  private var sizes: [String: [Int]] = [:]
  private var parents: [Int] = []
  /// By root.
  private var obstacles: [Int: Obstacle] = [:]

  init(_ values: [String: ValueInfo]) {
    for (name, info) in values.sorted(by: { $0.key < $1.key }) {
      firsts[name] = info.shape.map { size in
        defer { parents.append(contentsOf: parents.count..<parents.count + size) }
        return parents.count
      }
      sizes[name] = info.shape
    }
  }

  /// The place of a position along an axis of a value.
  package func place(_ value: String, axis: Int, position: Int) -> Int? {
    guard let shape = sizes[value], axis < shape.count, position < shape[axis] else { return nil }
    return firsts[value].map { $0[axis] + position }
  }

  /// What stands for the class of a place.
  package func root(_ place: Int) -> Int {
    var place = place
    while parents[place] != place { place = parents[place] }
    return place
  }

  mutating func join(_ left: Int, _ right: Int) {
    let (left, right) = (halvedRoot(left), halvedRoot(right))
    guard left != right else { return }
    let (kept, merged) = (min(left, right), max(left, right))
    parents[merged] = kept
    if let obstacle = obstacles.removeValue(forKey: merged), obstacles[kept] == nil {
      obstacles[kept] = obstacle
    }
  }

  private mutating func halvedRoot(_ place: Int) -> Int {
    var place = place
    while parents[place] != place {
      parents[place] = parents[parents[place]]
      place = parents[place]
    }
    return place
  }

  /// The first reason given stays.
  mutating func fix(_ place: Int, _ obstacle: Obstacle) {
    let root = halvedRoot(place)
    if obstacles[root] == nil { obstacles[root] = obstacle }
  }

  /// Why a place cannot be removed: nil when it can.
  package func obstacle(_ place: Int) -> Obstacle? { obstacles[root(place)] }

  /// Per value and axis, the positions that are left when the classes of `roots` are removed: nil for axes that stay
  /// whole.
  package func kept(removing roots: Set<Int>) -> [String: [[Int]?]] {
    var result: [String: [[Int]?]] = [:]
    for (name, shape) in sizes {
      guard let firsts = firsts[name] else { continue }
      let axes = shape.indices.map { axis -> [Int]? in
        let kept = (0..<shape[axis]).filter { !roots.contains(root(firsts[axis] + $0)) }
        return kept.count == shape[axis] ? nil : kept
      }
      if axes.contains(where: { $0 != nil }) { result[name] = axes }
    }
    return result
  }
}

/// An axis of an input or output of a node.
package struct PortAxis: Sendable, Hashable {
  package enum Port: Sendable, Hashable { case input(Int), output(Int) }

  package let port: Port
  package let axis: Int

  static func input(_ index: Int, _ axis: Int) -> PortAxis {
    PortAxis(port: .input(index), axis: axis)
  }
  static func output(_ axis: Int, of index: Int = 0) -> PortAxis {
    PortAxis(port: .output(index), axis: axis)
  }
}

/// What an operator says of the axes of one node.
package struct AxisRelations {
  package let inputs: Inputs
  package let outputs: [ValueInfo]
  package internal(set) var classes: AxisClasses

  func shape(_ port: PortAxis.Port) -> [Int]? {
    switch port {
    case .input(let index): inputs[optional: index]?.shape
    case .output(let index): index < outputs.count ? outputs[index].shape : nil
    }
  }

  private func name(_ port: PortAxis.Port) -> String? {
    switch port {
    case .input(let index): inputs.node.input(index)
    case .output(let index):
      index < inputs.node.outputs.count && !inputs.node.outputs[index].isEmpty
        ? inputs.node.outputs[index] : nil
    }
  }

  private func place(_ axis: PortAxis, _ position: Int) -> Int? {
    name(axis.port).flatMap { classes.place($0, axis: axis.axis, position: position) }
  }

  /// Positions that are one thing; nothing where a port is left out.
  mutating func join(_ left: PortAxis, _ i: Int, _ right: PortAxis, _ j: Int) {
    if let a = place(left, i), let b = place(right, j) { classes.join(a, b) }
  }

  /// Two axes of the same size, position by position.
  mutating func join(_ left: PortAxis, _ right: PortAxis) {
    guard let a = shape(left.port), let b = shape(right.port), left.axis < a.count,
      right.axis < b.count, a[left.axis] == b[right.axis]
    else { return }
    for position in 0..<a[left.axis] { join(left, position, right, position) }
  }

  /// An axis that keeps its size.
  mutating func fix(_ axis: PortAxis, _ reason: String) {
    guard let shape = shape(axis.port), axis.axis < shape.count else { return }
    for position in 0..<shape[axis.axis] {
      if let place = place(axis, position) {
        classes.fix(place, AxisClasses.Obstacle(node: inputs.node.label, reason: reason))
      }
    }
  }

  mutating func fixAxes(of port: PortAxis.Port, _ reason: String) {
    for axis in (shape(port) ?? []).indices { fix(PortAxis(port: port, axis: axis), reason) }
  }

  /// All axes of all inputs and outputs.
  mutating func fixEverything(_ reason: String) {
    for index in inputs.values.indices { fixAxes(of: .input(index), reason) }
    for index in outputs.indices { fixAxes(of: .output(index), reason) }
  }

  /// Whether some position along an axis may be removed, as far as is known.
  func isFree(_ axis: PortAxis) -> Bool {
    guard let shape = shape(axis.port), axis.axis < shape.count else { return false }
    return (0..<shape[axis.axis]).contains { position in
      place(axis, position).map { classes.obstacle($0) == nil } ?? false
    }
  }

  /// Every output has the axes of the inputs, aligned at the last one; sizes of 1 are repeated.
  mutating func broadcast(_ ports: some Sequence<Int>) {
    for output in outputs.indices {
      let rank = outputs[output].shape.count
      for input in ports {
        let offset = rank - (inputs[optional: input]?.shape.count ?? rank)
        for axis in 0..<rank where axis >= offset {
          join(.input(input, axis - offset), .output(axis, of: output))
        }
      }
    }
  }
}

extension Operator {
  /// An operator that says nothing lets nothing be removed.
  package func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.fixEverything("has no rule for removing units")
  }
}

extension Analysis {
  /// The classes of all places of the graph's values. Inputs and outputs of the model are fixed.
  package func axisClasses() throws(CoalitionError) -> AxisClasses {
    var classes = AxisClasses(values)
    func fixAll(_ ports: [Port], _ reason: String) {
      for port in ports {
        for (axis, size) in (values[port.name]?.shape ?? []).enumerated() {
          for position in 0..<size {
            guard let place = classes.place(port.name, axis: axis, position: position) else {
              continue
            }
            classes.fix(place, AxisClasses.Obstacle(node: port.name, reason: reason))
          }
        }
      }
    }
    fixAll(graph.inputs, "is an input of the model")
    for (node, operation) in zip(graph.nodes, operators) {
      var relations = AxisRelations(
        inputs: inputs(of: node),
        outputs: node.outputs.map { values[$0] ?? ValueInfo(shape: []) }, classes: classes)
      // The relations own the classes while they are written.
      classes = AxisClasses([:])
      do throws(CoalitionError) {
        try operation.relateAxes(&relations)
      } catch {
        throw error.at(node.label)
      }
      classes = relations.classes
    }
    fixAll(graph.outputs, "is an output of the model")
    return classes
  }

  package func inputs(of node: Node) -> Inputs {
    Inputs(node: node, values: node.inputs.map { $0.isEmpty ? nil : values[$0] })
  }
}
