// Players: the parts of an input that are present or absent together.
//
// `Players` says how to divide; `PlayerMap` is the division of one input: a player's number for every element.
// Numbers are 0 ..< P without gaps; -1 marks an element that is always present.

public import CoalitionBase

/// How an input is divided into players.
public enum Players: Sendable, Hashable {
  /// Every element by itself.
  case element
  /// Rectangles over the last two axes, all channels together; smaller at the far edges. Numbered row by row.
  case patch(height: Int, width: Int)
  /// Every position of an example's first axis: the channels of [C, H, W].
  case channel
  /// Every position of an axis of one example; negative axes count from the last one.
  case axis(Int)
  /// Every token of a sequence: the positions of [T], or the rows of its embedding [T, E].
  case tokens
  /// A player's number per element: whole numbers in the shape of one example, or with an axis of examples before it.
  case map(Tensor)
}

/// The players of one input.
public struct PlayerMap: Sendable, Hashable {
  /// The shape of one example.
  public let shape: [Int]
  /// Players, P: at least 1.
  public let playerCount: Int
  /// The examples that have a division of their own; nil: all are divided alike.
  public let exampleCount: Int?
  /// Per element of one example (or of every example, one after the other) its player, or -1.
  public let ids: [Int32]

  /// Elements of one example.
  public var elementCount: Int { shape.reduce(1, *) }

  /// - Parameters:
  ///   - shape: of one example, without an axis of examples.
  ///   - examples: how many examples there are, where that is known: a map with an axis of examples must fit it.
  /// - Throws: `usage` for a division that the shape does not allow, `shapeMismatch` and `invalidData` for a map that
  ///   does not fit.
  public init(
    _ players: Players, shape: [Int], examples: Int? = nil
  ) throws(CoalitionError) {
    let map = try Self(
      unchecked: players, shape: shape, examples: examples,
      limit: Tensor.count(of: shape) ?? Int.max)
    try map.checkGapless()
    self = map
  }

  /// A map whose numbers may have gaps, which other inputs fill.
  /// - Parameter limit: players that a map can have at most: without gaps each has an element of one example.
  init(
    unchecked players: Players, shape: [Int], examples: Int?, limit: Int
  ) throws(CoalitionError) {
    guard let count = Tensor.count(of: shape), count > 0, count <= Int(Int32.max) else {
      throw CoalitionError(.shapeMismatch, "no players can be made of the shape \(shape)")
    }
    self.shape = shape
    switch players {
    case .element:
      (playerCount, exampleCount) = (count, nil)
      ids = (0..<Int32(count)).map { $0 }
    case .patch(let height, let width):
      exampleCount = nil
      (ids, playerCount) = try Self.patches(height: height, width: width, shape: shape)
    case .channel:
      exampleCount = nil
      (ids, playerCount) = try Self.positions(alongAxis: 0, shape: shape)
    case .axis(let axis):
      exampleCount = nil
      (ids, playerCount) = try Self.positions(alongAxis: axis, shape: shape)
    case .tokens:
      exampleCount = nil
      (ids, playerCount) = try Self.positions(
        alongAxis: shape.count < 2 ? 0 : shape.count - 2, shape: shape)
    case .map(let tensor):
      (ids, exampleCount) = try Self.ids(
        tensor, shape: shape, examples: examples, limit: limit)
      playerCount = Int(ids.max() ?? -1) + 1
    }
  }

  private init(shape: [Int], playerCount: Int, exampleCount: Int?, ids: [Int32]) {
    self.shape = shape
    self.playerCount = playerCount
    self.exampleCount = exampleCount
    self.ids = ids
  }

  /// The same division with every player's number raised, as part of a game of `playerCount` players.
  func renumbered(by offset: Int, playerCount: Int) -> PlayerMap {
    PlayerMap(
      shape: shape, playerCount: playerCount, exampleCount: exampleCount,
      ids: ids.map { $0 < 0 ? $0 : $0 + Int32(offset) })
  }

  /// The players of one example's elements.
  public func ids(ofExample example: Int) -> ArraySlice<Int32> {
    guard exampleCount != nil else { return ids[...] }
    return ids[example * elementCount..<(example + 1) * elementCount]
  }

  /// Per player, how many elements of one example belong to it.
  public func sizes(ofExample example: Int) -> [Int] {
    var sizes = [Int](repeating: 0, count: playerCount)
    for id in ids(ofExample: example) where id >= 0 { sizes[Int(id)] += 1 }
    return sizes
  }

