// Conv: one- and two-dimensional convolution with constant weights (csrc/ops/conv.c).
//
// The step is shared with dense layers (Dense.swift): a dense layer is a 1x1 convolution on a 1x1 map.

import CLanes
import CoalitionBase

struct Convolution: Operator {
  static let operations = ["Conv"]

  let window: Window
  let groups: Int

  init(reading node: NodeReader) throws(CoalitionError) {
    window = try Window(reading: node)
    groups = try node.int("group", 1)
  }

  var kind: OperatorKind { .affine }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let geometry = try geometry(inputs)
    let spatial =
      x.shape.count == 3 ? [geometry.horizontal] : [geometry.vertical, geometry.horizontal]
    return [
      ValueInfo(
        shape: [geometry.images, geometry.groups * geometry.outChannels]
          + spatial.map(\.outputSize),
        example: x.example.moved { $0 == 0 ? 0 : nil })
    ]
  }

  func geometry(_ inputs: Inputs) throws(CoalitionError) -> ConvolutionGeometry {
    let x = try inputs.required(0)
    guard let weights = try inputs.constant(1, "weight") else {
      throw CoalitionError(.invalidData, "Conv has no weight")
    }
    guard x.shape.count >= 3, weights.rank == x.shape.count else {
      throw CoalitionError(
        .shapeMismatch, "input and weight of Conv do not go together",
        expected: "an input [N, C, space] and a weight of the same number of axes",
        found: "\(x.shape) and \(weights.shape)")
    }
    let windows = try window.placed(
      over: Array(x.shape[2...]), kernel: Array(weights.shape[2...]), operation: "Conv")
    guard groups >= 1, weights.shape[0] % groups == 0, x.shape[1] % groups == 0,
      weights.shape[1] == x.shape[1] / groups
    else {
      throw CoalitionError(
        .shapeMismatch, "channels of input and weight of Conv disagree",
        expected: "\(x.shape[1]) channels in \(groups) groups", found: "weight \(weights.shape)")
    }
    if let bias = try inputs.constant(2, "bias"), bias.shape != [weights.shape[0]] {
      throw CoalitionError(
        .shapeMismatch, "the bias of Conv has a wrong shape", expected: "[\(weights.shape[0])]",
        found: "\(bias.shape)")
    }
    let (vertical, horizontal) = plane(windows)
    return ConvolutionGeometry(
      images: x.shape[0], groups: groups, inChannels: weights.shape[1],
      outChannels: weights.shape[0] / groups, vertical: vertical, horizontal: horizontal)
  }

  func multiplyAdds(_ inputs: Inputs, outputs: [ValueInfo]) -> Int {
    ((try? geometry(inputs))?.operations ?? 0) / 2
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let geometry = try geometry(lowering.inputs)
    let shape = try lowering.outputInfo().shape
    let order = channelsLast(rank: shape.count)
    let input = try lowering.lanes(0, inOrder: order)
    let weights = try lowering.constantInput(1)
    let output = try lowering.convolve(
      geometry, input: input.operand, weights: (HostView(weights.tensor), weights.name),
      bias: lowering.node(hasInput: 2) ? try lowering.constantInput(2) : nil)
    lowering.set(View(output, shape: shape, order: order))
  }
}

/// Sizes of a convolution: what the packed weights and the step depend on.
struct ConvolutionGeometry: Hashable, Sendable {
  var images: Int
  var groups: Int
  /// Channels of one group.
  var inChannels: Int
  var outChannels: Int
  var vertical: PlacedWindow
  var horizontal: PlacedWindow
  /// By the direct sum, even where minimal filtering is cheaper.
  var isDirect = false

  /// A dense layer over `rows` rows.
  init(rows: Int, inputs: Int, outputs: Int) {
    self.init(
      images: rows, groups: 1, inChannels: inputs, outChannels: outputs, vertical: .point,
      horizontal: .point)
  }

  init(
    images: Int, groups: Int, inChannels: Int, outChannels: Int, vertical: PlacedWindow,
    horizontal: PlacedWindow
  ) {
    self.images = images
    self.groups = groups
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.vertical = vertical
    self.horizontal = horizontal
  }

  var outputCount: Int {
    images * vertical.outputSize * horizontal.outputSize * groups * outChannels
  }

  var operations: Int {
    2 * images * groups * inChannels * outChannels * vertical.tapsOnInput * horizontal.tapsOnInput
  }

  /// Whether the step can apply a max pool of such windows to its output.
  func takes(pool: (height: Int, width: Int)) -> Bool {
    var shape = encoded
    shape.pool_h = Int32(pool.height)
    shape.pool_w = Int32(pool.width)
    return ln_conv_takes_pool(&shape) != 0
  }

