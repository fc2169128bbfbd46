// Moments of softmax and of its logarithm.
//
// Softmax is linearised: mean p = softmax(m), factors J L, rest (J o J) rest with J = diag p - p p'.
//
// Its logarithm is z - log sum exp z, whose mean is what a loss is made of and is far from that at the mean where scores are
// wide. The sum is folded in halves, as maxima are (Clark): log(e^A + e^B) = B + softplus(A - B). With d = A - B normal,
// g = E sigmoid(d) and bend = Var softplus(d) - g^2 Var d, both from csrc/ops/moments.c,
//     mean mb + E softplus(d)     factors (1 - g) B + g A     rest (1 - g)^2 rb + g^2 ra + bend
// which is exact for the mean of two jointly normal scores of any width. The rest of log p is linearised as above,
// at the softmax of E log p.

import CLanes
import CoalitionBase

extension SoftmaxStep: RandomStep {
  func propagate(_ pass: inout MomentPass) throws(CoalitionError) {
    let shape = [outer, axis, inner]
    let x = View(input, shape: shape)
    let out = View(output, shape: shape)
    try pass.admit(output)
    guard let (rest, _, target) = pass.rests(x, x, out) else { return try pass.lose() }
    var share = out
    if isLogarithm {
      let sum = try logarithmicSum(x, &pass)
      try pass.lowering.combine(.subtract, x, sum, into: out)
      if let factor = pass.factor(x), let own = pass.factor(sum), let target = pass.factor(out) {
        try pass.lowering.combine(.subtract, factor, own, into: target)
      }
      // exp E log p does not add up to 1.
      var normalised = self
      normalised.isLogarithm = false
      normalised.input = output
      normalised.output = try pass.buffer(outer * axis * inner)
      pass.lowering.emit(normalised)
      share = View(normalised.output, shape: shape)
    } else {
      pass.lowering.emit(self)
    }
    // p (L - sum p L)
    if !isLogarithm, let (factor, _, factorOut) = pass.factors(x, x, out) {
      let wide = [pass.rank] + shape
      let weighted = try pass.lowering.combined(
        .multiply, factor, share.repeated(pass.rank), shape: wide)
      let mean = try pass.sum(weighted, over: 2)
      let centred = try pass.lowering.combined(.subtract, factor, mean, shape: wide)
      try pass.lowering.combine(
        .multiply, centred, share.repeated(pass.rank), into: factorOut)
    }
    // The diagonal of J rest J': (1 - 2 p) rest + sum p^2 rest, times p^2 where it is not the logarithm.
    let square = try pass.lowering.combined(.multiply, share, share, shape: shape)
    let spread = try pass.sum(
      try pass.lowering.combined(.multiply, square, rest, shape: shape), over: 1)
    let weighted = try pass.lowering.combined(.multiply, share, rest, shape: shape)
    let twice = try pass.lowering.combined(.add, weighted, weighted, shape: shape)
    let own = try pass.lowering.combined(.subtract, rest, twice, shape: shape)
    let total = try pass.lowering.combined(.add, own, spread, shape: shape)
    if isLogarithm {
      try pass.lowering.copy(total, to: target)
    } else {
      try pass.lowering.combine(.multiply, total, square, into: target)
    }
  }

  /// log sum exp of the classes at every position of [outer, axis, inner], of size 1 there and repeated.
  private func logarithmicSum(
    _ x: View, _ pass: inout MomentPass
  ) throws(CoalitionError) -> View {
    let width = outer * inner
    var sums = try pass.buffer(axis * width)
    try pass.copy(
      View(x.operand, axes: [x.axes[1], x.axes[0], x.axes[2]]),
      to: View(sums, shape: [axis, outer, inner]))
    func part(_ place: Operand, _ first: Int, _ count: Int) -> View {
      View(
        Operand(space: place.space, offset: place.offset + first * width), shape: [count * width])
    }
    var count = axis
    while count > 1 {
      let half = count / 2
      let merged = try pass.buffer((count - half) * width)
      try pass.mergeExponentials(
        part(sums, 0, half), part(sums, half, half), into: part(merged, 0, half))
      if count % 2 == 1 { try pass.copy(part(sums, 2 * half, 1), to: part(merged, half, 1)) }
      sums = merged
      count -= half
    }
    let whole = View(sums, shape: [outer, inner])
    return View(sums, axes: [whole.axes[0], [Digit(size: axis, stride: 0)], whole.axes[1]])
  }
}

extension MomentPass {
  /// log(exp A + exp B) = B + softplus(A - B), position by position.
  fileprivate mutating func mergeExponentials(
    _ a: View, _ b: View, into out: View
  ) throws(CoalitionError) {
    let shape = a.shape
    let difference = View(try buffer(a.count), shape: shape)
    try pass(
      BinaryStep(
        function: .subtract, left: a.operand, right: b.operand, output: difference.operand,
        nest: try lowering.nest(over: [difference, a, b])))
    let gain = try applied(Function(LN_FUNCTION_softplus), to: difference)
    let g = try applied(Function(LN_FUNCTION_sigmoid), to: difference)
    try lowering.combine(.add, b, gain, into: out)

    guard let restA = rest(a), let restB = rest(b), let target = rest(out),
      let restGain = rest(gain), let spread = rest(difference)
    else { return try lose() }
    let square = try lowering.combined(.multiply, g, g, shape: shape)
    let linear = try lowering.combined(.multiply, square, spread, shape: shape)
    let bend = try lowering.applied(
      Function(LN_FUNCTION_relu),
      to: try lowering.combined(.subtract, restGain, linear, shape: shape))
    let one = View(lowering.constant(Tensor(.float64([1]))), shape: []).broadcast(to: shape)
    let share = try lowering.combined(.subtract, one, g, shape: shape)
    let squareB = try lowering.combined(.multiply, share, share, shape: shape)
    let partA = try lowering.combined(.multiply, square, restA, shape: shape)
    let partB = try lowering.combined(.multiply, squareB, restB, shape: shape)
    let both = try lowering.combined(.add, partA, partB, shape: shape)
    try lowering.combine(.add, both, bend, into: target)
    if let factorB = factor(b), let own = factor(gain), let factorOut = factor(out) {
      try lowering.combine(.add, factorB, own, into: factorOut)
    }
  }
}
