// Indices that a caller passes: those outside of the table are refused by input, example and element.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct IndexCheckTests {
  /// A table of 4 rows, gathered by what `path` makes of an input of `sizes`.
  private func plan(
    _ sizes: [Int], memoryLimit: Int = PlanOptions.defaultMemoryLimit,
    _ path: (inout Net, String) -> String
  ) throws -> Plan {
    var net = Net(opset: 17)
    let table = net.constant(
      Tensor(filling: [4, 2], with: .float32((0..<8).map { Float($0) })))
    let x = net.input(sizes, .int64)
    net.output(net.add("Gather", [table, path(&net, x)]))
    var options = PlanOptions()
    options.memoryLimit = memoryLimit
    return try Plan(try Model(net.graph), options)
  }

  private func indices(_ values: [Int64], _ shape: [Int]) -> Tensor {
    Tensor(filling: shape, with: .int64(values))
  }

  @Test func anIndexOutsideOfTheTableIsNamed() async throws {
    let plan = try plan([3]) { $1 }
    let rows = try await plan.run(["x0": indices([0, 3, -1, -4, 1, 2], [2, 3])])
    #expect(rows.values.first?.floats == [0, 1, 6, 7, 6, 7, 0, 1, 2, 3, 4, 5])
    for wrong in [4, -5, 1 << 40] as [Int64] {
      let tensor = indices([0, 3, -1, 0, 0, wrong], [2, 3])
      let error = await failure { _ = try await plan.run(["x0": tensor]) }
      #expect(error.code == .invalidData && error.node == "Gather0")
      #expect(error.message == "element 2 of input 'x0', example 1, is no row of the table")
      #expect(error.expected == "-4 to 3" && error.found == "\(wrong)")
    }
  }

  @Test("Only elements that reach the table are looked at")
  func paths() async throws {
    /// Positions of [3, 4] at which a wrong index is found.
    func refused(_ path: (inout Net, String) -> String) async throws -> [Int] {
      let plan = try plan([3, 4], path)
      var places: [Int] = []
      for place in 0..<12 {
        var values = [Int64](repeating: 0, count: 24)
        values[12 + place] = 7
        let tensor = indices(values, [2, 3, 4])
        do {
          _ = try await plan.run(["x0": tensor])
        } catch {
          #expect(error.message.hasPrefix("element \(place) of input 'x0', example 1,"))
          places.append(place)
        }
      }
      return places
    }
    func slice(_ net: inout Net, _ x: String, _ first: Int, _ last: Int, axis: Int) -> String {
      net.add(
        "Slice", [x, net.integers([first]), net.integers([last]), net.integers([axis])])
    }
    #expect(try await refused { slice(&$0, $1, 1, 3, axis: 2) } == [1, 2, 5, 6, 9, 10])
    #expect(
      try await refused { net, x in
        let turned = net.add("Transpose", [x], ["perm": .ints([0, 2, 1])])
        return slice(&net, turned, 3, 4, axis: 1)
      } == [3, 7, 11])
    #expect(
      try await refused { net, x in
        let parts = net.add(
          "Split", [x, net.integers([1, 2])], ["axis": .int(1)], outputs: 2)
        return parts[1]
      } == [4, 5, 6, 7, 8, 9, 10, 11])
    #expect(
      try await refused { net, x in
        let row = net.add("Gather", [x, net.integers([2, 0])], ["axis": .int(1)])
        return net.add("Cast", [row], ["to": .int(6)])
      } == [0, 1, 2, 3, 8, 9, 10, 11])
    #expect(try await refused { $0.add("Identity", [$1]) } == Array(0..<12))
  }

  @Test("Large inputs are followed as far as memory allows, and refused beyond")
  func largeInputs() async throws {
    let count = 5_000_000
    func head(_ net: inout Net, _ x: String) -> String {
      net.add("Slice", [x, net.integers([0]), net.integers([2]), net.integers([1])])
    }
    let plan = try plan([count], head)
    var values = [Int64](repeating: 9, count: count)
    values[0] = 3
    values[1] = 0
    let rows = try await plan.run(["x0": indices(values, [1, count])])
    #expect(rows.values.first?.floats == [6, 7, 0, 1])
    values[1] = 5
    let wrong = indices(values, [1, count])
    let error = await failure { _ = try await plan.run(["x0": wrong]) }
    #expect(error.message.hasPrefix("element 1 of input 'x0'"))
    let refusal = await failure { _ = try self.plan([count], memoryLimit: 40_000_000, head) }
    #expect(refusal.code == .memoryLimit && refusal.node == "Gather1")
    #expect(refusal.expected == "at most 40000000 bytes")
  }
}
