// The networks, examples and reference attributions of the explanation tests, for the command
// (Tests/CoalitionExplainTests/Fixtures/README.md).

import CoalitionBase
import CoalitionData
import Foundation
import Testing

enum Fixtures {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("CoalitionExplainTests/Fixtures").path

  static func model(_ name: String) -> String { "\(folder)/\(name).onnx" }
  static func references(_ name: String, _ key: String) -> String {
    "\(folder)/\(name)-references.npz:\(key)"
  }
  static func array(_ name: String, _ key: String) throws -> Tensor {
    try ArrayFile.load(references(name, key))
  }
  /// The file of the examples that the references explain.
  static func input(_ name: String) -> String {
    references(name, name == "sentiment" ? "tokens" : "input")
  }
}

extension Workplace {
  /// Runs `explain` on a fixture network.
  func explain(_ network: String, _ method: String, _ options: [String]) throws -> Outcome {
    try Running(
      [
        "explain", Fixtures.model(network), "--method", method, "--input",
        Fixtures.input(network),
      ] + options, in: folder, [:]
    ).outcome()
  }

  /// The arrays of a result that must be written without a word.
  func explained(
    _ network: String, _ method: String, _ options: String...,
    location: SourceLocation = #_sourceLocation
  ) throws -> Explained {
    let outcome = try explain(network, method, ["--quiet", "--output", "r.npz"] + options)
    #expect(outcome.code == 0, "\(method): \(outcome.error)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    return try Explained(path("r.npz"))
  }
}

/// A result file of `explain`.
struct Explained {
  let file: ResultFile

  init(_ path: String) throws { file = try ResultFile(reading: path) }

  func tensor(_ name: String, location: SourceLocation = #_sourceLocation) throws -> Tensor {
    guard case .tensor(let tensor)? = file[name] else {
      Issue.record("no array \(name)", sourceLocation: location)
      throw CocoaError(.fileReadCorruptFile)
    }
    return tensor
  }

  func shape(_ name: String) throws -> [Int] { try tensor(name).shape }
  func doubles(_ name: String) throws -> [Double] { try tensor(name).doubles }
  var names: [String] { file.arrays.map(\.name) }
}

/// The largest difference, in units of the largest expected number; infinite for unlike lengths and NaN.
func relativeDifference(_ found: [Double], _ expected: [Double]) -> Double {
  guard found.count == expected.count, !found.isEmpty else { return .infinity }
  let largest = expected.reduce(0) { max($0, abs($1)) }
  let worst = zip(found, expected).reduce(0.0) { worst, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(worst, difference)
  }
  return largest > 0 ? worst / largest : worst
}
