// Standard output and standard error, without buffers of their own.

import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

enum Terminal {
  private static let outputName = "standard output"
  private static let closed = "it was closed"

  /// - Throws: `writeFailed` when standard output takes no more.
  static func write(_ text: String) throws(CoalitionError) {
    let problem = put(text, to: STDOUT_FILENO)
    guard problem != 0 else { return }
    throw CoalitionError(
      .writeFailed,
      problem == EPIPE ? closed : "cannot write: \(String(cString: strerror(problem)))",
      node: outputName)
  }

  /// Whether the error says that the reader of standard output has gone.
  static func isOutputClosed(_ error: CoalitionError) -> Bool {
    error.code == .writeFailed && error.node == outputName && error.message == closed
  }

  /// Text for people: a failure to write it is nobody's concern.
  static func writeError(_ text: String) { _ = put(text, to: STDERR_FILENO) }

  static var isErrorInteractive: Bool { isatty(STDERR_FILENO) == 1 }

  /// - Returns: 0, or the error number.
  private static func put(_ text: String, to descriptor: Int32) -> Int32 {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let put = bytes.withUnsafeBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
      if put < 0 {
        if errno == EINTR { continue }
        return errno
      }
      bytes = bytes.dropFirst(put)
    }
    return 0
  }
}

/// The system call, under a name that `Terminal.write` does not hide.
private let writeBytes = write(_:_:_:)
