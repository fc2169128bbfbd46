// The end of a delta pass: of a last dense layer only the outputs that are explained are made for each player.

import CoalitionBase

extension DeltaAnalysis {
  /// Cuts a dense layer at the end down to the outputs at `positions`, whose old sums are copied together in the
  /// base pass.
  /// - Returns: where the explained elements are now.
  mutating func narrow(
    _ target: Operand, at positions: [Int], _ lowering: inout Lowering
  ) throws(CoalitionError) -> (target: Operand, positions: [Int]) {
    let channels = Set(positions).sorted()
    guard let buffer = target.buffer,
      let index = steps.lastIndex(where: { $0.writes?.buffer == buffer }),
      case .layer(let layer) = passages[index], layer.outputSizes == [1, 1, layer.outChannels],
      layer.step.geometry.vertical == .point, layer.step.geometry.horizontal == .point,
      !channels.isEmpty, channels.count < layer.outChannels,
      !steps.contains(where: { $0.reads.contains { $0.buffer == buffer } }),
      let source = layer.step.input.buffer, let grid = grids[source],
      let weights = lowering.rows(channels, of: layer.step.weights, outputs: layer.outChannels)
    else { return (target, positions) }
    var step = layer.step
    step.geometry.outChannels = channels.count
    step.weights = lowering.constant(weights, layout: .convolution(step.geometry))
    if let bias = step.bias {
      guard let numbers = lowering.rows(channels, of: bias, outputs: layer.outChannels) else {
        return (target, positions)
      }
      step.bias = lowering.constant(numbers)
    }
    step.output = lowering.buffer(channels.count)
    guard let narrow = DeltaLayer(step, grid: grid, weights: step.weights),
      let place = step.output.buffer
    else { return (target, positions) }
    for (row, channel) in channels.enumerated() {
      let from = Operand(space: target.space, offset: channel)
      let to = Operand(space: step.output.space, offset: row)
      try lowering.copy(View(from, shape: [1]), to: View(to, shape: [1]))
    }
    replace(index, step, narrow, grid: BufferGrid([channels.count]), at: place)
    return (step.output, positions.compactMap { channels.firstIndex(of: $0) })
  }
}

extension Lowering {
  /// Rows of a constant of `outputs` rows: nil for what is not one.
  fileprivate func rows(_ rows: [Int], of operand: Operand, outputs: Int) -> Tensor? {
    guard case .constant(let block) = operand.space else { return nil }
    let tensor = draft.constants[block].tensor
    guard tensor.count % outputs == 0 else { return nil }
    let width = tensor.count / outputs
    return tensor.picking(
      rows.flatMap { Array($0 * width..<($0 + 1) * width) }, shape: [rows.count, width])
  }
}
