// Which players meet where in front of the fronts of a moment plan, and what single players contribute there.

package import CoalitionBase

extension MomentPlan {
  /// Numbers 0, 1, ... of the players so that players of one number reach no position of a front together.
  /// - Parameter ids: per source the players of the elements of an example, below 0 for none.
  package func apartClasses(_ ids: [String: [Int32]], playerCount: Int) -> [Int32] {
    mode.template.apartClasses(ofSlots(ids), playerCount: playerCount)
  }

  /// How players share the channels that the layer in front of the only front reads; nil where they do not, each with
  /// channels of its own.
  /// - Parameter ids: as above.
  package func ownChannels(_ ids: [String: [Int32]]) -> OwnChannels? {
    mode.template.ownChannels(ofSlots(ids))
  }

  private func ofSlots(_ ids: [String: [Int32]]) -> [Int: [Int32]] {
    var ofSlots: [Int: [Int32]] = [:]
    for (slot, input) in inputs.enumerated() { ofSlots[slot] = ids[input.name] }
    return ofSlots
  }

  /// The sums of squared contributions at the front, [R, count].
  /// - Parameter rows: of the source, changes of all elements: [R, shape].
  package func squares(
    of own: OwnChannels, _ rows: [String: Tensor], count: Int, held: Held, _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    try await run(.own(own, .squares), rows, nil, [frontCounts[0]], count, held, options)
  }

  /// c_g^2 . v of the players g that have channels, for signals v at the front [R, count]: [R, players].
  package func squareSums(
    of own: OwnChannels, _ rows: [String: Tensor], signals: Tensor, count: Int, held: Held,
    _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    try await run(
      .own(own, .squareSums), rows, signals, [own.players.count], count, held, options)
  }

  /// Ranges of the players that have channels, so that the contributions of a range stay in the cache.
  package func parts(of own: OwnChannels) -> [Range<Int>] {
    own.parts(width: frontCounts[0])
  }

  /// The contributions of one of the parts of the players that have channels: [R, part, count].
  package func contributions(
    of own: OwnChannels, part: Range<Int>, _ rows: [String: Tensor], count: Int, held: Held,
    _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    try await run(
      .own(own, .each(part)), rows, nil, [part.count, frontCounts[0]], count, held, options)
  }

  private func run(
    _ kind: Kind, _ rows: [String: Tensor], _ signals: Tensor?, _ shape: [Int], _ count: Int,
    _ held: Held, _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    var call = ProgramCall(
      inputs: try inputSlots(rows, held),
      outputs: [SlotResult(count: count * shape.reduce(1, *), precision)], examples: count)
    if let signals { call.inputs.append(SlotRows(signals, precision)) }
    var options = options
    // Vectors over channels: values of a part of the players stay in the cache then.
    options.lanes = 1
    let elements = try await self.run(routine(kind), call, options)[0]
    return try Tensor(shape: [count] + shape, elements: elements)
  }
}
