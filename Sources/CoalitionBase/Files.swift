// Reading whole files and writing them atomically, on the C library alone (no Foundation).

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Whole files in and out.
public enum Files {
  /// The bytes of a file.
  /// - Parameter limit: the largest size that is accepted, checked before anything is allocated.
  /// - Throws: `unreadable` when it cannot be opened or read, `memoryLimit` past `limit`.
  public static func read(_ path: String, limit: Int = .max) throws(CoalitionError) -> [UInt8] {
    // Without O_NONBLOCK a named pipe would wait for a writer before it can be refused below.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw CoalitionError(.unreadable, "cannot open the file: \(lastSystemError)", node: path)
    }
    defer { _ = close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw CoalitionError(.unreadable, "cannot read the file: \(lastSystemError)", node: path)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CoalitionError(.unreadable, "not a regular file", node: path)
    }
    let size = Int(status.st_size)
    guard size <= limit else {
      throw CoalitionError(
        .memoryLimit, "the file is larger than allowed", node: path,
        expected: "at most \(limit) bytes", found: "\(size)")
    }
    return try bytes(of: descriptor, 0..<size) { reason in
      CoalitionError(.unreadable, "cannot read the file: \(reason)", node: path)
    }
  }

  /// Some of the bytes of an open file.
  /// - Parameter unreadable: the error for a reason.
  package static func bytes(
    of descriptor: Int32, _ range: Range<Int>, unreadable: (String) -> CoalitionError
  ) throws(CoalitionError) -> [UInt8] {
    var failure: CoalitionError?
    let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
      while filled < range.count {
        let got = pread(
          descriptor, buffer.baseAddress?.advanced(by: filled), range.count - filled,
          off_t(range.lowerBound + filled))
        if got < 0 && errno == EINTR { continue }
        if got <= 0 {
          failure = unreadable(
            got == 0 ? "it became shorter while it was read" : lastSystemError)
          return
        }
        filled += got
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// The text of `errno`.
  package static var lastSystemError: String { String(cString: strerror(errno)) }

  /// Whether the path names a file, folder or device.
  public static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0
  }

  /// Writes a file under a temporary name beside its place and renames it, so that the final name never
  /// shows a partial file.
  /// - Throws: `cannotCreate` before anything is written, `writeFailed` after.
  public static func writeAtomically(_ bytes: [UInt8], to path: String) throws(CoalitionError) {
    try checkReplaceable(path)
    let (descriptor, temporary) = try createTemporary(beside: path)
    var written = 0
    var failure: String?
    while written < bytes.count && failure == nil {
      let put = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
      }
      if put < 0 && errno != EINTR { failure = lastSystemError }
      if put > 0 { written += put }
    }
    if failure == nil && fsync(descriptor) != 0 && errno != EINVAL { failure = lastSystemError }
    if close(descriptor) != 0 && failure == nil { failure = lastSystemError }
    if failure == nil && rename(temporary, path) != 0 { failure = lastSystemError }
    if let failure {
      unlink(temporary)
      throw CoalitionError(.writeFailed, "cannot write the file: \(failure)", node: path)
    }
    syncFolder(of: path)
  }

  /// A new file that nobody else has made or linked to somewhere.
  private static func createTemporary(
    beside path: String
  ) throws(CoalitionError) -> (descriptor: Int32, path: String) {
    for attempt in 0..<100 {
      let temporary = "\(path).\(getpid())-\(attempt).partial"
      let descriptor = open(
        temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
      if descriptor >= 0 { return (descriptor, temporary) }
      if errno != EEXIST && errno != EINTR { break }
    }
    throw CoalitionError(.cannotCreate, "cannot create the file: \(lastSystemError)", node: path)
  }

  /// Makes a rename last through a loss of power, where the file system can: the file itself is written already.
  private static func syncFolder(of path: String) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    _ = fsync(descriptor)
    _ = close(descriptor)
  }

  /// Checks that a file of this name could be created, without touching an existing one, so that a long
  /// computation does not fail at its end.
  public static func checkCreatable(_ path: String) throws(CoalitionError) {
    try checkReplaceable(path)
    let (descriptor, temporary) = try createTemporary(beside: path)
    _ = close(descriptor)
    unlink(temporary)
  }

  /// Renaming onto a device such as /dev/null would replace the device.
  private static func checkReplaceable(_ path: String) throws(CoalitionError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    throw CoalitionError(
      .cannotCreate,
      status.st_mode & S_IFMT == S_IFDIR
        ? "a folder has this name" : "a device or pipe has this name", node: path)
  }
}
