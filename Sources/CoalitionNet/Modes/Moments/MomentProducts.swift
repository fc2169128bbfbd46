// Moments of products, quotients, maxima of two values and PRelu.
//
// Of two normal variables A and B with covariance c = sum_a A_a B_a (their factors; rests are independent):
//     E AB = ma mb + c,     Var AB = ma^2 sb + mb^2 sa + 2 ma mb c + sa sb + c^2
// The factors of the product are ma B_a + mb A_a, the part of it that is linear in both; the rest is
//     ma^2 rb + mb^2 ra + sa sb + c^2.
// A value times itself is its square (csrc/ops/moments.c).
// Quotients are products with 1/B, whose moments are linearised. max(A, B) is a pool of two; min(A, B) = -max(-A, -B).

import CLanes
import CoalitionBase

extension BinaryStep: RandomStep {
  func propagate(_ pass: inout MomentPass) throws(CoalitionError) {
    switch function {
    case .multiply: try propagateProduct(&pass)
    case .divide: try propagateQuotient(&pass)
    case .maximum, .minimum: try propagateSelection(&pass)
    case .prelu: try propagatePRelu(&pass)
    case .add, .subtract, .atLeast, .greater:
      throw CoalitionError(.unsupported, "moments do not go through this step: \(summary)")
    }
  }

  private func propagateProduct(_ pass: inout MomentPass) throws(CoalitionError) {
    let shape = nest.sizes
    let (a, b) = (nest.view(1, of: left), nest.view(2, of: right))
    let out = nest.view(0, of: output)
    if a == b {
      return try pass.copy(try pass.applied(Function(LN_FUNCTION_square), to: a), to: out)
    }
    try pass.admit(output)
    guard let (restA, restB, target) = pass.rests(a, b, out) else { return try pass.lose() }
    let squareA = try pass.lowering.combined(.multiply, a, a, shape: shape)
    let squareB = try pass.lowering.combined(.multiply, b, b, shape: shape)
    let first = try pass.lowering.combined(.multiply, squareA, restB, shape: shape)
    let second = try pass.lowering.combined(.multiply, squareB, restA, shape: shape)
    var rest = try pass.lowering.combined(.add, first, second, shape: shape)
    let totals = try (pass.total(a, restA), pass.total(b, restB))
    let spread = try pass.lowering.combined(.multiply, totals.0, totals.1, shape: shape)
    rest = try pass.lowering.combined(.add, rest, spread, shape: shape)

    guard let (factorA, factorB, factorOut) = pass.factors(a, b, out) else {
      try pass.lowering.copy(rest, to: target)
      return pass.lowering.emit(self)
    }
    let covariance = try pass.sumOverFactors(factorA, factorB, shape)
    let square = try pass.lowering.combined(.multiply, covariance, covariance, shape: shape)
    try pass.lowering.combine(.add, rest, square, into: target)
    let mean = try pass.lowering.combined(.multiply, a, b, shape: shape)
    try pass.lowering.combine(.add, mean, covariance, into: out)
    let wide = [pass.rank] + shape
    let one = try pass.lowering.combined(.multiply, factorB, a.repeated(pass.rank), shape: wide)
    let two = try pass.lowering.combined(.multiply, factorA, b.repeated(pass.rank), shape: wide)
    try pass.lowering.combine(.add, one, two, into: factorOut)
  }

  /// a / b = a (1 / b).
  private func propagateQuotient(_ pass: inout MomentPass) throws(CoalitionError) {
    let inverse = try pass.applied(
      Function(LN_FUNCTION_reciprocal), to: nest.view(2, of: right))
    var product = self
    product.function = .multiply
    product.right = inverse.operand
    guard
      let nest = Nest(over: [nest.view(0, of: output), nest.view(1, of: left), inverse])
    else { return try pass.lose() }
    product.nest = nest
    try pass.pass(product)
  }

  /// Both values side by side, and the maximum of each pair.
  private func propagateSelection(_ pass: inout MomentPass) throws(CoalitionError) {
    let isMinimum = function == .minimum
    let count = nest.count
    let pairs = try pass.buffer(2 * count)
    for (place, view) in [nest.view(1, of: left), nest.view(2, of: right)].enumerated() {
      let part = View(
        Operand(space: pairs.space, offset: place * count), shape: nest.sizes)
      let source = isMinimum ? try pass.applied(Function(LN_FUNCTION_negative), to: view) : view
      try pass.copy(source, to: part)
    }
    var window = PlacedWindow.point
    (window.size, window.kernel) = (2, 2)
    var result = try pass.buffer(count)
    try pass.pass(
      PoolStep(
        kind: .maximum, countsPadding: false, images: 1, channels: count, vertical: .point,
        horizontal: window, input: pairs, output: result))
    if isMinimum {
      result = try pass.applied(
        Function(LN_FUNCTION_negative), to: View(result, shape: [count])
      ).operand
    }
    try pass.copy(View(result, shape: nest.sizes), to: nest.view(0, of: output))
  }

