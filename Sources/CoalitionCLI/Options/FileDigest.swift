// The checksum of the file behind `FILE` or `FILE.npz:KEY`, which tells a result what it was made from.

import CoalitionBase
import CoalitionData

enum FileDigest {
  /// nil when no part of the text is a file.
  static func of(_ text: String, limit: Int) throws(CoalitionError) -> String? {
    guard let file = FilesRead.paths(in: text).first(where: Files.exists) else { return nil }
    return SHA256.hexadecimal(try Files.read(file, limit: limit))
  }
}
