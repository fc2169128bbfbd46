// The arrays that go into a model: read from files, preprocessed, matched with the model's inputs.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

struct InputArrays: Sendable {
  static let inputOption = Option(
    "input", "[NAME=]FILE",
    "examples: .npy, FILE.npz:KEY, IDX (.idx, -ubyte, .gz), raw .f32 or .u8, PNG or JPEG; once per input",
    repeatable: true, as: .named)
  static let constantOption = Option(
    "constant", "NAME=FILE", "a value for an input that is the same for all examples",
    repeatable: true, as: .named)

  static let group = OptionGroup(
    title: "Arrays in",
    options: [
      inputOption.declaration, constantOption.declaration, ModelFile.shapeOption.declaration,
    ])

  /// By input; as read.
  private(set) var examples: [String: Tensor] = [:]
  /// Inputs that become constants of the model.
  private(set) var constants: [String: Tensor] = [:]
  /// Sizes that `--input-shape` gives, or that the arrays have where the model leaves them open.
  private(set) var shapes: [String: [Int]]
  /// Where the arrays came from, by input.
  private(set) var paths: [(name: String, path: String)] = []
  /// The types of numbers in the files, by input.
  private var storedTypes: [String: ElementType] = [:]
  /// SHA-256 of the files, by input: for results that are written.
  private var digests: [String: String] = [:]
  let preprocessing: Preprocessing

  /// - Parameter memoryLimit: bytes that the arrays may take.
  init(
    _ arguments: Arguments, for model: ModelFile, memoryLimit: Int
  ) throws(CoalitionError) {
    preprocessing = PreprocessingFlags.read(arguments)
    shapes = try model.inputShapes(arguments)
    var left = memoryLimit
    for given in arguments.all(Self.constantOption) {
      let (name, path) = try model.inputName(of: given, option: Self.constantOption.declaration)
      let options = ArrayFile.Options(exampleShape: shapes[name], memoryLimit: left)
      let tensor = try ArrayFile.load(path, options: options)
      guard constants.updateValue(tensor, forKey: name) == nil else {
        throw CoalitionError(.usage, "--constant is given twice for this input", node: name)
      }
      storedTypes[name] = tensor.elementType
      try note(name, path, arguments, left)
      left -= tensor.byteCount
    }
    let inputs = arguments.all(Self.inputOption)
    for given in inputs {
      let (name, path) = try model.inputName(
        of: given, option: Self.inputOption.declaration, taken: Set(constants.keys))
      guard examples[name] == nil, constants[name] == nil else {
        throw CoalitionError(.usage, "the input is given twice", node: name)
      }
      let (tensor, storedType) = try read(
        path, model.graph.inputs.first { $0.name == name }, isOnlyInput: inputs.count == 1, left)
      storedTypes[name] = storedType
      try note(name, path, arguments, left)
      left -= tensor.byteCount
      examples[name] = tensor
    }
    for port in model.graph.inputs where shapes[port.name] == nil {
      shapes[port.name] = examples[port.name].flatMap { Self.shape($0, filling: port) }
    }
  }

  var byteCount: Int {
    examples.values.reduce(0) { $0 + $1.byteCount }
      + constants.values.reduce(0) { $0 + $1.byteCount }
  }

  /// Keeps where an array came from.
  private mutating func note(
    _ name: String, _ path: String, _ arguments: Arguments, _ limit: Int
  ) throws(CoalitionError) {
    paths.append((name, path))
    // For what is written, and where files say what they were made from.
    let isAsked =
      arguments.isGiven(Run.outputOption.declaration)
      || arguments.isGiven(ShapleyFlags.checkpointOption.declaration)
      || arguments.isGiven(AttributionFile.option.declaration)
      || arguments.isGiven(EvaluationChoice.metric.declaration)
    guard isAsked,
      let file = FilesRead.paths(in: path).first(where: Files.exists)
    else { return }
    digests[name] = SHA256.hexadecimal(try Files.read(file, limit: limit))
  }

  // MARK: Reading

  /// The array as the model takes it, and the type of the numbers in the file.
  private func read(
    _ path: String, _ port: Port?, isOnlyInput: Bool, _ limit: Int
  ) throws(CoalitionError) -> (Tensor, storedType: ElementType) {
    var options = ArrayFile.Options(exampleShape: exampleShape(port), memoryLimit: limit)
    options.exampleSizes = options.exampleShape ?? port?.shape?.dropFirst().map(\.fixedSize)
    if !isOnlyInput || preprocessing.isIdentity {
      // Of several inputs, preprocessing is meant for those that it can apply to.
      let isWanted = preprocessing.isIdentity && port?.elementType == .uint8
      let stored =
        isWanted
        ? try ArrayFile.loadBytes(path, layout: preprocessing.layout, options: options)
        : try ArrayFile.load(path, options: options)
      if stored.elementType != .uint8 || isWanted { return (stored, stored.elementType) }
    }
    // Nothing but bytes is preprocessed.
    return (
      try ArrayFile.loadInput(path, preprocessing: preprocessing, options: options), .uint8
    )
  }

