// Divisions of inputs into players, and the maps that are refused.

import CoalitionBase
import Testing

@testable import CoalitionExplain

@Suite struct PlayersTests {
  @Test("Elements, patches, channels, axes and tokens number their players row by row")
  func divisions() throws {
    #expect(try PlayerMap(.element, shape: [2, 3]).ids == [0, 1, 2, 3, 4, 5])
    // 3 x 5 in patches of 2 x 2: the last row and column are smaller.
    let patch = try PlayerMap(.patch(height: 2, width: 2), shape: [2, 3, 5])
    let plane: [Int32] = [0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5]
    #expect(patch.ids == plane + plane)
    #expect(patch.playerCount == 6)
    #expect(patch.sizes(ofExample: 0) == [8, 8, 4, 4, 4, 2])
    #expect(try PlayerMap(.channel, shape: [2, 2, 2]).ids == [0, 0, 0, 0, 1, 1, 1, 1])
    #expect(try PlayerMap(.axis(-1), shape: [2, 3]).ids == [0, 1, 2, 0, 1, 2])
    #expect(try PlayerMap(.axis(0), shape: [2, 3]).ids == [0, 0, 0, 1, 1, 1])
    #expect(try PlayerMap(.tokens, shape: [3, 2]).ids == [0, 0, 1, 1, 2, 2])
    #expect(try PlayerMap(.tokens, shape: [3]).ids == [0, 1, 2])
    #expect(try PlayerMap(.patch(height: .max, width: .max), shape: [2, 2]).playerCount == 1)
  }

  @Test("Maps may leave elements out and differ by example")
  func maps() throws {
    let shared = try PlayerMap(.map(Tensor(.int32([1, -1, 0, 1]))), shape: [4], examples: 7)
    #expect(shared.playerCount == 2)
    #expect(shared.exampleCount == nil)
    #expect(shared.sizes(ofExample: 6) == [1, 2])
    let own = try Tensor(shape: [2, 3], elements: .int64([0, 1, 2, 0, 0, -1]))
    let map = try PlayerMap(.map(own), shape: [3], examples: 2)
    #expect(map.playerCount == 3)
    #expect(Array(map.ids(ofExample: 1)) == [0, 0, -1])
    #expect(map.sizes(ofExample: 1) == [2, 0, 0])
  }

  @Test("Maps that do not fit are refused with the place")
  func refusals() throws {
    func code(_ players: Players, _ shape: [Int], examples: Int? = nil) -> CoalitionError.Code? {
      do {
        _ = try PlayerMap(players, shape: shape, examples: examples)
        return nil
      } catch { return error.code }
    }
    #expect(code(.map(Tensor(.int32([0, 2]))), [2]) == .invalidData)
    #expect(code(.map(Tensor(.int32([0, 2, 2]))), [3]) == .invalidData)
    #expect(code(.map(Tensor(.int32([-1, -1]))), [2]) == .invalidData)
    #expect(code(.map(Tensor(.int32([-2, 0]))), [2]) == .invalidData)
    #expect(code(.map(Tensor(.int64([.max, 0]))), [2]) == .invalidData)
    #expect(code(.map(Tensor(.float32([0, 1]))), [2]) == .invalidData)
    #expect(code(.map(Tensor(.int32([0, 1]))), [3]) == .shapeMismatch)
    let own = try Tensor(shape: [2, 1], elements: .int32([0, 0]))
    #expect(code(.map(own), [1], examples: 3) == .shapeMismatch)
    #expect(code(.patch(height: 0, width: 2), [4, 4]) == .usage)
    #expect(code(.patch(height: 2, width: 2), [4]) == .usage)
    #expect(code(.axis(2), [4, 4]) == .usage)
    #expect(code(.axis(-3), [4, 4]) == .usage)
    let error = #expect(throws: CoalitionError.self) {
      try PlayerMap(.map(Tensor(.int32([0, 3, 3, 1]))), shape: [4])
    }
    #expect(error?.message.contains("player 2") == true)
  }

  @Test("Inputs share the numbers of their maps; players by rule follow them")
  func severalInputs() throws {
    let inputs = [(name: "a", shape: [2]), (name: "b", shape: [3]), (name: "c", shape: [2])]
    let rules = try PlayerSet(inputs: inputs)
    #expect(rules.playerCount == 7)
    #expect(rules.maps.map(\.ids) == [[0, 1], [2, 3, 4], [5, 6]])
    let mixed = try PlayerSet(
      ["b": .map(Tensor(.int32([0, 2, -1]))), "c": .map(Tensor(.int32([1, 2])))], inputs: inputs)
    #expect(mixed.playerCount == 5)
    #expect(mixed.maps.map(\.ids) == [[3, 4], [0, 2, -1], [1, 2]])
    #expect(mixed.sizes(ofExample: 0) == [1, 1, 2, 1, 1])
    #expect(throws: CoalitionError.self) { try PlayerSet(["x": .element], inputs: inputs) }
    #expect(throws: CoalitionError.self) {
      try PlayerSet(["b": .map(Tensor(.int32([0, 2, -1])))], inputs: inputs)
    }
  }
}
