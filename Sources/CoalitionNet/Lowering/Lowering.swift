// From nodes to steps: the context in which operators lower themselves.

import CoalitionBase

/// The state of a lowering: values that exist so far as views, and the steps that make them.
package struct Lowering {
  /// What is known of every value that is met.
  let values: [String: ValueInfo]
  /// Constants of the graph. Others are folded from shapes and differ from plan to plan.
  private let named: Set<String>
  var draft = Draft()
  /// Values that have been lowered.
  private var views: [String: View] = [:]
  /// Blocks of constants by value name.
  private var constantViews: [String: View] = [:]
  private var node = Node("", inputs: [], outputs: [])
  /// Of a program that trains.
  var training: TrainingNotes?
  /// What new steps belong to: nil for the current node.
  var label: String?
  var currentLabel: String { label ?? node.label }
  /// What the current node is asked to do to its output in the same step.
  private(set) var fusion = Fusion()

  /// Convolutions are direct sums, even where minimal filtering is cheaper.
  var convolvesDirectly = false

  /// Pieces that one value may be put together from, each a step or a few: a file can ask for any number.
  static let pieceLimit = 4096

  init(_ values: [String: ValueInfo], named: Set<String> = []) {
    self.values = values
    self.named = named
  }

  /// Later nodes that an affine step does while its output is in registers.
  struct Fusion: Sendable {
    var function = Function.identity
    /// The window of a max pool that tiles the map: (1, 1) for none.
    var pool = (height: 1, width: 1)
    /// A constant that is added to every row of a product.
    var bias: String?
  }

  /// Lowers one node. `outputs` are the names under which its outputs are known; with a fusion, the last fused
  /// node's.
  mutating func lower(
    _ node: Node, _ operation: any Operator, fusion: Fusion = Fusion(), outputs: [String]? = nil
  ) throws(CoalitionError) {
    self.node = node
    self.node.outputs = outputs ?? node.outputs
    self.fusion = fusion
    do throws(CoalitionError) {
      try operation.lower(&self)
    } catch {
      throw error.at(node.label)
    }
  }

  // MARK: Values

  var inputs: Inputs {
    Inputs(node: node, values: node.inputs.map { values[$0] })
  }

  func outputInfo(_ index: Int = 0) throws(CoalitionError) -> ValueInfo {
    guard index < node.outputs.count, let info = values[node.outputs[index]] else {
      throw CoalitionError(.internalFault, "output \(index) was not inferred", node: node.label)
    }
    return info
  }

  func wants(output index: Int) -> Bool {
    index < node.outputs.count && !node.outputs[index].isEmpty
  }

  /// The elements of an input, wherever they are.
  mutating func view(_ index: Int) throws(CoalitionError) -> View {
    guard let name = node.input(index) else {
      throw CoalitionError(.invalidData, "input \(index) is missing", node: node.label)
    }
    return try view(of: name)
  }

  mutating func view(of name: String) throws(CoalitionError) -> View {
    if let view = views[name] ?? constantViews[name] { return view }
    guard let constant = values[name]?.constant else {
      throw CoalitionError(.internalFault, "the value '\(name)' was not lowered", node: node.label)
    }
    let view = View(
      self.constant(constant.value, name: self.name(of: name)), shape: constant.value.shape)
    constantViews[name] = view
    return view
  }

  /// The elements of an input in the arena, in lanes: a constant is copied there.
  mutating func lanes(_ index: Int) throws(CoalitionError) -> View {
    let view = try view(index)
    return view.operand.isConstant ? try copied(view) : view
  }

  /// The elements of an input in the arena in the memory order `order` of its axes, without gaps.
  mutating func lanes(_ index: Int, inOrder order: [Int]) throws(CoalitionError) -> View {
    let view = try view(index)
    if !view.operand.isConstant && view.isDense(inOrder: order) { return view }
    return try copied(view, inOrder: order)
  }

  mutating func set(output index: Int = 0, _ view: View) {
    if wants(output: index) { views[node.outputs[index]] = view }
  }

  mutating func set(value name: String, _ view: View) { views[name] = view }

  // MARK: Steps

  mutating func buffer(_ positions: Int) -> Operand {
    draft.buffers.append(positions)
    return Operand(space: .buffer(draft.buffers.count - 1))
  }

  mutating func constant(
    _ tensor: Tensor, layout: ConstantSource.Layout = .rowMajor, name: ConstantSource.Name? = nil
  ) -> Operand {
    constant(ConstantSource(HostView(tensor), layout: layout, name: name))
  }

  mutating func constant(_ source: ConstantSource) -> Operand {
    draft.constants.append(source)
    return Operand(space: .constant(draft.constants.count - 1))
  }

  /// The name under which blocks made from a value can be shared.
  func name(of value: String, form: String = "") -> ConstantSource.Name? {
    named.contains(value) ? ConstantSource.Name(value: value, form: form) : nil
  }

  /// - Parameter label: what the step belongs to; the current node by default.
  mutating func emit(_ step: some Step, label: String? = nil) {
    draft.steps.append(step)
    draft.labels.append(label ?? currentLabel)
  }

  /// A dense copy in the arena; the axes in the given memory order, row-major by default.
  mutating func copied(_ view: View, inOrder order: [Int]? = nil) throws(CoalitionError) -> View {
    let shape = view.shape
    let result = View(buffer(view.count), shape: shape, order: order ?? Array(shape.indices))
    try copy(view, to: result)
    return result
  }

  /// Elements from one view to another of the same shape.
  mutating func copy(_ source: View, to target: View) throws(CoalitionError) {
    var source = source
    if Nest(over: [target, source]) == nil {
      // The digits of one side cut across those of the other: go through row-major order.
      let middle = View(buffer(source.count), shape: source.shape)
      emit(
        CopyStep(
          input: source.operand, output: middle.operand, nest: try nest(over: [middle, source])))
      source = middle
    }
    emit(
      CopyStep(
        input: source.operand, output: target.operand, nest: try nest(over: [target, source])))
  }

  /// The nest over views that are known to have one.
  /// - Throws: `limitExceeded` for a nest with more axes than the engine walks.
  func nest(over views: [View]) throws(CoalitionError) -> Nest {
    guard let nest = Nest(over: views) else {
      throw CoalitionError(
        .internalFault, "no loop nest goes over \(views.first?.shape ?? [])", node: currentLabel)
    }
    guard nest.sizes.count <= Nest.axisLimit else {
      throw CoalitionError(
        .limitExceeded, "an element order of so many axes is not supported", node: currentLabel,
        expected: "at most \(Nest.axisLimit)", found: "\(nest.sizes.count)")
    }
    return nest
  }
}
