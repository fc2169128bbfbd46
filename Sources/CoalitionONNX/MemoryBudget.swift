// What a reader may still allocate.

import CoalitionBase

/// Counts allocations against a limit before they are made. A file can describe objects in fewer
/// bytes than they take in memory (an empty text: 2 bytes for 16), so that the size of the file
/// alone bounds too little.
struct MemoryBudget {
  private let limit: Int
  private var used = 0

  init(limit: Int) { self.limit = limit }

  mutating func charge(_ count: Int, of stride: Int = 1) throws(CoalitionError) {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: stride)
    guard !overflow, bytes <= limit - used else {
      throw CoalitionError(
        .memoryLimit, "the model needs more memory than allowed",
        expected: "at most \(limit) bytes",
        found: overflow ? nil : "\(used) bytes and another \(bytes)")
    }
    used += bytes
  }

  /// Gives back what was charged for something short-lived.
  mutating func refund(_ bytes: Int) { used -= bytes }
}
