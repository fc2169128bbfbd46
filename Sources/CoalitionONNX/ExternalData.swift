// Weights that lie in a file beside the model (`external_data`).
//
// A model is untrusted: its locations may lead only to regular files inside the model's own folder.
// Absolute paths, `..` and symbolic links that lead outside are refused, and the range is compared
// with the file's size before anything is allocated. The optional checksum is not looked at.

import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Where the bytes of a tensor are.
struct ExternalData {
  let location: String
  let offset: Int
  /// nil when the entry leaves it to the tensor's shape.
  let length: Int?

  /// - Parameter entries: the key-value pairs of the tensor.
  init(_ entries: [String: String]) throws(CoalitionError) {
    guard let location = entries["location"], !location.isEmpty else {
      throw CoalitionError(.invalidData, "the external data has no location")
    }
    self.location = location
    offset = try Self.size("offset", entries["offset"]) ?? 0
    length = try Self.size("length", entries["length"])
  }

  private static func size(_ key: String, _ text: String?) throws(CoalitionError) -> Int? {
    guard let text else { return nil }
    guard let value = Int(text), value >= 0 else {
      throw CoalitionError(
        .invalidData, "the external data has a bad \(key)", expected: "a number of bytes",
        found: "'\(text)'")
    }
    return value
  }

  /// Reads `expected` bytes, which `length` must confirm if it is there, and charges the budget for
  /// them.
  func read(
    expected: Int, folder: String?, budget: inout MemoryBudget
  ) throws(CoalitionError) -> [UInt8] {
    if let length, length != expected {
      throw CoalitionError(
        .invalidData, "the external data does not fill the shape", expected: "\(expected) bytes",
        found: "\(length)")
    }
    let path = try resolve(in: folder)
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { throw unreadable(Files.lastSystemError) }
    defer { _ = close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unreadable(Files.lastSystemError) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw unreadable("not a regular file") }
    let size = Int(status.st_size)
    guard offset <= size, expected <= size - offset else {
      throw CoalitionError(
        .invalidData, "the external data file '\(location)' is too short",
        expected: "\(expected) bytes from byte \(offset)", found: "\(size) bytes in all")
    }
    try budget.charge(expected)
    return try Files.bytes(of: descriptor, offset..<offset + expected, unreadable: unreadable)
  }

  /// The file's path without symbolic links, which lies inside `folder`.
  private func resolve(in folder: String?) throws(CoalitionError) -> String {
    guard let folder else {
      throw CoalitionError(
        .unreadable, "the weights lie in the file '\(location)', but the model has no folder")
    }
    guard !location.hasPrefix("/"), !location.utf8.contains(0),
      !location.split(separator: "/").contains("..")
    else { throw outside }
    guard let root = Self.realPath(folder) else { throw unreadable(Files.lastSystemError) }
    guard let path = Self.realPath("\(folder)/\(location)") else {
      throw unreadable(Files.lastSystemError)
    }
    guard path.hasPrefix(root.hasSuffix("/") ? root : "\(root)/") else { throw outside }
    return path
  }

  private var outside: CoalitionError {
    CoalitionError(
      .invalidData, "the external data lies outside the model's folder", found: "'\(location)'")
  }

  private func unreadable(_ reason: String) -> CoalitionError {
    CoalitionError(.unreadable, "cannot read the external data file '\(location)': \(reason)")
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
