// Runs one convolution step by the lane engine, in any form, on 64 examples.

import CLanes
import Testing

let examples = 64

/// An element type that weights can be packed in.
protocol ConvolutionElement: LaneElement {
  /// Distance from 1 to the next number, halved: the relative error of one rounding.
  static var rounding: Double { get }
  static func pack(_ shape: inout ln_conv, _ weights: [Self], _ packed: UnsafeMutablePointer<Self>)
  static func bits(_ x: Self) -> UInt64
}

extension Float: ConvolutionElement {
  static var rounding: Double { Double(Float.ulpOfOne) / 2 }
  static func pack(
    _ shape: inout ln_conv, _ weights: [Float], _ packed: UnsafeMutablePointer<Float>
  ) {
    ln_conv_pack_float32(&shape, weights, packed)
  }
  static func bits(_ x: Float) -> UInt64 { UInt64(x.bitPattern) }
}

extension Double: ConvolutionElement {
  static var rounding: Double { Double.ulpOfOne / 2 }
  static func pack(
    _ shape: inout ln_conv, _ weights: [Double], _ packed: UnsafeMutablePointer<Double>
  ) {
    ln_conv_pack_float64(&shape, weights, packed)
  }
  static func bits(_ x: Double) -> UInt64 { x.bitPattern }
}

/// input [position][example], weights [G*O][C][KH][KW], bias [G*O].
struct ConvolutionData<Element: ConvolutionElement> {
  var input: [Element]
  var weights: [Element]
  var bias: [Element]

  /// Numbers k / 1024 with |k| <= 1024, the same for every element type.
  init(_ shape: ConvolutionShape, seed: UInt64) {
    var state = seed
    func numbers(_ count: Int) -> [Element] {
      (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Element(Int((state >> 33) % 2049) - 1024) / 1024
      }
    }
    input = numbers(shape.inputCount * examples)
    weights = numbers(shape.weightCount)
    bias = numbers(shape.allOut)
  }
}

/// One way to run a step.
struct Form: Sendable, CustomStringConvertible {
  var isa: ln_isa
  var lanes: Int
  var threads = 1

  var description: String {
    "\(String(cString: ln_isa_name(isa))), \(lanes) lanes, \(threads) threads"
  }

  /// All instruction sets of this machine, the narrow form and each number of lanes; and for the widest set
  /// and few lanes more threads too, which splits the units.
  static let all: [Form] = {
    let sets = (0..<LN_ISA_COUNT.rawValue).map { ln_isa($0) }.filter { ln_isa_available($0) != 0 }
    return sets.flatMap { isa in
      [64, 1, 16, 32, 48].flatMap { lanes in
        [1, 2, 5].filter { $0 == 1 || (isa == ln_isa_best() && lanes <= 16) }.map {
          Form(isa: isa, lanes: lanes, threads: $0)
        }
      }
    }
  }()
}

/// The outputs [position][example] of a step in one form. Tiles that would pass the last example start
/// earlier. Elements behind the outputs must stay as they were, or nil is returned.
func run<Element: ConvolutionElement>(
  _ shape: ConvolutionShape, _ data: ConvolutionData<Element>, _ form: Form
) -> [Element]? {
  let stride = MemoryLayout<Element>.stride
  let lanes = form.lanes
  let guardCount = 64
  let valueCount = (shape.inputCount + shape.outputCount) * lanes
  var step = ln_step()
  step.family = Int32(LN_conv.rawValue)
  step.conv = shape.step(in: 0, out: shape.inputCount * lanes)
  var conv = step.conv

  let scratchOffset = aligned((valueCount + guardCount) * stride)
  let arenaBytes = aligned(scratchOffset + ln_step_scratch(&step, Element.laneType, Int32(lanes)))
  let arena = UnsafeMutableRawPointer.allocate(byteCount: arenaBytes * form.threads, alignment: 64)
  defer { arena.deallocate() }
  arena.initializeMemory(as: UInt8.self, repeating: 0xA5, count: arenaBytes * form.threads)
  let values = arena.bindMemory(to: Element.self, capacity: valueCount + guardCount)
  let mark = Element.bits(values[valueCount])

  let packedBytes = aligned(ln_conv_packed_count(&conv) * stride)
  let packed = UnsafeMutableRawPointer.allocate(byteCount: packedBytes, alignment: 64)
  defer { packed.deallocate() }
  Element.pack(
    &conv, data.weights, packed.bindMemory(to: Element.self, capacity: packedBytes / stride))

  var result = [Element](repeating: 0, count: shape.outputCount * examples)
  var intact = true
  data.bias.withUnsafeBytes { bias in
    let blocks: [UnsafeRawPointer?] = [UnsafeRawPointer(packed), bias.baseAddress]
    for tile in Swift.stride(from: 0, to: examples, by: lanes) {
      let first = min(tile, examples - lanes)
      for position in 0..<shape.inputCount {
        for lane in 0..<lanes {
          values[position * lanes + lane] = data.input[position * examples + first + lane]
        }
      }
      withUnsafePointer(to: step) { step in
        blocks.withUnsafeBufferPointer { blocks in
          var program = ln_program()
          program.type = Element.laneType
          program.lanes = Int32(lanes)
          program.steps = step
          program.step_count = 1
          program.constants = blocks.baseAddress
          program.arena_bytes = arenaBytes
          program.scratch_offset = scratchOffset
          var call = ln_call()
          call.examples = lanes
          call.arenas = arena
          call.threads = Int32(form.threads)
          call.isa = form.isa
          intact = ln_run(&program, &call) == 1 && intact
        }
      }
      let out = values + shape.inputCount * lanes
      for position in 0..<shape.outputCount {
        for lane in 0..<lanes {
          result[position * examples + first + lane] = out[position * lanes + lane]
        }
      }
      for i in 0..<guardCount where Element.bits(values[valueCount + i]) != mark { intact = false }
    }
  }
  return intact ? result : nil
}

private func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

/// The first place where two arrays differ in a bit.
func firstDifference<Element: ConvolutionElement>(_ a: [Element], _ b: [Element]) -> Int? {
  guard a.count == b.count else { return min(a.count, b.count) }
  return a.indices.first { Element.bits(a[$0]) != Element.bits(b[$0]) }
}

/// Checks that every form gives the same sums, and with function and pooling the bytes of separate steps.
/// - Parameter sums: of one form, without function and pooling.
func checkForms<Element: ConvolutionElement>(
  _ shape: ConvolutionShape, _ data: ConvolutionData<Element>, _ sums: [Element],
  location: SourceLocation = #_sourceLocation
) {
  let expected = shape.pooled(applyFunction(shape.laneFunction, sums))
  for form in Form.all {
    for (layer, reference) in [(shape.linear, sums), (shape, expected)] {
      guard let got = run(layer, data, form) else {
        Issue.record("\(shape): \(form) wrote past its outputs", sourceLocation: location)
        continue
      }
      let difference = firstDifference(got, reference)
      #expect(
        difference == nil, "\(layer), \(Element.self), \(form): output \(difference ?? 0)",
        sourceLocation: location)
    }
  }
}

extension ConvolutionShape {
  /// The sums alone, without function and pooling.
  var linear: ConvolutionShape {
    with {
      $0.function = LN_FUNCTION_identity
      $0.pool = (0, 0)
    }
  }
}
