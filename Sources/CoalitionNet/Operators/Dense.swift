// Gemm and MatMul with constant weights: rows of features times a matrix.
//
// Features are taken in the order in which they lie in memory, and the rows of the matrix are permuted to it: a
// flattened channels-last map costs nothing.

import CoalitionBase

/// Y = alpha A' B' + beta C, where A is computed and B is constant, or the other way round.
struct Gemm: Operator {
  static let operations = ["Gemm"]

  let alpha: Double
  let beta: Double
  let transposesA: Bool
  let transposesB: Bool

  init(reading node: NodeReader) throws(CoalitionError) {
    alpha = try node.float("alpha", 1)
    beta = try node.float("beta", 1)
    transposesA = try node.flag("transA", false)
    transposesB = try node.flag("transB", false)
  }

  var kind: OperatorKind { .affine }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let a = try inputs.required(0)
    let b = try inputs.required(1)
    guard a.shape.count == 2, b.shape.count == 2 else {
      throw CoalitionError(
        .shapeMismatch, "Gemm takes two matrices", found: "\(a.shape) and \(b.shape)")
    }
    let (m, k) = transposesA ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
    let (kB, n) = transposesB ? (b.shape[1], b.shape[0]) : (b.shape[0], b.shape[1])
    guard k == kB else {
      throw CoalitionError(
        .shapeMismatch, "the matrices of Gemm do not fit", expected: "\(k) rows in B",
        found: "\(kB)")
    }
    guard a.constant != nil || b.constant != nil else {
      throw CoalitionError(
        .unsupported, "a product of two computed matrices is not supported")
    }
    var places = [
      a.example.moved { $0 == (transposesA ? 1 : 0) ? 0 : nil },
      b.example.moved { $0 == (transposesB ? 0 : 1) ? 1 : nil },
    ]
    if let c = inputs[optional: 2] {
      guard (try? broadcastShape([c.shape, [m, n]])) == [m, n] else {
        throw CoalitionError(
          .shapeMismatch, "C of Gemm does not broadcast", expected: "[\(m), \(n)]",
          found: "\(c.shape)")
      }
      places.append(c.example.moved { $0 + 2 - c.shape.count })
    }
    return [ValueInfo(shape: [m, n], example: .common(places))]
  }

  func multiplyAdds(_ inputs: Inputs, outputs: [ValueInfo]) -> Int {
    (inputs[optional: 0]?.count ?? 0) * (outputs.first?.shape.last ?? 0)
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let b = try inputs.required(1)
    var bias: DenseTerm?
    if let c = inputs[optional: 2], beta != 0 {
      bias = DenseTerm(info: c, index: 2, scale: beta)
    }
    if b.constant != nil {
      let x = try lowering.lanes(0)
      try lowering.dense(
        x: transposesA ? x.transposed([1, 0]) : x, weightIndex: 1, transposed: transposesB,
        scale: alpha, bias: bias)
    } else {
      // Y^T = B'^T A'^T: the constant matrix stands on the right again.
      let x = try lowering.lanes(1)
      try lowering.dense(
        x: transposesB ? x : x.transposed([1, 0]), weightIndex: 0, transposed: !transposesA,
        scale: alpha, bias: bias, transposedOutput: true)
    }
  }
}

/// numpy's matmul with one constant operand.
struct MatMul: Operator {
  static let operations = ["MatMul"]

  init(reading node: NodeReader) throws(CoalitionError) {}