  var encoded: ln_conv {
    var conv = ln_conv()
    conv.groups = Int32(groups)
    conv.in_channels = Int32(inChannels)
    conv.out_channels = Int32(outChannels)
    conv.images = Int32(images)
    conv.height = Int32(vertical.size)
    conv.width = Int32(horizontal.size)
    conv.out_height = Int32(vertical.outputSize)
    conv.out_width = Int32(horizontal.outputSize)
    conv.kernel_h = Int32(vertical.kernel)
    conv.kernel_w = Int32(horizontal.kernel)
    conv.stride_h = Int32(vertical.stride)
    conv.stride_w = Int32(horizontal.stride)
    conv.dilation_h = Int32(vertical.dilation)
    conv.dilation_w = Int32(horizontal.dilation)
    conv.pad_top = Int32(vertical.padBegin)
    conv.pad_left = Int32(horizontal.padBegin)
    conv.direct = isDirect ? 1 : 0
    return conv
  }
}

struct ConvolutionStep: Step {
  var geometry: ConvolutionGeometry
  var input: Operand
  var output: Operand
  var weights: Operand
  var bias: Operand?
  var fusion: Lowering.Fusion
  /// Whether the transpose is a direct sum: minimal filtering rounds to the largest number of a tile, and signals of variances,
  /// which go like the inverse of deviations, can differ by many orders of magnitude there.
  var transposesDirectly = false

  var reads: [Operand] { [input, weights] + (bias.map { [$0] } ?? []) }
  var writes: Operand? { output }
  var operations: Int { geometry.operations }

  var summary: String {
    let (v, h) = (geometry.vertical, geometry.horizontal)
    var text =
      v.size == 1 && h.size == 1 && v.kernel == 1 && h.kernel == 1
      ? "dense \(geometry.images > 1 ? "\(geometry.images) x " : "")\(geometry.inChannels) -> \(geometry.outChannels)"
      : "conv \(v.kernel)x\(h.kernel) "
        + "\(geometry.groups * geometry.inChannels)x\(v.size)x\(h.size) -> "
        + "\(geometry.groups * geometry.outChannels)x\(v.outputSize)x\(h.outputSize)"
    if geometry.groups > 1 { text += ", \(geometry.groups) groups" }
    if fusion.function != .identity { text += ", \(fusion.function.name)" }
    if fusion.pool != (1, 1) { text += ", max pool \(fusion.pool.height)x\(fusion.pool.width)" }
    return text
  }

  func encoded(_ places: Places) -> ln_step {
    var conv = geometry.encoded
    conv.in = places(input)
    conv.out = places(output)
    conv.weights = places(weights)
    conv.bias = places(bias)
    conv.function = fusion.function.encoded
    if fusion.pool != (1, 1) {
      conv.pool_h = Int32(fusion.pool.height)
      conv.pool_w = Int32(fusion.pool.width)
    }
    var step = ln_step()
    step.family = Int32(LN_conv.rawValue)
    step.conv = conv
    return step
  }
}

extension Lowering {
  /// Adds a convolution step with the current fusion and returns its output, [N][OH][OW][O], pooled if so fused.
  mutating func convolve(
    _ geometry: ConvolutionGeometry, input: Operand,
    weights: (view: HostView, name: ConstantSource.Name?),
    bias: (tensor: Tensor, name: ConstantSource.Name?)?
  ) throws(CoalitionError) -> Operand {
    var geometry = geometry
    geometry.isDirect = convolvesDirectly
    return try convolve(
      geometry, input: input,
      weights: constant(
        ConstantSource(weights.view, layout: .convolution(geometry), name: weights.name)),
      bias: bias.map { constant($0.tensor, name: $0.name) })
  }

  /// The same with blocks that exist.
  mutating func convolve(
    _ geometry: ConvolutionGeometry, input: Operand, weights: Operand, bias: Operand?
  ) throws(CoalitionError) -> Operand {
    var count = geometry.outputCount
    if fusion.pool != (1, 1) {
      count =
        geometry.images * (geometry.vertical.outputSize / fusion.pool.height)
        * (geometry.horizontal.outputSize / fusion.pool.width) * geometry.groups
        * geometry.outChannels
    }
    let output = buffer(count)
    emit(
      ConvolutionStep(
        geometry: geometry, input: input, output: output, weights: weights, bias: bias,
        fusion: fusion))
    return output
  }

  /// A constant input with the name under which its block can be shared.
  func constantInput(
    _ index: Int
  ) throws(CoalitionError) -> (tensor: Tensor, name: ConstantSource.Name?) {
    let inputs = inputs
    guard let name = inputs.node.input(index),
      let tensor = try inputs.constant(index, "input \(index)")
    else {
      throw CoalitionError(.invalidData, "input \(index) is missing", node: inputs.node.label)
    }
    return (tensor, self.name(of: name))
  }

  func node(hasInput index: Int) -> Bool { inputs.node.input(index) != nil }
}
