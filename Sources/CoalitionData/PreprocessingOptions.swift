// The text forms of preprocessing options, and their record in result files.

public import CoalitionBase

extension Preprocessing.Size {
  /// `HxW`, as in `224x224`.
  public init(parsing text: String) throws(CoalitionError) {
    let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { side in
      side.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(side) : nil
    }
    guard sides.count == 2, let height = sides[0], let width = sides[1],
      1...Preprocessing.largestSide ~= height, 1...Preprocessing.largestSide ~= width
    else {
      throw CoalitionError(
        .usage, "not a size", expected: "HxW, as in 224x224", found: "'\(text)'")
    }
    self.init(height: height, width: width)
  }
}

extension Preprocessing.Resize {
  /// `HxW` or `short:N`.
  public init(parsing text: String) throws(CoalitionError) {
    let prefix = "short:"
    guard text.hasPrefix(prefix) else {
      let size = try Preprocessing.Size(parsing: text)
      self = .exactly(height: size.height, width: size.width)
      return
    }
    let digits = text.dropFirst(prefix.count)
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let side = Int(digits),
      1...Preprocessing.largestSide ~= side
    else {
      throw CoalitionError(
        .usage, "not a size", expected: "short:N, as in short:256", found: "'\(text)'")
    }
    self = .shorterSide(side)
  }
}

extension Preprocessing {
  /// The options that are set, in the order in which they act, named as the command names them.
  public var fields: [JSONValue.Member] {
    var fields: [JSONValue.Member] = []
    switch resize {
    case .exactly(let height, let width):
      fields.append(.init("resize", .string("\(height)x\(width)")))
    case .shorterSide(let side): fields.append(.init("resize", .string("short:\(side)")))
    case nil: break
    }
    if let crop { fields.append(.init("crop", .string("\(crop.height)x\(crop.width)"))) }
    if let channels { fields.append(.init("channels", .string(channels.rawValue))) }
    if let scale { fields.append(.init("scale", .number(scale))) }
    if !mean.isEmpty { fields.append(.init("mean", .array(mean.map { .number($0) }))) }
    if !standardDeviation.isEmpty {
      fields.append(.init("std", .array(standardDeviation.map { .number($0) })))
    }
    fields.append(.init("layout", .string(layout.rawValue)))
    return fields
  }
}
