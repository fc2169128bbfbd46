// From the bytes of images and byte arrays (0..255) to the numbers that a model takes.
//
// Always in this order: resize, crop (centre), channels, x * scale, - mean, / std, layout. Mean and
// standard deviation are in scaled units. Resampling is Pillow's BILINEAR (Resampling.swift).
// Byte arrays of IDX, npy and raw files take scale, mean and standard deviation only; their layout says
// where the channels stand, they are not moved. Numbers that are no bytes are in model units already.

public import CoalitionBase

public struct Preprocessing: Hashable, Sendable {
  public enum Resize: Hashable, Sendable {
    /// To this size, whatever the proportions.
    case exactly(height: Int, width: Int)
    /// The shorter side to this size, the longer one in proportion, rounded.
    case shorterSide(Int)
  }

  public struct Size: Hashable, Sendable {
    public var height: Int
    public var width: Int

    public init(height: Int, width: Int) {
      self.height = height
      self.width = width
    }
  }

  public enum Channels: String, Hashable, Sendable, CaseIterable { case rgb, bgr, gray }
  public enum Layout: String, Hashable, Sendable, CaseIterable { case nchw, nhwc }

  public var resize: Resize?
  public var crop: Size?
  /// The order of the channels; nil leaves gray images gray and colour images RGB.
  public var channels: Channels?
  public var scale: Double?
  /// One value, or one for each channel.
  public var mean: [Double] = []
  /// One value, or one for each channel; none is 0.
  public var standardDeviation: [Double] = []
  public var layout = Layout.nchw

  public init() {}

  /// Whether bytes come out as the same numbers.
  public var isIdentity: Bool {
    resize == nil && crop == nil && channels == nil && scale == nil && mean.isEmpty
      && standardDeviation.isEmpty && layout == .nchw
  }

  /// The largest side of a resized or cropped image.
  static let largestSide = 65_535

  // MARK: Images

  /// The examples [1, C, H, W] or [1, H, W, C] in single precision of an image [H, W, C].
  /// - Throws: `usage` for a crop larger than the image or a mean of another number of channels,
  ///   `memoryLimit` when an image on the way takes more than `limit` bytes.
  public func apply(toImage image: Tensor, limit: Int = .max) throws(CoalitionError) -> Tensor {
    guard case .uint8(let pixels) = image.elements, image.rank == 3, !pixels.isEmpty,
      image.shape[2] == 1 || image.shape[2] == 3
    else {
      throw CoalitionError(
        .shapeMismatch, "this is not an image", expected: "bytes [height, width, 1 or 3]",
        found: "\(image.elementType.rawValue) \(image.shape)")
    }
    var bytes = ByteImage(
      height: image.shape[0], width: image.shape[1], channels: image.shape[2], pixels: pixels)
    if let resize {
      let size = try size(after: resize, bytes)
      // The pass over rows makes an image of the old height and the new width.
      try checkLimit([max(size.height, bytes.height), size.width, bytes.channels], 1, limit)
      bytes = bytes.resized(height: size.height, width: size.width)
    }
    if let crop {
      guard 1...bytes.height ~= crop.height, 1...bytes.width ~= crop.width else {
        throw CoalitionError(
          .usage, "the crop does not lie in the image",
          expected: "at most \(bytes.height)x\(bytes.width)",
          found: "\(crop.height)x\(crop.width)")
      }
      bytes = bytes.cropped(height: crop.height, width: crop.width)
    }
    try checkLimit([bytes.height, bytes.width, 3], 4, limit)
    switch channels {
    case .rgb: bytes = bytes.color()
    case .bgr: bytes = bytes.color().reversed()
    case .gray: bytes = bytes.gray()
    case nil: break
    }
    let hwc = [bytes.height, bytes.width, bytes.channels]
    let numbers = try normalized(bytes.pixels, shape: hwc, channelAxis: 2)
    let (shape, ordered) = layout.arranged(numbers, hwc)
    return try Tensor(shape: shape, elements: .float32(ordered))
  }

  private func size(after resize: Resize, _ image: ByteImage) throws(CoalitionError) -> Size {
    let size: Size
    switch resize {
    case .exactly(let height, let width): size = Size(height: height, width: width)
    case .shorterSide(let side):
      let longer = side.multipliedReportingOverflow(by: max(image.height, image.width))
      guard side > 0, !longer.overflow else {
        throw CoalitionError(.usage, "the size to resize to is out of range", found: "\(side)")
      }
      let shorter = min(image.height, image.width)
      let other = (longer.partialValue + shorter / 2) / shorter
      size =
        image.height <= image.width
        ? Size(height: side, width: other) : Size(height: other, width: side)
    }
    guard 1...Self.largestSide ~= size.height, 1...Self.largestSide ~= size.width else {
      throw CoalitionError(
        .usage, "the size to resize to is out of range",
        expected: "1 to \(Self.largestSide)", found: "\(size.height)x\(size.width)")
    }
    return size
  }

