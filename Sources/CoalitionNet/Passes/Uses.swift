// Who uses a value.

extension Graph {
  /// Per value, the indices of the nodes that read it, once per use; outputs of the graph count as a use by `nil`.
  func uses() -> [String: [Int?]] {
    var uses: [String: [Int?]] = [:]
    for (index, node) in nodes.enumerated() {
      for input in node.inputs where !input.isEmpty { uses[input, default: []].append(index) }
    }
    for port in outputs { uses[port.name, default: []].append(nil) }
    return uses
  }
}

/// The only node that reads a value, when it has exactly one use and is no output of the graph.
func soleReader(of value: String, _ uses: [String: [Int?]]) -> Int? {
  guard let readers = uses[value], readers.count == 1 else { return nil }
  return readers[0]
}
