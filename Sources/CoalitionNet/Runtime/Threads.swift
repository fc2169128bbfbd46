// How many threads a run uses.

import CLanes
package import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension Plan {
  private static let range = 1...1024

  /// The threads that a run uses: what is asked for, or what the OpenMP runtime takes from OMP_NUM_THREADS and the
  /// processors.
  /// - Throws: `usage` for a number out of range, or an OMP_NUM_THREADS that is none: the runtime itself would take an
  ///   arbitrary number for it, or abort.
  package static func threads(_ requested: Int?) throws(CoalitionError) -> Int {
    if let value = getenv("OMP_NUM_THREADS") {
      let text = String(cString: value)
      let levels = text.split(separator: ",", omittingEmptySubsequences: false)
      let isValid = levels.allSatisfy { level in
        Int(level.filter { $0 != " " }).map(range.contains) ?? false
      }
      guard isValid || text.allSatisfy({ $0 == " " }) else {
        throw CoalitionError(
          .usage, "the environment variable is no number of threads", node: "OMP_NUM_THREADS",
          expected: "\(range.lowerBound) to \(range.upperBound)", found: "'\(text)'")
      }
    }
    let threads = requested ?? Int(ln_default_threads())
    guard range.contains(threads) else {
      throw CoalitionError(
        .usage, "the number of threads is out of range",
        expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(threads)")
    }
    return threads
  }
}
