// `coalition compare`: distances and agreement on ranks.

import CoalitionBase
import CoalitionData
import Testing

@Suite struct CompareTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private func write(_ numbers: [Double], _ name: String, shape: [Int]? = nil) throws {
    var file = ResultFile()
    try file.append(
      "values", Tensor(shape: shape ?? [numbers.count], elements: .float64(numbers)))
    try file.append("names", ["a", "b"])
    try file.write(to: place.path(name))
  }

  private func compared(_ arguments: [String]) throws -> JSONValue {
    let outcome = try Running(
      ["compare"] + arguments + ["--json"], in: place.folder, [:]
    ).outcome()
    #expect(outcome.code == 0, "\(outcome.error)")
    return try JSONValue(parsing: Array(outcome.output.utf8))
  }

  @Test("Distance, its largest part and the correlation of ranks")
  func numbers() throws {
    try write([1, 2, 3, 4], "a.npz")
    try write([1, 2, 4, 3], "b.json")
    let found = try compared(["a.npz", "b.json"])["arrays"]?["values"]
    // sqrt((0 + 0 + 1 + 1) / 4), over sqrt(30 / 4); 1 - 6 * 2 / (4 * 15).
    #expect(found?["rmse"] == .number(0.5.squareRoot()))
    #expect(found?["relative-rmse"] == .number((2.0 / 4).squareRoot() / (30.0 / 4).squareRoot()))
    #expect(found?["largest-difference"] == .number(1))
    #expect(found?["at"] == 2)
    guard case .number(let spearman)? = found?["spearman"] else {
      Issue.record("no correlation")
      return
    }
    #expect(abs(spearman - 0.8) < 1e-12)
  }

  @Test("Rows have ranks of their own; what is unknown in both is no difference")
  func rows() throws {
    try write([1, 2, 3, .nan, 3, 1], "a.npz", shape: [2, 3])
    try write([10, 20, 30, .nan, 3, 1], "b.npz", shape: [2, 3])
    let found = try compared(["a.npz", "b.npz"])["arrays"]?["values"]
    #expect(found?["largest-difference"] == .number(27))
    guard case .number(let spearman)? = found?["spearman"] else {
      Issue.record("no correlation")
      return
    }
    #expect(abs(spearman - 1) < 1e-12)
  }

  @Test("Files that cannot be compared are refused")
  func refused() throws {
    try write([1, 2], "a.npz")
    try write([1, 2, 3], "b.npz")
    #expect(try place.coalition("compare", "a.npz").code == 64)
    #expect(try place.coalition("compare", "a.npz", "b.npz").code == 65)
    #expect(try place.coalition("compare", "a.npz", "c.npz").code == 66)
    let unknown = try place.coalition("compare", "a.npz", "a.npz", "--array", "vaules")
    #expect(unknown.code == 64 && unknown.error.contains("did you mean values?"))
    let table = try place.coalition("compare", "a.npz", "a.npz")
    #expect(table.code == 0 && table.output.contains("Spearman"))
  }
}
