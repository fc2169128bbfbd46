// The players of a whole model: several inputs divided in one game.
//
// Numbers in maps that the caller gives are shared: player 3 of one input and player 3 of another are one player, present
// or absent together. Divisions by rule (elements, patches, ...) make players of their own, which are numbered
// after those of the maps, input by input.

public import CoalitionBase
package import CoalitionNet

/// The players of all inputs of a model.
public struct PlayerSet: Sendable, Hashable {
  /// Inputs in the order of the model.
  public let names: [String]
  /// Per input, in the same order.
  public let maps: [PlayerMap]
  /// Players of the game, P.
  public let playerCount: Int

  /// - Parameters:
  ///   - players: the division of inputs by name.
  ///   - others: the division of inputs that `players` does not name.
  ///   - inputs: names and shapes (of one example) of all inputs that are explained.
  ///   - examples: how many examples there are, where that is known.
  /// - Throws: `usage` for a name that is no input or a division that a shape does not allow, `shapeMismatch` and
  ///   `invalidData` for a map that does not fit or has gaps.
  public init(
    _ players: [String: Players] = [:], others: Players = .element,
    inputs: [(name: String, shape: [Int])], examples: Int? = nil
  ) throws(CoalitionError) {
    for name in players.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
      throw CoalitionError(
        .usage, "players are given for something that is not an input", node: name,
        expected: inputs.map(\.name).joined(separator: ", "))
    }
    var elements = 0
    for input in inputs {
      elements = elements.addingReportingOverflow(Tensor.count(of: input.shape) ?? 0).partialValue
    }
    var divisions: [(map: PlayerMap, isGiven: Bool)] = []
    for input in inputs {
      let division = players[input.name] ?? others
      do throws(CoalitionError) {
        let map = try PlayerMap(
          unchecked: division, shape: input.shape, examples: examples, limit: elements)
        if case .map = division {
          divisions.append((map, true))
        } else {
          divisions.append((map, false))
        }
      } catch {
        throw error.at(input.name)
      }
    }
    let given = divisions.filter(\.isGiven).map(\.map)
    if !given.isEmpty { try PlayerMap.checkGapless(given) }
    let examplesOfMaps = Set(given.compactMap(\.exampleCount))
    guard examplesOfMaps.count <= 1 else {
      throw CoalitionError(
        .shapeMismatch, "maps of players are for different numbers of examples",
        found: examplesOfMaps.sorted().map { "\($0)" }.joined(separator: ", "))
    }
    var offsets: [Int] = []
    var next = given.map(\.playerCount).max() ?? 0
    for (map, isGiven) in divisions {
      offsets.append(isGiven ? 0 : next)
      if !isGiven { next += map.playerCount }
    }
    guard next > 0, next <= Int(Int32.max) else {
      throw CoalitionError(.limitExceeded, "so many players cannot be numbered", found: "\(next)")
    }
    names = inputs.map(\.name)
    playerCount = next
    maps = zip(divisions, offsets).map { division, offset in
      division.map.renumbered(by: offset, playerCount: next)
    }
  }

  /// How coalitions of these players mask a model.
  package var masking: Masking {
    var ids: [String: Masking.ElementPlayers] = [:]
    for (name, map) in zip(names, maps) {
      ids[name] = Masking.ElementPlayers(ids: map.ids, hasRows: map.exampleCount != nil)
    }
    return .coalitions(players: ids, words: Coalitions(playerCount: playerCount).wordCount)
  }

  /// Whether examples are divided differently.
  public var differsByExample: Bool { maps.contains { $0.exampleCount != nil } }

  /// Per player, how many elements of one example belong to it, over all inputs.
  public func sizes(ofExample example: Int) -> [Int] {
    var sizes = [Int](repeating: 0, count: playerCount)
    for map in maps {
      for id in map.ids(ofExample: example) where id >= 0 { sizes[Int(id)] += 1 }
    }
    return sizes
  }
}
