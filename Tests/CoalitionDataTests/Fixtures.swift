// The committed files of Fixtures/, found beside this source file (no bundle, no Foundation).

import CoalitionBase
import Testing

@testable import CoalitionData

enum Fixture {
  static let folder = String(#filePath.dropLast("Fixtures.swift".count)) + "Fixtures/"

  static func path(_ name: String) -> String { folder + name }

  static func bytes(_ name: String) throws -> [UInt8] { try Files.read(path(name)) }

  /// (37 y + 11 x + 71 c) mod 256, the pixel of every synthetic image.
  static func pixels(height: Int, width: Int, channels: Int) -> [UInt8] {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<channels { pixels.append(UInt8((37 * y + 11 * x + 71 * c) % 256)) }
      }
    }
    return pixels
  }
}

/// The code of the error that `body` throws: nil when it throws none.
func code(_ body: () throws(CoalitionError) -> Void) -> CoalitionError.Code? {
  do {
    try body()
    return nil
  } catch {
    return error.code
  }
}

/// Reads every beginning of the bytes: each must end in an error.
func expectTruncationFails(
  _ bytes: [UInt8], _ read: ([UInt8]) throws(CoalitionError) -> Void,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  for length in 0..<bytes.count {
    let found = code { () throws(CoalitionError) in try read(Array(bytes[..<length])) }
    #expect(
      found != nil, "accepted the first \(length) of \(bytes.count) bytes",
      sourceLocation: sourceLocation)
  }
}
