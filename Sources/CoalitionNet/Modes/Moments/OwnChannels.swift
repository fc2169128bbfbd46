// Contributions of single players where the layer in front of the front has channels of its own for each.
//
// If every channel that a convolution or dense layer reads belongs to one player, a contribution c_g is made of g's channels only.
// A convolution whose groups are the players gives those of all of them,
//     c[place][g][o] = sum over taps and the channels j of g of W[o][g][j] change[place, tap][g][j],
// with as much arithmetic as one pass, where a row of its own for every player costs a pass for each. The sum of c_g^2 and,
// for signals v at the front, c_g^2 . v are sums over axes of it. Players are taken in parts, so that a part stays in the cache.

import CLanes
import CoalitionBase

/// How the channels that the last affine layer reads are shared out among players.
package struct OwnChannels: Hashable, Sendable {
  /// In the order of their first channels.
  package let players: [Int32]
  /// Channels of each.
  let channelCount: Int
  /// A player's channels are neighbours; otherwise they lie as many apart as there are players.
  let areNeighbours: Bool

  /// - Parameter owners: per channel its player.
  /// - Returns: nil where the channels have no such order.
  init?(_ owners: [Int32]) {
    let players = Set(owners).sorted()
    guard !players.isEmpty, owners.count % players.count == 0 else { return nil }
    channelCount = owners.count / players.count
    let (count, all) = (channelCount, players.count)
    let inOrder = stride(from: 0, to: owners.count, by: count).map { owners[$0] }
    if owners.indices.allSatisfy({ owners[$0] == inOrder[$0 / count] }), Set(inOrder).count == all {
      (self.players, areNeighbours) = (inOrder, true)
    } else if owners.indices.allSatisfy({ owners[$0] == owners[$0 % all] }) {
      (self.players, areNeighbours) = (Array(owners.prefix(all)), false)
    } else {
      return nil
    }
  }

  /// Positions of the contributions of a part of the players.
  private static let partSize = 1 << 18

  /// Parts of the players whose contributions at a front of so many positions stay in the cache.
  func parts(width: Int) -> [Range<Int>] {
    let size = max(1, Self.partSize / max(width, 1))
    return stride(from: 0, to: players.count, by: size).map {
      $0..<min($0 + size, players.count)
    }
  }
}

/// What is made of the contributions.
enum OwnResult: Hashable {
  /// The sum of c_g^2: [front].
  case squares
  /// c_g^2 . v for signals v at the front, in the slot of the transposed programs: [player].
  case squareSums
  /// The contributions of a part of the players, [player][front].
  case each(Range<Int>)
}

extension MomentTemplate {
  /// The layer that makes the only front from the only source, where one does.
  var ownLayer: ConvolutionStep? {
    guard fronts.count == 1, sources.count == 1, let front = fronts.first,
      let layer = steps(for: [front.buffer]).last?.step as? ConvolutionStep,
      layer.output.buffer == front.buffer, layer.output.offset == 0, layer.isAffine(varies),
      layer.weights.isConstant, varies(layer.input), layer.geometry.images == 1,
      layer.geometry.groups == 1, layer.geometry.outputCount == front.count
    else { return nil }
    return layer
  }
}

