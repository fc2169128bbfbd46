// How products with a constant matrix become dense steps.

import CoalitionBase

/// The constant or computed term that a dense layer adds to its product.
struct DenseTerm {
  var info: ValueInfo
  var index: Int
  var scale: Double

  /// The numbers per output when the term is constant and the same for all rows.
  func perOutput(_ outputs: Int) -> Tensor? {
    guard let value = info.constant?.value else { return nil }
    let last = info.shape.last ?? 1
    guard value.count == last, last == 1 || last == outputs else { return nil }
    if scale == 1 && last == outputs { return try? value.reshaped(to: [outputs]) }
    let numbers = value.doubles.map { $0 * scale }
    return Tensor(
      .float64(last == outputs ? numbers : numbers.flatMap { Array(repeating: $0, count: outputs) })
    )
  }
}

extension Lowering {
  /// y = scale * x W + bias for x [..., inputs] and the constant matrix of input `weightIndex`, which is
  /// [inputs, outputs], or [outputs, inputs] when `transposed`.
  /// - Parameter transposedOutput: the node's output has its last two axes the other way round.
  mutating func dense(
    x: View, weightIndex: Int, transposed: Bool, scale: Double = 1, bias: DenseTerm? = nil,
    transposedOutput: Bool = false
  ) throws(CoalitionError) {
    let shape = try outputInfo().shape
    let (matrix, name) = try constantInput(weightIndex)
    // A vector is a matrix of one column, and a stack of one is its matrix.
    let weights = HostView(
      try matrix.reshaped(
        to: matrix.rank == 1 ? [matrix.count, 1] : Array(matrix.shape.suffix(2))))
    let oriented = transposed ? weights : weights.transposed([1, 0])  // [outputs, inputs]
    let (outputs, inputs) = (oriented.shape[0], oriented.shape[1])

    let rows = x.shape.dropLast().reduce(1, *)
    let source = x.featureOrder == nil ? try copied(x) : x
    guard let features = source.featureOrder else {
      throw CoalitionError(
        .internalFault, "a row-major copy has gaps", node: self.inputs.node.label)
    }
    var ordered = try oriented.inDigitOrder(axis: 1, features)
    if scale != 1 {
      let scaled = ordered.materialised().doubles.map { $0 * scale }
      ordered = HostView(try Tensor(shape: ordered.shape, elements: .float64(scaled)))
    }
    let shared = name.flatMap {
      self.name(
        of: $0.value, form: "dense \(transposed) \(scale) \(features.sizes) \(features.order)")
    }
    // The term lies along the last axis of the node's output.
    var perOutput = transposedOutput ? nil : bias?.perOutput(outputs)
    if let fused = fusion.bias.flatMap({ values[$0]?.constant?.value }) {
      perOutput = try fused.reshaped(to: [outputs])
    }
    let output = try convolve(
      ConvolutionGeometry(rows: rows, inputs: inputs, outputs: outputs), input: source.operand,
      weights: (ordered, shared), bias: perOutput.map { ($0, nil) })
    // Rows come out in the order in which they went in.
    let rowAxes = source.axes.dropLast().map {
      $0.map { Digit(size: $0.size, stride: $0.stride / inputs * outputs) }
    }
    var result = View(output, axes: rowAxes + [[Digit(size: outputs, stride: 1)]])
    if transposedOutput { result = result.withLastAxesSwapped }
    guard var final = shape == result.shape ? result : result.reshaped(to: shape) else {
      throw CoalitionError(.internalFault, "a product has no view of shape \(shape)")
    }
    if let bias, perOutput == nil {
      var term = try view(bias.index)
      if bias.scale != 1 {
        term = try combined(
          .multiply, term, View(constant(Tensor(.float64([bias.scale]))), shape: []),
          shape: term.shape)
      }
      final = try combined(.add, final, term, shape: shape)
    }
    set(final)
  }

  /// y = x W^T for one matrix of a stack: x [rows, inputs], the block of W [outputs, inputs], into y [rows, outputs].
  mutating func denseRows(
    _ x: View, _ geometry: ConvolutionGeometry, block: Operand, into y: View
  ) throws(CoalitionError) {
    let source = try copied(x)
    let output = try convolve(geometry, input: source.operand, weights: block, bias: nil)
    try copy(View(output, shape: y.shape), to: y)
  }
}

/// How the digits of an axis lie in memory.
struct DigitOrder: Hashable, Sendable {
  /// Sizes in logical order.
  var sizes: [Int]
  /// Indices into `sizes` in memory order, outermost first.
  var order: [Int]
}

extension View {
  /// The transposed matrices of a stack.
  var withLastAxesSwapped: View {
    let rank = axes.count
    return transposed(Array(0..<(rank - 2)) + [rank - 1, rank - 2])
  }

  /// The memory order of the last axis' digits when every row is a block without gaps and the rows follow each other
  /// without gaps; nil when they must be copied.
  var featureOrder: DigitOrder? {
    guard let last = axes.last, !operand.isConstant else { return nil }
    let order = last.indices.sorted { last[$0].stride > last[$1].stride }
    let features = View.merge(order.map { last[$0] })
    guard features.isEmpty || features.count == 1 && features[0].stride == 1 else { return nil }
    let count = last.reduce(1) { $0 * $1.size }
    let rows = View.merge(axes.dropLast().flatMap { $0 }.sorted { $0.stride > $1.stride })
    guard rows.isEmpty || rows.count == 1 && rows[0].stride == count else { return nil }
    return DigitOrder(sizes: last.map(\.size), order: order)
  }

  /// The view of one element along the leading axes, which are dropped: nil when a digit would have to be cut.
  func element(_ index: [Int]) -> View? {
    var view = self
    for (axis, position) in index.enumerated() {
      guard let slice = view.sliced(axis, start: position, step: 1, count: 1) else { return nil }
      view = slice
    }
    return View(view.operand, axes: Array(view.axes.dropFirst(index.count)))
  }
}
