// A folder for one test.

import CoalitionBase
import Glibc

/// Removed with everything in it when the test ends.
package final class TemporaryFolder {
  package let path: String

  package init() throws {
    var template = Array("/tmp/coalition-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw CoalitionError(.cannotCreate, "mkdtemp") }
    path = String(cString: made)
  }

  package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Files.writeAtomically(bytes, to: "\(path)/\(name)")
    return "\(path)/\(name)"
  }

  /// What is in it, sorted.
  package var names: [String] { Self.names(path).sorted() }

  deinit { Self.remove(path) }

  private static func names(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// Removes a file, a link, or a folder with its content.
  private static func remove(_ path: String) {
    guard Glibc.remove(path) != 0, errno != ENOENT else { return }
    for name in names(path) { remove("\(path)/\(name)") }
    rmdir(path)
  }
}