  // MARK: Divisions

  private static func patches(
    height: Int, width: Int, shape: [Int]
  ) throws(CoalitionError) -> ([Int32], Int) {
    guard height > 0, width > 0 else {
      throw CoalitionError(
        .usage, "a patch has at least one row and one column", found: "\(height)x\(width)")
    }
    guard shape.count >= 2 else {
      throw CoalitionError(
        .usage, "patches lie in the last two axes of an input: this one has too few",
        expected: "[..., height, width]", found: "\(shape)")
    }
    let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
    // Larger patches than the map are one patch; this also keeps the sums below from overflowing.
    let (height, width) = (min(height, rows), min(width, columns))
    let across = (columns + width - 1) / width
    let plane = (0..<rows * columns).map {
      Int32($0 / columns / height * across + $0 % columns / width)
    }
    let planes = shape.dropLast(2).reduce(1, *)
    var ids: [Int32] = []
    ids.reserveCapacity(planes * plane.count)
    for _ in 0..<planes { ids += plane }
    return (ids, (rows + height - 1) / height * across)
  }

  private static func positions(
    alongAxis axis: Int, shape: [Int]
  ) throws(CoalitionError) -> ([Int32], Int) {
    let resolved = axis < 0 ? axis + shape.count : axis
    guard shape.indices.contains(resolved) else {
      throw CoalitionError(
        .usage, "the players' axis lies outside of one example",
        expected: shape.isEmpty ? "none for a scalar" : "\(-shape.count) to \(shape.count - 1)",
        found: "\(axis)")
    }
    let inner = shape[(resolved + 1)...].reduce(1, *)
    let count = shape.reduce(1, *)
    return ((0..<count).map { Int32($0 / inner % shape[resolved]) }, shape[resolved])
  }

  private static func ids(
    _ tensor: Tensor, shape: [Int], examples: Int?, limit: Int
  ) throws(CoalitionError) -> (ids: [Int32], examples: Int?) {
    let perExample = tensor.rank == shape.count + 1 && Array(tensor.shape.dropFirst()) == shape
    guard perExample || tensor.shape == shape else {
      throw CoalitionError(
        .shapeMismatch, "the map of players has another shape than the input",
        expected: "\(shape), or that behind an axis of examples", found: "\(tensor.shape)")
    }
    if perExample, let examples, tensor.shape[0] != examples {
      throw CoalitionError(
        .shapeMismatch, "the map of players is for another number of examples",
        expected: "\(examples)", found: "\(tensor.shape[0])")
    }
    guard let integers = tensor.integers else {
      throw CoalitionError(
        .invalidData, "a map of players holds whole numbers", found: "\(tensor.elementType)")
    }
    if let place = integers.firstIndex(where: { $0 < -1 || $0 >= limit }) {
      throw CoalitionError(
        .invalidData, "element \(place) of the map of players is no player's number",
        expected: "-1 to \(limit - 1)", found: "\(integers[place])")
    }
    return (integers.map { Int32($0) }, perExample ? tensor.shape[0] : nil)
  }

  private func checkGapless() throws(CoalitionError) {
    try Self.checkGapless([self])
  }

  /// Checks that the numbers that occur in an example, in whichever input, are 0, 1, ... without a gap. Examples with
  /// divisions of their own may have fewer players than others.
  static func checkGapless(_ maps: [PlayerMap]) throws(CoalitionError) {
    let examples = maps.compactMap(\.exampleCount).max() ?? 1
    let playerCount = maps.map(\.playerCount).max() ?? 0
    guard playerCount > 0 else {
      throw CoalitionError(.invalidData, "the map of players has no player: every element is -1")
    }
    for example in 0..<examples {
      var occurs = [Bool](repeating: false, count: playerCount)
      for map in maps {
        for id in map.ids(ofExample: example) where id >= 0 { occurs[Int(id)] = true }
      }
      let last = occurs.lastIndex(of: true) ?? -1
      if let gap = occurs[..<(last + 1)].firstIndex(of: false) {
        let place = maps.contains { $0.exampleCount != nil } ? " in example \(example)" : ""
        throw CoalitionError(
          .invalidData, "player \(gap) has no element\(place): numbers must have no gaps",
          expected: "0 to \(last), each at least once")
      }
    }
  }
}
