// The one place where an error becomes a sentence and an exit code.

import CoalitionBase

extension CoalitionError.Code {
  /// A signal ended the work, which a checkpoint holds.
  static let stopped = CoalitionError.Code(rawValue: "stopped")
}

enum ExitCode {
  static let success: Int32 = 0

  /// The exit code of an error. Codes of errors that are not known here are internal faults.
  static func of(_ error: CoalitionError) -> Int32 {
    switch error.code {
    case .usage: 64
    case .invalidData, .unsupported, .shapeMismatch, .notFinite: 65
    case .unreadable: 66
    case .limitExceeded, .memoryLimit, .unavailable: 69
    case .cannotCreate: 73
    case .writeFailed: 74
    case .stopped: 75
    case .cancelled: 128 + (Signals.received ?? 2)
    default: 70
    }
  }

  /// Prints the sentence that belongs to an error and returns its code.
  static func report(_ error: CoalitionError) -> Int32 {
    // Whoever closed our output does not read a complaint about it.
    if !Terminal.isOutputClosed(error) {
      let advice =
        error.code == .memoryLimit
        ? "; --\(RuntimeOptions.memoryOption.declaration.name) allows more" : ""
      Terminal.writeError("coalition: \(error.description)\(advice)\n")
    }
    return of(error)
  }
}
