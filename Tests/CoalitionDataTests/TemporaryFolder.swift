// A folder for one test.

import CoalitionBase
import Glibc

/// Removed with everything in it when the test ends.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/coalition-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw CoalitionError(.cannotCreate, "mkdtemp") }
    path = String(cString: made)
  }

  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Files.writeAtomically(bytes, to: "\(path)/\(name)")
    return "\(path)/\(name)"
  }

  /// What is in it, sorted.
  var names: [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  deinit {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
