// Steps of a forward pass that can be run once more on other buffers.

/// A step of a forward pass.
protocol RepeatableStep: Step {
  /// The same step with other operands in place of its own.
  func repeated(_ place: (Operand) -> Operand) -> Self
  /// Positions that it writes.
  var writtenCount: Int { get }
}

extension ConvolutionStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> ConvolutionStep {
    var copy = self
    copy.input = place(input)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int {
    geometry.images * (geometry.vertical.outputSize / fusion.pool.height)
      * (geometry.horizontal.outputSize / fusion.pool.width) * geometry.groups
      * geometry.outChannels
  }
}

extension PoolStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> PoolStep {
    var copy = self
    copy.input = place(input)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { images * channels * vertical.outputSize * horizontal.outputSize }
}

extension PointwiseStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> PointwiseStep {
    var copy = self
    copy.input = place(input)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { count }
}

extension BinaryStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> BinaryStep {
    var copy = self
    copy.left = place(left)
    copy.right = place(right)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { nest.count }
}

extension CopyStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> CopyStep {
    var copy = self
    copy.input = place(input)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { nest.count }
}

extension SoftmaxStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> SoftmaxStep {
    var copy = self
    copy.input = place(input)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { outer * axis * inner }
}

extension GatherStep: RepeatableStep {
  func repeated(_ place: (Operand) -> Operand) -> GatherStep {
    var copy = self
    copy.indices = place(indices)
    copy.output = place(output)
    return copy
  }

  var writtenCount: Int { count * width }
}