  /// The shape of one example in a raw file: what `--input-shape` says, or the model's where nothing is open.
  private func exampleShape(_ port: Port?) -> [Int]? {
    guard let port else { return nil }
    guard let given = shapes[port.name] else {
      guard let sizes = port.shape?.dropFirst().map(\.fixedSize), !sizes.contains(nil) else {
        return nil
      }
      return sizes.compactMap { $0 }
    }
    return given.count == port.shape?.count ? Array(given.dropFirst()) : given
  }

  /// The shape of one example in a tensor, where the model leaves sizes open that it tells. The first axis of the
  /// tensor counts examples wherever the model has its axis for them, unless the tensor is one example without it.
  private static func shape(_ tensor: Tensor, filling port: Port) -> [Int]? {
    guard let declared = port.shape else { return tensor.shape }
    guard declared.dropFirst().contains(where: { $0.fixedSize == nil }) else { return nil }
    switch tensor.rank {
    case declared.count - 1: return tensor.shape
    case declared.count, declared.count + 1: return Array(tensor.shape.dropFirst())
    default: return nil
    }
  }

  /// More examples of an input, read as its own were.
  func more(
    _ path: String, of input: Plan.Value, memoryLimit: Int
  ) throws(CoalitionError) -> Tensor {
    var shape: [Dimension] = [.symbolic("N")]
    shape += input.shape.map { .fixed($0) }
    let port = Port(input.name, input.elementType, shape: shape)
    return try Self.fitted(
      try read(path, port, isOnlyInput: true, memoryLimit).0, to: input.shape)
  }

  // MARK: Fitting

  /// The arrays in the shapes that inputs take: axes of size 1 may be missing or surplus, as in gray images without
  /// an axis of channels.
  func fitted(to inputs: [Plan.Value]) throws(CoalitionError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for input in inputs {
      guard let tensor = examples[input.name] else {
        throw CoalitionError(
          .usage, "the input is not given: --input \(input.name)=FILE", node: input.name)
      }
      if let problem = misfit(tensor, input) { throw problem }
      result[input.name] = try Self.fitted(tensor, to: input.shape)
    }
    return result
  }

  /// A tensor as rows of `shape`, or as one example of it, where no more than axes of size 1 is in the way; else
  /// as it is.
  static func fitted(_ tensor: Tensor, to shape: [Int]) throws(CoalitionError) -> Tensor {
    if tensor.shape == shape || Array(tensor.shape.dropFirst()) == shape { return tensor }
    let wide = shape.filter { $0 != 1 }
    if tensor.rank > 0, tensor.shape.dropFirst().filter({ $0 != 1 }) == wide {
      return try tensor.reshaped(to: [tensor.shape[0]] + shape)
    }
    return tensor.shape.filter { $0 != 1 } == wide ? try tensor.reshaped(to: shape) : tensor
  }

  /// The number of examples in arrays that fit.
  static func count(_ tensors: [String: Tensor], in inputs: [Plan.Value]) -> Int {
    for input in inputs {
      if let tensor = tensors[input.name], tensor.rank == input.shape.count + 1 {
        return tensor.shape[0]
      }
    }
    return 1
  }

  // MARK: Recording

  /// Preprocessing and the arrays' types and shapes, for `options` of a result.
  var record: [JSONValue.Member] {
    let arrays = paths.map { name, _ in
      let tensor = examples[name] ?? constants[name]
      return JSONValue.Member(
        name,
        .object([
          "role": .string(examples[name] == nil ? "constant" : "examples"),
          "dtype": .string(storedTypes[name]?.rawValue ?? ""),
          "shape": .array((tensor?.shape ?? []).map { .integer($0) }),
          "sha256": digests[name].map { .string($0) } ?? .null,
        ]))
    }
    return [
      .init("input", .object(arrays)), .init("preprocessing", .object(preprocessing.fields)),
    ]
  }

  /// The files, for `run` of a result.
  var pathRecord: JSONValue {
    .object(paths.map { JSONValue.Member($0.name, .string($0.path)) })
  }
}

extension Dimension {
  var fixedSize: Int? { if case .fixed(let size) = self { size } else { nil } }
}