  private func checkLimit(
    _ shape: [Int], _ byteCount: Int, _ limit: Int
  ) throws(CoalitionError) {
    guard let bytes = Tensor.count(of: shape + [byteCount]), bytes <= limit else {
      throw CoalitionError(
        .memoryLimit, "the image is larger than allowed", expected: "at most \(limit) bytes",
        found: "\(shape)")
    }
  }

  // MARK: Arrays

  /// Scales and normalizes the bytes of an array [N, ...]; channels are axis 1 of [N, F], axis 1 or 3 of
  /// four axes after `layout`. Arrays of other numbers are returned as they are.
  /// - Throws: `usage` when an option is set that needs an image, or any option for numbers that are no
  ///   bytes.
  public func apply(toArray array: Tensor) throws(CoalitionError) -> Tensor {
    try apply(toArray: array, isOneExample: false)
  }

  /// - Parameter isOneExample: the axis N is not there.
  func apply(toArray array: Tensor, isOneExample: Bool) throws(CoalitionError) -> Tensor {
    guard case .uint8(let bytes) = array.elements else {
      guard isIdentity else {
        throw CoalitionError(
          .usage, "preprocessing applies to images and bytes only",
          found: array.elementType.rawValue)
      }
      return array
    }
    guard resize == nil, crop == nil, channels == nil else {
      throw CoalitionError(
        .usage, "resize, crop and channels apply to image files only",
        found: "an array of shape \(array.shape)")
    }
    let missing = isOneExample ? 1 : 0
    let axis: Int? =
      switch array.rank + missing {
      case 2: 1 - missing
      case 4: (layout == .nchw ? 1 : 3) - missing
      default: nil
      }
    return try Tensor(
      shape: array.shape,
      elements: .float32(try normalized(bytes, shape: array.shape, channelAxis: axis)))
  }

  /// (x * scale - mean) / std in single precision. A byte has 256 values: they are computed once for each
  /// channel, in double precision, and looked up.
  private func normalized(
    _ bytes: [UInt8], shape: [Int], channelAxis: Int?
  ) throws(CoalitionError) -> [Float] {
    let channels = channelAxis.map { shape[$0] } ?? 1
    try check(mean, "mean", channels)
    try check(standardDeviation, "standard deviation", channels)
    guard standardDeviation.allSatisfy({ $0 != 0 }) else {
      throw CoalitionError(.usage, "a standard deviation is zero")
    }
    let tables = (0..<max(mean.count, standardDeviation.count, 1)).map { channel in
      (0..<256).map { byte in
        let shift = mean.isEmpty ? 0 : mean[mean.count == 1 ? 0 : channel]
        let spread =
          standardDeviation.isEmpty
          ? 1 : standardDeviation[standardDeviation.count == 1 ? 0 : channel]
        return Float((Double(byte) * (scale ?? 1) - shift) / spread)
      }
    }
    guard tables.count > 1, let channelAxis else {
      let table = tables[0]
      return bytes.map { table[Int($0)] }
    }
    let run = shape[(channelAxis + 1)...].reduce(1, *)
    var numbers: [Float] = []
    numbers.reserveCapacity(bytes.count)
    var start = 0
    while start < bytes.count {
      for table in tables {
        for index in start..<start + run { numbers.append(table[Int(bytes[index])]) }
        start += run
      }
    }
    return numbers
  }

  private func check(
    _ values: [Double], _ name: String, _ channels: Int
  ) throws(CoalitionError) {
    guard values.count <= 1 || values.count == channels else {
      throw CoalitionError(
        .usage, "the \(name) does not have one value for each channel",
        expected: channels == 1 ? "1" : "1 or \(channels)", found: "\(values.count)")
    }
    guard values.allSatisfy(\.isFinite), scale?.isFinite ?? true else {
      throw CoalitionError(.usage, "scale, mean and standard deviation must be finite")
    }
  }
}

extension Preprocessing.Layout {
  /// One example of the numbers of an image [H, W, C].
  func arranged<Number>(_ numbers: [Number], _ shape: [Int]) -> (shape: [Int], numbers: [Number]) {
    let (height, width, channels) = (shape[0], shape[1], shape[2])
    switch self {
    case .nhwc: return ([1, height, width, channels], numbers)
    case .nchw:
      let planes = (0..<channels).flatMap { channel in
        stride(from: channel, to: numbers.count, by: channels).lazy.map { numbers[$0] }
      }
      return ([1, channels, height, width], planes)
    }
  }
}
