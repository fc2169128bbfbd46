// What is wrong with arrays that do not fit a model, in terms of the files that they came from.

import CoalitionBase
import CoalitionData
import CoalitionNet

extension InputArrays {
  private func path(of input: String) -> String {
    paths.first { $0.name == input }?.path ?? input
  }

  /// An error for what users often get wrong; nil for arrays that fit, or do not for another reason.
  func misfit(_ tensor: Tensor, _ input: Plan.Value) -> CoalitionError? {
    let path = path(of: input.name)
    if tensor.rank == input.shape.count + 1, tensor.shape.first == 0 {
      return CoalitionError(
        .shapeMismatch, "there are no examples for the input \(input.name)", node: path,
        found: "\(tensor.shape)")
    }
    guard tensor.rank == 4, input.shape.count == 3,
      tensor.shape.dropFirst().filter({ $0 != 1 }) != input.shape.filter({ $0 != 1 })
    else { return nil }
    let expected = "[N" + input.shape.map { ", \($0)" }.joined() + "]"
    let lowered = path.lowercased()
    let isImage = [".png", ".jpg", ".jpeg"].contains { lowered.hasSuffix($0) }
    let isReordered = [tensor.shape[3], tensor.shape[1], tensor.shape[2]] == input.shape
    if isReordered, !isImage {
      return CoalitionError(
        .shapeMismatch,
        "\(tensor.shape) looks channels-last: transpose it, the input \(input.name) has channels first",
        node: path, expected: expected, found: "\(tensor.shape)")
    }
    guard isImage else { return nil }
    let advice =
      isReordered || [tensor.shape[2], tensor.shape[3], tensor.shape[1]] == input.shape
      ? "see --layout" : "see --resize, --crop and --channels"
    return CoalitionError(
      .shapeMismatch, "the image does not fit the input \(input.name); \(advice)", node: path,
      expected: expected, found: "\(tensor.shape)")
  }

  /// Runs `body`. When it finds a number that is not finite, the error says in which file and example.
  func locatingNotFinite<Value: Sendable>(
    in inputs: [Plan.Value], _ body: () async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> Value {
    do throws(CoalitionError) {
      return try await body()
    } catch {
      if error.code == .notFinite, let place = notFinite(in: inputs) { throw place }
      throw error
    }
  }

  /// Where the first number of an array stands that is not finite.
  private func notFinite(in inputs: [Plan.Value]) -> CoalitionError? {
    for input in inputs {
      guard let tensor = examples[input.name], let place = tensor.firstNonFinite else { continue }
      let size = max(1, input.count)
      return CoalitionError(
        .notFinite,
        "example \(place / size) of the input \(input.name) is not finite at element \(place % size)",
        node: self.path(of: input.name), found: "\(tensor.doubles[place])")
    }
    return nil
  }
}
