// The one error type of the package.
//
// Every public function that can fail throws `CoalitionError`. It says what is wrong (message), where
// (node), what was expected and what was found, and carries a code that a program can test.

/// What went wrong, where, and what was expected in its place.
public struct CoalitionError: Error, Hashable, Sendable {
  /// The kind of an error. New kinds may be added: compare with the static members, and keep a default.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The caller's options contradict each other or name something that does not exist.
    public static let usage = Code(rawValue: "usage")
    /// A file or model is broken: truncated, inconsistent, or not what its header says.
    public static let invalidData = Code(rawValue: "invalid-data")
    /// A model uses an operator, attribute or type that has no implementation.
    public static let unsupported = Code(rawValue: "unsupported")
    /// Shapes do not fit together.
    public static let shapeMismatch = Code(rawValue: "shape-mismatch")
    /// A value that must be finite is not.
    public static let notFinite = Code(rawValue: "not-finite")
    /// A file is missing or cannot be read.
    public static let unreadable = Code(rawValue: "unreadable")
    /// A size lies beyond what the package or a file format can hold.
    public static let limitExceeded = Code(rawValue: "limit-exceeded")
    /// More memory would be needed than the caller allows.
    public static let memoryLimit = Code(rawValue: "memory-limit")
    /// An outside program cannot be had: it does not start, ends, or gives no answer.
    public static let unavailable = Code(rawValue: "unavailable")
    /// An output file cannot be created.
    public static let cannotCreate = Code(rawValue: "cannot-create")
    /// Writing failed after it had begun.
    public static let writeFailed = Code(rawValue: "write-failed")
    /// The work was cancelled.
    public static let cancelled = Code(rawValue: "cancelled")
    /// An invariant of the package does not hold: a bug.
    public static let internalFault = Code(rawValue: "internal-fault")
  }

  public var code: Code
  /// One clause without a full stop: what is wrong and what to do.
  public var message: String
  /// The node of the graph, or the file, that the error is about.
  public var node: String?
  public var expected: String?
  public var found: String?

  public init(
    _ code: Code, _ message: String, node: String? = nil, expected: String? = nil,
    found: String? = nil
  ) {
    self.code = code
    self.message = message
    self.node = node
    self.expected = expected
    self.found = found
  }

  /// The same error, about `node` unless it already names one.
  public func at(_ node: String) -> CoalitionError {
    var copy = self
    copy.node = self.node ?? node
    return copy
  }
}

extension CoalitionError: CustomStringConvertible {
  /// One sentence: `node: message (expected ..., found ...)`.
  public var description: String {
    var text = node.map { "\($0): " } ?? ""
    text += message
    switch (expected.map(Self.shortened), found.map(Self.shortened)) {
    case (let expected?, let found?): text += " (expected \(expected), found \(found))"
    case (let expected?, nil): text += " (expected \(expected))"
    case (nil, let found?): text += " (found \(found))"
    case (nil, nil): break
    }
    return text
  }

  /// Shapes of hundreds of axes and lists of names do not make a sentence.
  private static func shortened(_ text: String) -> String {
    text.utf8.count <= 400 ? text : text.prefix(360) + "... (\(text.count) characters)"
  }
}