extension MomentMode {
  /// From rows of the source.
  func ownDraft(_ own: OwnChannels, _ result: OwnResult) throws(CoalitionError) -> Draft {
    guard let layer = template.ownLayer, let front = template.fronts.first,
      let buffer = layer.input.buffer
    else {
      throw CoalitionError(.internalFault, "players have no channels of their own")
    }
    var (lowering, carrier) = try carried(.changes, to: buffer)
    lowering.label = front.label
    guard let changes = try carrier.dense(layer.input, positions: layer.inputCount, &lowering)
    else {
      throw CoalitionError(.internalFault, "no changes reach the layer", node: front.label)
    }
    let parts = own.parts(width: front.count)
    let channels = layer.geometry.outChannels
    let places = front.count / channels
    func contributions(
      _ part: Range<Int>, _ lowering: inout Lowering
    ) throws(CoalitionError) -> View {
      View(
        try lowering.contributions(of: part, own, layer, changes),
        shape: [places, part.count, channels])
    }
    let values: View
    switch result {
    case .squares:
      let sum = View(lowering.buffer(front.count), shape: [places, channels])
      for part in parts {
        let own = try contributions(part, &lowering)
        let squares = try lowering.combined(.multiply, own, own, shape: own.shape)
        let added = View(
          try lowering.summed(
            squares.operand, images: places, size: part.count, channels: channels),
          shape: sum.shape)
        if part.lowerBound == 0 {
          try lowering.copy(added, to: sum)
        } else {
          try lowering.combine(.add, sum, added, into: sum)
        }
      }
      values = sum
    case .squareSums:
      let signal = try lowering.input(
        front.label, shape: [places, 1, channels], order: [0, 1, 2], slot: slots.signal(0))
      values = View(lowering.buffer(own.players.count), shape: [own.players.count])
      for part in parts {
        let own = try contributions(part, &lowering)
        let squares = try lowering.combined(.multiply, own, own, shape: own.shape)
        let weighted = try lowering.combined(.multiply, squares, signal, shape: own.shape)
        let overPlaces = try lowering.summed(
          weighted.operand, images: 1, size: places, channels: part.count * channels)
        let sums = try lowering.summed(
          overPlaces, images: part.count, size: channels, channels: 1)
        try lowering.copy(
          View(sums, shape: [part.count]),
          to: try lowering.sliced(
            values, AxisSlice(axis: 0, first: part.lowerBound, count: part.count)))
      }
    case .each(let part):
      values = try contributions(part, &lowering).transposed([1, 0, 2])
    }
    try lowering.output(front.label, values, slot: 0)
    return lowering.draft.withoutDeadSteps()
  }
}

extension Lowering {
  /// The contributions [place][player][output] of some players, from the changes [place][channel] of what the layer
  /// reads.
  fileprivate mutating func contributions(
    of part: Range<Int>, _ own: OwnChannels, _ layer: ConvolutionStep, _ changes: Operand
  ) throws(CoalitionError) -> Operand {
    let (players, count) = (own.players.count, own.channelCount)
    let (vertical, horizontal) = (layer.geometry.vertical, layer.geometry.horizontal)
    let places = vertical.size * horizontal.size
    let order = own.areNeighbours ? [players, count] : [count, players]
    var view = View(changes, shape: [places] + order)
    if !own.areNeighbours { view = view.transposed([0, 2, 1]) }
    let input = try copied(
      try sliced(view, AxisSlice(axis: 1, first: part.lowerBound, count: part.count)))
    // [O][C][KH][KW] to [player][O][channel][KH][KW].
    let geometry = ConvolutionGeometry(
      images: 1, groups: part.count, inChannels: count, outChannels: layer.geometry.outChannels,
      vertical: vertical, horizontal: horizontal)
    let taps = [vertical.kernel, horizontal.kernel]
    let block = constant(
      try constantSource(layer.weights).moved(
        "players \(order) \(own.areNeighbours) \(part)", layout: .convolution(geometry)
      ) { view throws(CoalitionError) in
        try view
          .reshaped(to: [layer.geometry.outChannels] + order + taps)
          .transposed(own.areNeighbours ? [1, 0, 2, 3, 4] : [2, 0, 1, 3, 4])
          .sliced(0, start: part.lowerBound, step: 1, count: part.count)
      })
    let output = buffer(geometry.outputCount)
    emit(
      ConvolutionStep(
        geometry: geometry, input: input.operand, output: output, weights: block, bias: nil,
        fusion: Fusion()))
    return output
  }

  /// Sums over the middle axis of [images][size][channels].
  fileprivate mutating func summed(
    _ operand: Operand, images: Int, size: Int, channels: Int
  ) throws(CoalitionError) -> Operand {
    var window = PlacedWindow.point
    (window.size, window.kernel) = (size, size)
    let output = buffer(images * channels)
    emit(
      PoolStep(
        kind: .sum, countsPadding: false, images: images, channels: channels, vertical: .point,
        horizontal: window, input: operand, output: output))
    return output
  }
}
