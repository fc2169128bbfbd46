// MaxPool, AveragePool and their global forms (csrc/ops/pool.c).

import CLanes
import CoalitionBase

struct Pooling: Operator {
  static let operations = ["MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"]

  private let operation: String
  private let isMaximum: Bool
  /// nil: the window covers the map.
  private let window: Window?
  private let countsPadding: Bool
  /// Indices of maxima count along columns first.
  private let isColumnMajor: Bool

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    isMaximum = node.operation.hasSuffix("MaxPool")
    countsPadding = try node.flag("count_include_pad", false)
    window = node.operation.hasPrefix("Global") ? nil : try Window(reading: node)
    isColumnMajor = try node.int("storage_order", 0) == 1
  }

  var kind: OperatorKind { isMaximum ? .select : .affine }

  private func windows(_ inputs: Inputs) throws(CoalitionError) -> [PlacedWindow] {
    let x = try inputs.required(0)
    guard x.shape.count >= 3 else {
      throw CoalitionError(
        .shapeMismatch, "\(operation) takes [N, C, space]", found: "\(x.shape)")
    }
    let spatial = Array(x.shape[2...])
    return try (window ?? Window(covering: spatial)).placed(over: spatial, operation: operation)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let sizes = try windows(inputs).map(\.outputSize)
    let values = ValueInfo(
      shape: Array(x.shape[..<2]) + sizes, elementType: x.elementType,
      example: x.example.moved { $0 < 2 ? $0 : nil })
    guard inputs.outputCount > 1, isMaximum else { return [values] }
    guard x.count <= 1 << 24 || inputs.node.outputs[1].isEmpty else {
      throw CoalitionError(
        .unsupported, "the indices of \(operation) do not fit into single precision",
        expected: "at most \(1 << 24) elements", found: "\(x.count)")
    }
    // The second output holds indices into the whole input, which counts its examples.
    let example: ExampleAxis = values.example == .none ? .none : .mixed
    return [values, ValueInfo(shape: values.shape, elementType: .int64, example: example)]
  }

  /// The window of a max pool whose windows tile the map, for fusion with the convolution before it.
  func tiling(_ inputs: Inputs) throws(CoalitionError) -> (height: Int, width: Int)? {
    guard isMaximum else { return nil }
    let (vertical, horizontal) = plane(try windows(inputs))
    guard vertical.tiles && horizontal.tiles else { return nil }
    guard vertical.outputSize == vertical.size / vertical.kernel,
      horizontal.outputSize == horizontal.size / horizontal.kernel
    else { return nil }
    return (vertical.kernel, horizontal.kernel)
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let info = try lowering.inputs.required(0)
    let shape = try lowering.outputInfo().shape
    let (vertical, horizontal) = plane(try windows(lowering.inputs))
    let order = channelsLast(rank: shape.count)
    let input = try lowering.lanes(0, inOrder: order)
    let kinds: [PoolStep.Kind] = [
      isMaximum ? .maximum : .average, .winner(columnMajor: isColumnMajor),
    ]
    for (index, kind) in kinds.enumerated() where lowering.wants(output: index) {
      let output = lowering.buffer(shape.reduce(1, *))
      lowering.emit(
        PoolStep(
          kind: kind, countsPadding: countsPadding, images: info.shape[0],
          channels: info.shape[1], vertical: vertical, horizontal: horizontal,
          input: input.operand, output: output))
      lowering.set(output: index, View(output, shape: shape, order: order))
    }
  }
}

struct PoolStep: Step {
  enum Kind: Sendable, Equatable {
    case maximum, average, sum
    /// Indices of the maxima.
    case winner(columnMajor: Bool)
  }

  var kind: Kind
  var countsPadding: Bool
  var images: Int
  var channels: Int
  var vertical: PlacedWindow
  var horizontal: PlacedWindow
  var input: Operand
  var output: Operand

  var reads: [Operand] { [input] }
  var writes: Operand? { output }
  var operations: Int { images * channels * vertical.tapsOnInput * horizontal.tapsOnInput }
  var summary: String {
    "\(name) pool \(vertical.kernel)x\(horizontal.kernel) "
      + "\(channels)x\(vertical.size)x\(horizontal.size) -> "
      + "\(channels)x\(vertical.outputSize)x\(horizontal.outputSize)"
  }

  private var name: String {
    switch kind {
    case .maximum: "max"
    case .average: "average"
    case .sum: "sum"
    case .winner: "winners of max"
    }
  }

  func encoded(_ places: Places) -> ln_step {
    var pool = ln_pool(
      images: images, channels: channels, vertical, horizontal)
    pool.in = places(input)
    pool.out = places(output)
    switch kind {
    case .maximum: pool.kind = Int32(LN_POOL_MAX.rawValue)
    case .average: pool.kind = Int32(LN_POOL_AVERAGE.rawValue)
    case .sum: pool.kind = Int32(LN_POOL_SUM.rawValue)
    case .winner(let columnMajor):
      pool.kind = Int32(LN_POOL_WINNER.rawValue)
      pool.swapped = columnMajor ? 1 : 0
    }
    pool.count_padding = countsPadding ? 1 : 0
    var step = ln_step()
    step.family = Int32(LN_pool.rawValue)
    step.pool = pool
    return step
  }
}

extension ln_pool {
  /// The geometry alone.
  init(
    images: Int, channels: Int, _ vertical: PlacedWindow, _ horizontal: PlacedWindow
  ) {
    self.init()
    self.channels = Int32(channels)
    self.images = Int32(images)
    height = Int32(vertical.size)
    width = Int32(horizontal.size)
    out_height = Int32(vertical.outputSize)
    out_width = Int32(horizontal.outputSize)
    kernel_h = Int32(vertical.kernel)
    kernel_w = Int32(horizontal.kernel)
    stride_h = Int32(vertical.stride)
    stride_w = Int32(horizontal.stride)
    dilation_h = Int32(vertical.dilation)
    dilation_w = Int32(horizontal.dilation)
    pad_top = Int32(vertical.padBegin)
    pad_left = Int32(horizontal.padBegin)
    pad_bottom = Int32(vertical.padEnd)
    pad_right = Int32(horizontal.padEnd)
  }
}
