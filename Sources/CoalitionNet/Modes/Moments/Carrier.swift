// What an affine step does to changes and to variances of its input.
//
// For y = W x + b a change of x goes to W dx, and the variances of independent x to (W o W) var x: the same step
// without its constant terms, through the weights or through their squares. A carrier holds such numbers beside the
// values of a forward pass, one vector (or several: the tangents of a covariance factor) for every position.

import CLanes
import CoalitionBase

/// Changes or variances of the values of a forward pass, buffer by buffer.
struct Carrier: Sendable {
  enum Kind: Sendable { case changes, variances }

  let kind: Kind
  /// Numbers per position: the outermost axis of every buffer. Variances: 1.
  let count: Int
  /// Per buffer of the forward pass.
  private(set) var places: [Int: Operand] = [:]

  init(_ kind: Kind, count: Int = 1) {
    self.kind = kind
    self.count = count
  }

  func carries(_ operand: Operand) -> Bool { operand.buffer.map { places[$0] != nil } ?? false }

  /// Lets a buffer that exists hold the numbers of a forward value.
  mutating func set(_ buffer: Int, to place: Operand) { places[buffer] = place }

  /// The buffer for a forward value that a step writes, made when there is none yet.
  mutating func place(of operand: Operand, _ lowering: inout Lowering) throws(CoalitionError) {
    guard let buffer = operand.buffer, places[buffer] == nil else { return }
    places[buffer] = lowering.buffer(
      try ValueInfo.checkedCount([count, lowering.draft.buffers[buffer]]))
  }

  /// The numbers at a view of a forward value, behind an axis of `count`: nil for values without any.
  func view(_ view: View, _ lowering: Lowering) -> View? {
    guard let buffer = view.operand.buffer, let place = places[buffer] else { return nil }
    return View(
      Operand(space: place.space, offset: place.offset + view.operand.offset),
      axes: [[Digit(size: count, stride: lowering.draft.buffers[buffer])]] + view.axes)
  }

  /// The numbers of `positions` positions from a forward operand on, without gaps: [count][positions].
  func dense(
    _ operand: Operand, positions: Int, _ lowering: inout Lowering
  ) throws(CoalitionError) -> Operand? {
    guard let view = view(View(operand, shape: [positions]), lowering) else { return nil }
    return view.isDense ? view.operand : try lowering.copied(view).operand
  }

  /// A fixed factor as this kind sees it, for every number: itself, or its square.
  func factor(_ view: View, _ lowering: inout Lowering) throws(CoalitionError) -> View {
    var seen = view
    if kind == .variances {
      seen = try lowering.combined(.multiply, view, view, shape: view.shape)
    }
    return seen.repeated(count)
  }
}

extension View {
  /// The same elements `count` times, along a new outermost axis.
  func repeated(_ count: Int) -> View {
    View(operand, axes: [[Digit(size: count, stride: 0)]] + axes)
  }
}

/// A step that is affine in some of what it reads.
protocol AffineStep: ReversibleStep {
  /// Whether the output is an affine map of the operands that vary.
  func isAffine(_ varies: (Operand) -> Bool) -> Bool
  /// Writes the numbers of the output from those of the inputs. Something that the step reads has numbers.
  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError)
}

extension AffineStep {
  /// Where the numbers of the output go, behind the axis of the carrier.
  fileprivate func target(
    _ carrier: Carrier, _ lowering: Lowering
  ) throws(CoalitionError) -> View {
    guard let view = carrier.view(written, lowering) else {
      throw CoalitionError(
        .internalFault, "a carried value has no place", node: lowering.currentLabel)
    }
    return view
  }
}

extension Carrier {
  /// Takes the numbers of a step's inputs to its output: zeros where its inputs have none.
  mutating func pass(_ step: any AffineStep, _ lowering: inout Lowering) throws(CoalitionError) {
    guard let output = step.writes else { return }
    try place(of: output, &lowering)
    if step.reads.contains(where: carries) { return try step.carry(self, &lowering) }
    try clear(step, &lowering)
  }

  /// Zeros at what a step writes.
  mutating func clear(
    _ step: any ReversibleStep, _ lowering: inout Lowering
  ) throws(CoalitionError) {
    guard let output = step.writes else { return }
    try place(of: output, &lowering)
    guard let target = view(step.written, lowering) else { return }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    try lowering.copy(zero.broadcast(to: target.shape), to: target)
  }
}

// MARK: - Steps

extension ConvolutionStep: AffineStep {
  func isAffine(_ varies: (Operand) -> Bool) -> Bool {
    fusion.function == .identity && fusion.pool == (1, 1)
  }

  /// The vectors of a carrier are images of one step.
  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError) {
    guard let source = try carrier.dense(input, positions: inputCount, &lowering) else { return }
    var geometry = geometry
    geometry.images *= carrier.count
    let output = try target(carrier, lowering)
    let isSquared = carrier.kind == .variances
    let weights = try lowering.weights(
      self.weights, seenThrough: isSquared ? .square : .identity)
    lowering.emit(
      ConvolutionStep(
        geometry: geometry, input: source, output: output.operand, weights: weights, bias: nil,
        fusion: Lowering.Fusion(), transposesDirectly: isSquared))
  }
}

