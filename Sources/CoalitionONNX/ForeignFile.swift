// Names what a file is that turned out not to be an ONNX model.

enum ForeignFile {
  /// A description with its article: nil when the bytes look like no common kind of file. Asked
  /// only after reading failed, so that no model can be mistaken.
  static func kind(_ bytes: [UInt8]) -> String? {
    if bytes.isEmpty { return "an empty file" }
    for (signature, kind) in signatures where bytes.starts(with: signature.utf8) { return kind }
    if bytes.starts(with: [0x89] + Array("PNG".utf8)) { return "a PNG picture" }
    if bytes.starts(with: [0x89] + Array("HDF".utf8)) { return "an HDF5 file" }
    if bytes.starts(with: [0x93] + Array("NUMPY".utf8)) { return "a NumPy array" }
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return "a JPEG picture" }
    if bytes.starts(with: [0x1F, 0x8B]) { return "a gzip archive" }
    if bytes.dropFirst(4).starts(with: "TFL3".utf8) { return "a TensorFlow Lite model" }
    if bytes.dropFirst(4).starts(with: "ORTM".utf8) {
      return "a model in ONNX Runtime's own format"
    }

    let start = bytes.prefix(512)
    if start.allSatisfy({ $0 == 0 }) { return "a file of zeros" }
    let isPrintable = start.allSatisfy { $0 >= 0x20 && $0 != 0x7F || 9...13 ~= $0 }
    // The prefix may end inside of a character.
    let text = start.count < 512 ? start : start.dropLast(3)
    guard isPrintable, let line = String(validating: text, as: UTF8.self) ?? trimmed(text) else {
      return nil
    }
    let lead = line.drop { $0.isWhitespace }.prefix(15).lowercased()
    return lead.hasPrefix("<!doctype html") || lead.hasPrefix("<html")
      ? "an HTML page" : "a text file"
  }

  /// The text without up to three bytes of a character that was cut at the end.
  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String? {
    for count in 1...3 {
      if let text = String(validating: bytes.dropLast(count), as: UTF8.self) { return text }
    }
    return nil
  }

  private static let signatures: KeyValuePairs = [
    "version https://git-lfs":
      "a git-LFS pointer in place of the file: fetch it with 'git lfs pull'",
    "PK\u{03}\u{04}": "a zip archive (PyTorch and NumPy's .npz are such)",
    "%PDF": "a PDF document",
    "\u{7F}ELF": "a program",
  ]
}