  /// x < 0 ? y x : x is P - y N with P = relu(x), N = relu(-x) and Cov(P, N) = -E P E N. The slope counts as fixed.
  private func propagatePRelu(_ pass: inout MomentPass) throws(CoalitionError) {
    guard !pass.varies(right) else {
      throw CoalitionError(.unsupported, "a PRelu with a random slope has no moments")
    }
    let shape = nest.sizes
    let relu = Function(LN_FUNCTION_relu)
    let x = nest.view(1, of: left)
    let slope = nest.view(2, of: right)
    let positive = try pass.applied(relu, to: x)
    let negative = try pass.applied(
      relu, to: try pass.applied(Function(LN_FUNCTION_negative), to: x))
    let out = nest.view(0, of: output)
    try pass.admit(output)
    guard let (restP, restN, target) = pass.rests(positive, negative, out) else {
      return try pass.lose()
    }
    let scaled = try pass.lowering.combined(.multiply, negative, slope, shape: shape)
    try pass.lowering.combine(.subtract, positive, scaled, into: out)
    let square = try pass.lowering.combined(.multiply, slope, slope, shape: shape)
    var rest = try pass.lowering.combined(
      .add, restP, try pass.lowering.combined(.multiply, restN, square, shape: shape), shape: shape)
    var overlap = try pass.lowering.combined(.multiply, positive, negative, shape: shape)
    if let (factorP, factorN, factorOut) = pass.factors(positive, negative, out) {
      // Factors of P and N point opposite ways: their product is below 0.
      overlap = try pass.lowering.combined(
        .add, overlap, try pass.sumOverFactors(factorP, factorN, shape), shape: shape)
      let wide = [pass.rank] + shape
      let part = try pass.lowering.combined(
        .multiply, factorN, slope.repeated(pass.rank), shape: wide)
      try pass.lowering.combine(.subtract, factorP, part, into: factorOut)
    }
    let twice = try pass.lowering.combined(
      .multiply, slope, try pass.lowering.combined(.add, overlap, overlap, shape: shape),
      shape: shape)
    rest = try pass.lowering.combined(.add, rest, twice, shape: shape)
    try pass.lowering.copy(
      try pass.lowering.applied(Function(LN_FUNCTION_relu), to: rest), to: target)
  }
}

// MARK: - Views of moments

extension MomentPass {
  /// Two rests (zeros for a fixed value) and the place of a third.
  mutating func rests(_ a: View, _ b: View, _ out: View) -> (View, View, View)? {
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    guard let target = rest(out) else { return nil }
    return (
      rest(a) ?? zero.broadcast(to: a.shape), rest(b) ?? zero.broadcast(to: b.shape), target
    )
  }

  /// The same of factors; nil at rank 0.
  mutating func factors(_ a: View, _ b: View, _ out: View) -> (View, View, View)? {
    guard let target = factor(out) else { return nil }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    return (
      factor(a) ?? zero.broadcast(to: [rank] + a.shape),
      factor(b) ?? zero.broadcast(to: [rank] + b.shape), target
    )
  }

  /// The variance of a value: its rest and what its factors say.
  mutating func total(_ view: View, _ rest: View) throws(CoalitionError) -> View {
    guard let factor = factor(view) else { return rest }
    return try lowering.combined(
      .add, rest, try sumOverFactors(factor, factor, view.shape), shape: view.shape)
  }

  mutating func sumOverFactors(
    _ a: View, _ b: View, _ shape: [Int]
  ) throws(CoalitionError) -> View {
    let product = try lowering.combined(.multiply, a, b, shape: [rank] + shape)
    let sum = try sum(product, over: 0)
    return View(sum.operand, axes: Array(sum.axes.dropFirst()))
  }

  /// The sum along an axis, of size 1 there.
  mutating func sum(_ view: View, over axis: Int) throws(CoalitionError) -> View {
    let shape = view.shape
    let dense = view.isRowMajor ? view : try lowering.copied(view)
    let sums = lowering.sum(
      dense.operand, blocks: shape[..<axis].reduce(1, *), rows: shape[axis],
      columns: shape[(axis + 1)...].reduce(1, *))
    var reduced = shape
    reduced[axis] = 1
    return View(sums, shape: reduced)
  }

  /// A function of a random (or fixed) value, as a new value in row-major order.
  mutating func applied(
    _ function: Function, to view: View
  ) throws(CoalitionError) -> View {
    let source = try buffer(view.count)
    try copy(view, to: View(source, shape: view.shape))
    let result = try buffer(view.count)
    try pass(
      PointwiseStep(function: function, input: source, output: result, count: view.count))
    return View(result, shape: view.shape)
  }

  /// Copies values with their moments.
  mutating func copy(_ source: View, to target: View) throws(CoalitionError) {
    try admit(target.operand)
    try pass(
      CopyStep(
        input: source.operand, output: target.operand,
        nest: try lowering.nest(over: [target, source])))
  }

  func lose() throws(CoalitionError) {
    throw CoalitionError(
      .internalFault, "moments have no loop nest here", node: lowering.currentLabel)
  }
}