extension CopyStep: AffineStep {
  func isAffine(_ varies: (Operand) -> Bool) -> Bool { true }

  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError) {
    guard let source = carrier.view(nest.view(1, of: input), lowering) else { return }
    try lowering.copy(source, to: try target(carrier, lowering))
  }
}

extension PoolStep: AffineStep {
  func isAffine(_ varies: (Operand) -> Bool) -> Bool { kind == .average || kind == .sum }

  /// An average of n terms has 1/n of the average variance of its terms.
  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = images * channels * vertical.size * horizontal.size
    guard let source = try carrier.dense(input, positions: inputs, &lowering) else { return }
    let output = try target(carrier, lowering)
    var pool = self
    pool.images *= carrier.count
    pool.input = source
    pool.output = output.operand
    guard kind == .average, carrier.kind == .variances else { return lowering.emit(pool) }
    pool.output = lowering.buffer(output.count)
    lowering.emit(pool)
    let plane = [vertical.outputSize, horizontal.outputSize]
    let shares = View(
      lowering.constant(Tensor(.float64(divisors.map { $0 > 0 ? 1 / $0 : 0 }))),
      axes: [
        [Digit(size: images, stride: 0)], [Digit(size: plane[0], stride: plane[1])],
        [Digit(size: plane[1], stride: 1)], [Digit(size: channels, stride: 0)],
      ])
    let shape = [images] + plane + [channels]
    try lowering.combine(
      .multiply, View(pool.output, shape: shape), shares, into: View(output.operand, shape: shape))
  }

  /// Per output of a plane, the terms that the average divides by.
  private var divisors: [Double] {
    let rows = vertical.divisors(countingPadding: countsPadding)
    let columns = horizontal.divisors(countingPadding: countsPadding)
    return rows.flatMap { row in columns.map { Double(row * $0) } }
  }
}

extension PlacedWindow {
  /// Per output, the taps that an average counts: those on the input, or also those on the padding.
  func divisors(countingPadding: Bool) -> [Int] {
    (0..<outputSize).map { output in
      let start = output * stride - padBegin
      let places = (0..<kernel).map { start + $0 * dilation }
      return places.count { place in
        countingPadding ? place < size + padEnd : place >= 0 && place < size
      }
    }
  }
}

extension BinaryStep: AffineStep {
  func isAffine(_ varies: (Operand) -> Bool) -> Bool {
    switch function {
    case .add, .subtract: true
    case .multiply: !(varies(left) && varies(right))
    case .divide: !varies(right)
    case .maximum, .minimum, .prelu, .atLeast, .greater: false
    }
  }

  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError) {
    let output = try target(carrier, lowering)
    let (a, b) = (nest.view(1, of: left), nest.view(2, of: right))
    let (first, second) = (carrier.view(a, lowering), carrier.view(b, lowering))
    switch (first, second) {
    case (let first?, let second?):
      try carrySum(first, second, isTwice: a == b, carrier.kind, into: output, &lowering)
    case (let first?, nil):
      guard function == .multiply || function == .divide else {
        return try lowering.copy(first, to: output)
      }
      try lowering.combine(function, first, try carrier.factor(b, &lowering), into: output)
    case (nil, let second?):
      if function == .multiply {
        try lowering.combine(.multiply, try carrier.factor(a, &lowering), second, into: output)
      } else if function == .subtract, carrier.kind == .changes {
        let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
        try lowering.combine(
          .subtract, zero.broadcast(to: second.shape), second, into: output)
      } else {
        try lowering.copy(second, to: output)
      }
    case (nil, nil): return
    }
  }

  /// A value that is added to itself is twice that value, not the sum of two independent ones.
  private func carrySum(
    _ first: View, _ second: View, isTwice: Bool, _ kind: Carrier.Kind, into output: View,
    _ lowering: inout Lowering
  ) throws(CoalitionError) {
    guard isTwice else {
      return try lowering.combine(
        function == .subtract && kind == .changes ? .subtract : .add, first, second, into: output)
    }
    let times = function == .subtract ? 0.0 : kind == .variances ? 4 : 2
    let number = View(lowering.constant(Tensor(.float64([times]))), shape: [])
    try lowering.combine(.multiply, first, number.broadcast(to: first.shape), into: output)
  }
}

extension PointwiseStep: AffineStep {
  func isAffine(_ varies: (Operand) -> Bool) -> Bool {
    function.id == Int32(LN_FUNCTION_identity.rawValue)
      || function.id == Int32(LN_FUNCTION_negative.rawValue)
  }

  func carry(_ carrier: Carrier, _ lowering: inout Lowering) throws(CoalitionError) {
    guard let source = carrier.view(View(input, shape: [count]), lowering) else { return }
    let output = try target(carrier, lowering)
    let isNegative = function.id == Int32(LN_FUNCTION_negative.rawValue)
    guard isNegative, carrier.kind == .changes else {
      return try lowering.copy(source, to: output)
    }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    try lowering.combine(.subtract, zero.broadcast(to: source.shape), source, into: output)
  }
}
