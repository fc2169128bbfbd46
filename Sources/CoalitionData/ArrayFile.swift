// One door for arrays that come in: the name of a file, with `:KEY` behind an npz archive, chooses the
// reader; a name that says nothing is decided by the first bytes.

public import CoalitionBase

public enum ArrayFile {
  public struct Options: Hashable, Sendable {
    /// The shape of one example, for files that have no header.
    public var exampleShape: [Int]?
    /// The largest number of bytes that the file, the array in it, or an image on the way may take.
    public var memoryLimit: Int
    /// The sizes of one example of the input that the array is for, nil where they are open: an array that has these
    /// is one example, whose first axis counts none.
    package var exampleSizes: [Int?]?

    public init(exampleShape: [Int]? = nil, memoryLimit: Int = .max) {
      self.exampleShape = exampleShape
      self.memoryLimit = memoryLimit
    }

    fileprivate func isOneExample(_ shape: [Int]) -> Bool {
      guard let exampleSizes, exampleSizes.count == shape.count else { return false }
      return zip(exampleSizes, shape).allSatisfy { $0 == nil || $0 == $1 }
    }
  }

  /// The array as it is stored; an image as bytes [height, width, channels].
  /// - Parameter spec: a path, or `PATH.npz:KEY`. A path may contain colons: the first part that ends in
  ///   `.npz` and is a file counts, and a file that has the whole name comes before that.
  /// - Throws: `unreadable`, `invalidData`, `unsupported`, `memoryLimit`, or `usage` when the key or the
  ///   shape of an example is missing; each names the file.
  public static func load(
    _ spec: String, options: Options = Options()
  ) throws(CoalitionError) -> Tensor {
    try contents(spec, options).tensor
  }

  /// The array in model units: preprocessing is applied to images and bytes. An image is one example.
  public static func loadInput(
    _ spec: String, preprocessing: Preprocessing, options: Options = Options()
  ) throws(CoalitionError) -> Tensor {
    let contents = try contents(spec, options)
    do throws(CoalitionError) {
      return contents.isImage
        ? try preprocessing.apply(toImage: contents.tensor, limit: options.memoryLimit)
        : try preprocessing.apply(
          toArray: contents.tensor, isOneExample: options.isOneExample(contents.tensor.shape))
    } catch {
      throw error.at(spec)
    }
  }

  /// The array for an input that takes bytes: as it is stored, and of an image one example in the layout of inputs.
  package static func loadBytes(
    _ spec: String, layout: Preprocessing.Layout, options: Options = Options()
  ) throws(CoalitionError) -> Tensor {
    let (tensor, isImage) = try contents(spec, options)
    guard isImage, case .uint8(let bytes) = tensor.elements else { return tensor }
    let (shape, ordered) = layout.arranged(bytes, tensor.shape)
    return try Tensor(shape: shape, elements: .uint8(ordered))
  }

  private static func contents(
    _ spec: String, _ options: Options
  ) throws(CoalitionError) -> (tensor: Tensor, isImage: Bool) {
    let (path, key) = split(spec)
    let bytes = try Files.read(path, limit: options.memoryLimit)
    do throws(CoalitionError) {
      let format = try Format(path: path, bytes: bytes)
      guard key == nil || format == .npz else {
        throw CoalitionError(.usage, "only an npz file has keys", found: "'\(spec)'")
      }
      let limit = options.memoryLimit
      switch format {
      case .npy: return (try Npy.decode(bytes, limit: limit), false)
      case .npz: return (try Npz.decode(bytes, key: key, limit: limit), false)
      case .idx: return (try IDX.decode(bytes, limit: limit), false)
      case .image: return (try ImageFile.decode(bytes, limit: limit), true)
      case .raw(let raw):
        guard let shape = options.exampleShape else {
          throw CoalitionError(
            .usage, "a .\(raw.rawValue) file needs the shape of an example (--input-shape)")
        }
        let tensor = try RawArray.decode(
          bytes, format: raw, exampleShape: shape, limit: limit)
        return (tensor, false)
      }
    } catch {
      throw error.at(path)
    }
  }

  /// The path and the key of `PATH.npz:KEY`.
  static func split(_ spec: String) -> (path: String, key: String?) {
    guard !Files.exists(spec) else { return (spec, nil) }
    var fallback: (String, String)?
    for colon in spec.indices where spec[colon] == ":" {
      let path = String(spec[..<colon])
      guard path.lowercased().hasSuffix(".npz") else { continue }
      let key = String(spec[spec.index(after: colon)...])
      if Files.exists(path) { return (path, key) }
      fallback = fallback ?? (path, key)
    }
    return fallback ?? (spec, nil)
  }

  private enum Format: Equatable {
    case npy, npz, idx, image
    case raw(RawArray.Format)

    init(path: String, bytes: [UInt8]) throws(CoalitionError) {
      let name = path.lowercased()
      let isNamed = { (endings: [String]) in endings.contains { name.hasSuffix($0) } }
      if isNamed([".npy"]) {
        self = .npy
      } else if isNamed([".npz"]) {
        self = .npz
      } else if isNamed([".idx", "-ubyte", ".gz"]) {
        self = .idx
      } else if isNamed([".png", ".jpg", ".jpeg"]) {
        self = .image
      } else if isNamed([".f32"]) {
        self = .raw(.f32)
      } else if isNamed([".u8"]) {
        self = .raw(.u8)
      } else if bytes.starts(with: Npy.magic) {
        self = .npy
      } else if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
        self = .npz
      } else if ImageFile.isPNG(bytes) || ImageFile.isJPEG(bytes) {
        self = .image
      } else if IDX.isLikely(bytes) || IDX.isGzip(bytes) {
        self = .idx
      } else {
        throw CoalitionError(
          .invalidData, "neither the name nor the first bytes tell the format",
          expected: ".npy, .npz, .idx, -ubyte, .gz, .f32, .u8, .png, .jpg or .jpeg")
      }
    }
  }
}