  var kind: OperatorKind { .affine }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let a = try inputs.required(0)
    let b = try inputs.required(1)
    guard !a.shape.isEmpty, !b.shape.isEmpty else {
      throw CoalitionError(.shapeMismatch, "MatMul takes no scalars")
    }
    // A vector is a row on the left and a column on the right; the axis is dropped again.
    let left = a.shape.count == 1 ? [1] + a.shape : a.shape
    let right = b.shape.count == 1 ? b.shape + [1] : b.shape
    guard left[left.count - 1] == right[right.count - 2] else {
      throw CoalitionError(
        .shapeMismatch, "the matrices of MatMul do not fit",
        expected: "\(left[left.count - 1]) rows in B", found: "\(b.shape)")
    }
    guard a.constant != nil || b.constant != nil else {
      throw CoalitionError(.unsupported, "a product of two computed tensors is not supported")
    }
    let batch = try broadcastShape([Array(left.dropLast(2)), Array(right.dropLast(2))])
    var shape = batch
    if a.shape.count > 1 { shape.append(left[left.count - 2]) }
    if b.shape.count > 1 { shape.append(right[right.count - 1]) }
    let rank = batch.count + 2
    let leftPlace = a.example.moved { axis in
      axis == a.shape.count - 1 ? nil : axis + rank - a.shape.count
    }
    let rightPlace = b.example.moved { axis in
      if b.shape.count == 1 || axis == b.shape.count - 2 { return nil }
      let place = axis + rank - b.shape.count
      return a.shape.count == 1 && place == rank - 1 ? rank - 2 : place
    }
    var example = ExampleAxis.common([leftPlace, rightPlace])
    // A stack of matrices that is broadcast along the examples would stand for that many of them.
    if let place = example.anyAxis,
      [a, b].contains(where: { info in
        info.example.anyAxis.map { info.shape[$0] != shape[place] } ?? false
      })
    {
      example = .mixed
    }
    return [ValueInfo(shape: shape, example: example)]
  }

  func multiplyAdds(_ inputs: Inputs, outputs: [ValueInfo]) -> Int {
    (outputs.first?.count ?? 0) * (inputs[optional: 0]?.shape.last ?? 0)
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let a = try inputs.required(0)
    let b = try inputs.required(1)
    if isOneMatrix(b) {
      try lowering.dense(x: try lowering.lanes(0), weightIndex: 1, transposed: false)
    } else if isOneMatrix(a) {
      // y = A x, column by column: x^T A^T.
      let x = try lowering.lanes(1)
      try lowering.dense(
        x: b.shape.count == 1 ? x : x.withLastAxesSwapped, weightIndex: 0,
        transposed: a.shape.count > 1, transposedOutput: b.shape.count > 1)
    } else {
      try lowerBatched(&lowering, constantRight: b.constant != nil)
    }
  }

  /// Whether an operand is constant and one matrix or vector, however many axes of size 1 stand before it.
  func isOneMatrix(_ info: ValueInfo) -> Bool {
    info.constant != nil && info.shape.dropLast(2).allSatisfy { $0 == 1 }
  }

  /// Stacks of matrices: one dense step per matrix of the stack.
  private func lowerBatched(
    _ lowering: inout Lowering, constantRight: Bool
  ) throws(CoalitionError) {
    let inputs = lowering.inputs
    let shape = try lowering.outputInfo().shape
    let a = try inputs.required(0)
    let b = try inputs.required(1)
    // Full forms: every operand [batch..., rows, columns].
    let left = a.shape.count == 1 ? [1] + a.shape : a.shape
    let right = b.shape.count == 1 ? b.shape + [1] : b.shape
    let batch = try broadcastShape([Array(left.dropLast(2)), Array(right.dropLast(2))])
    let (rows, inner, columns) = (
      left[left.count - 2], left[left.count - 1], right[right.count - 1]
    )
    let count = batch.reduce(1, *)
    guard count <= Lowering.pieceLimit else {
      throw CoalitionError(
        .limitExceeded, "a stack of so many matrices is not supported",
        expected: "at most \(Lowering.pieceLimit)", found: "\(count) of shape \(batch)")
    }
    let full = View(
      lowering.buffer(count * rows * columns), shape: batch + [rows, columns])
    guard
      let constant = (constantRight ? b : a).constant?.value,
      let matrices = try lowering.lanes(constantRight ? 0 : 1)
        .reshaped(to: constantRight ? left : right)
    else {
      throw CoalitionError(.internalFault, "the operands of MatMul were not lowered")
    }
    let lanes = matrices.broadcast(to: batch + Array((constantRight ? left : right).suffix(2)))
    let weights = try HostView(constant).reshaped(to: constantRight ? right : left)
      .broadcast(to: batch + Array((constantRight ? right : left).suffix(2)))
    // A matrix that the stack repeats has one block.
    let own = (constantRight ? right : left).dropLast(2)
    let name = inputs.node.input(constantRight ? 1 : 0)
    var blocks: [[Int]: Operand] = [:]
    for index in indices(of: batch) {
      guard let x = lanes.element(index), let y = full.element(index) else {
        throw CoalitionError(.internalFault, "a matrix of a stack is not a view")
      }
      let geometry = ConvolutionGeometry(
        rows: constantRight ? rows : columns, inputs: inner, outputs: constantRight ? columns : rows
      )
      let place = zip(own, index.suffix(own.count)).map { size, place in size == 1 ? 0 : place }
      let block: Operand
      if let known = blocks[place] {
        block = known
      } else {
        let matrix = weights.element(index)  // [inner, columns] or [rows, inner]
        block = lowering.constant(
          ConstantSource(
            constantRight ? matrix.transposed([1, 0]) : matrix, layout: .convolution(geometry),
            name: name.flatMap { lowering.name(of: $0, form: "matrix \(constantRight) \(place)") }))
        blocks[place] = block
      }
      try lowering.denseRows(
        constantRight ? x : x.withLastAxesSwapped, geometry, block: block,
        into: constantRight ? y : y.withLastAxesSwapped)
    }
    guard let result = full.reshaped(to: shape) else {
      throw CoalitionError(.internalFault, "the stack has no view of shape \(shape)")
    }
    lowering.set(result)
  }
}
