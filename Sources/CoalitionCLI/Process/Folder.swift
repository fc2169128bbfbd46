// Folders for verbs that write several files.

import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

enum Folder {
  /// Makes a folder unless there is one; the folder around it must exist.
  static func create(_ path: String) throws(CoalitionError) {
    if mkdir(path, 0o755) == 0 { return }
    let problem = errno
    var status = stat()
    if stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR { return }
    throw CoalitionError(
      .cannotCreate, "cannot create the folder: \(String(cString: strerror(problem)))", node: path)
  }
}
