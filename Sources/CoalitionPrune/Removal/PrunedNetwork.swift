// A model without units, and the proof that it computes what the masked one computes.

public import CoalitionBase
public import CoalitionNet

/// A model from which groups of units have been removed.
public struct PrunedNetwork: Sendable {
  public let graph: Graph
  /// The largest difference of an output from the network at its full size in which nobody reads the removed units, as a
  /// share of the largest number of that output.
  public let difference: Double

  /// Differences up to here are rounding.
  public static let tolerance = 1e-5
  /// Examples that are compared, at most, and random ones.
  private static let (examples, randomExamples) = (16, 4)

  /// - Parameters:
  ///   - inputs: the first 16 examples are compared; random numbers where none are given.
  /// - Throws: what `UnitCoupling.removing` throws; `internalFault` when the networks differ.
  public init(
    _ coupling: UnitCoupling, removing groups: Set<Int>, inputs: [String: Tensor] = [:],
    _ options: PlanOptions = PlanOptions(), _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) {
    graph = try coupling.removing(groups)
    // In double precision, what is left of a difference is no rounding.
    var precise = options
    precise.precision = .double
    let small = try Plan(try coupling.model.rebuilt(graph), precise)
    let large = try Plan(try coupling.model.rebuilt(try coupling.masking(groups)), precise)
    let rows = try ExampleRows.of(
      large, inputs, count: inputs.isEmpty ? Self.randomExamples : Self.examples)
    let found = try await small.run(rows, run)
    let expected = try await large.run(rows, run)
    var largest = 0.0
    for output in large.outputs where !output.isConstant {
      guard let a = found[output.name]?.doubles, let b = expected[output.name]?.doubles,
        a.count == b.count
      else {
        throw CoalitionError(
          .internalFault, "the smaller model lacks an output", node: output.name)
      }
      let largestOutput = b.reduce(0) { max($0, abs($1)) }
      let scale = largestOutput > 0 ? largestOutput : 1
      for (x, y) in zip(a, b) where x != y {
        let difference = abs(x - y) / scale
        largest = difference.isNaN ? .infinity : max(largest, difference)
      }
    }
    difference = largest
    guard largest <= Self.tolerance else {
      throw CoalitionError(
        .internalFault, "the smaller model does not compute what the masked one computes",
        expected: "differences up to \(Self.tolerance)", found: "\(largest)")
    }
  }
}
