// A program of a few steps, run by every variant of the engine: the support that kernel tests share.
//
// An experiment holds the callers' rows and a recipe that writes the steps for a lane count. Arenas start
// out full of NaNs, so that reading a value that no step has written shows; rows of results carry a margin
// that must stay untouched. The only file of this bundle that handles pointers.

import CLanes
import Glibc
import Testing

/// An element type of the engine.
protocol LaneElement: BinaryFloatingPoint, Sendable {
  static var laneType: ln_type { get }
  /// Equal bits, or both NaN.
  func matches(_ other: Self) -> Bool
}

extension Float: LaneElement {
  static var laneType: ln_type { LN_FLOAT32 }
  func matches(_ other: Float) -> Bool {
    bitPattern == other.bitPattern || (isNaN && other.isNaN)
  }
}

extension Double: LaneElement {
  static var laneType: ln_type { LN_FLOAT64 }
  func matches(_ other: Double) -> Bool {
    bitPattern == other.bitPattern || (isNaN && other.isNaN)
  }
}

/// How a program is run; no result may depend on it.
struct LaneVariant: CustomStringConvertible, Sendable {
  var isa: ln_isa
  var lanes: Int
  var threads: Int

  var description: String { "\(isaName(isa)), \(lanes) lanes, \(threads) threads" }
}

let allLaneCounts = [1, 16, 32, 48, 64]

let availableISAs: [ln_isa] = [LN_GENERIC, LN_AVX2, LN_AVX512, LN_NEON].filter {
  ln_isa_available($0) != 0
}

func isaName(_ isa: ln_isa) -> String { String(cString: ln_isa_name(isa)) }

func functionName(_ id: ln_function_id) -> String { String(cString: ln_function_name(id)) }

/// Threads beyond the processors must not spin; the runtime reads this when its first team starts.
private let quietThreads: Void = { _ = setenv("OMP_WAIT_POLICY", "passive", 0) }()

func makeNest(_ sizes: [Int]) -> ln_nest {
  var nest = ln_nest()
  nest.axes = Int32(sizes.count)
  withUnsafeMutableBytes(of: &nest.size) { bytes in
    let size = bytes.bindMemory(to: Int32.self)
    for (axis, value) in sizes.enumerated() { size[axis] = Int32(value) }
  }
  return nest
}

func makeStrides(_ values: [Int]) -> ln_strides {
  var strides = ln_strides()
  withUnsafeMutableBytes(of: &strides.stride) { bytes in
    let stride = bytes.bindMemory(to: Int64.self)
    for (axis, value) in values.enumerated() { stride[axis] = Int64(value) }
  }
  return strides
}

/// Lane l has player l of the list, over and over.
func makeTurn(_ players: [Int]) -> ln_turn {
  var turn = ln_turn()
  withUnsafeMutableBytes(of: &turn.of) { bytes in
    let of = bytes.bindMemory(to: Int32.self)
    for lane in of.indices { of[lane] = Int32(players[lane % players.count]) }
  }
  return turn
}

/// Strides of a contiguous row-major array.
func rowMajorStrides(_ sizes: [Int]) -> [Int] {
  var strides = sizes
  var next = 1
  for axis in sizes.indices.reversed() {
    strides[axis] = next
    next *= sizes[axis]
  }
  return strides
}

/// The places of a nest relative to an operand's start, row-major: what a stride says, written naively.
func nestOffsets(_ sizes: [Int], _ strides: [Int]) -> [Int] {
  var offsets = [0]
  for (size, stride) in zip(sizes, strides) {
    offsets = offsets.flatMap { offset in (0..<size).map { offset + $0 * stride } }
  }
  return offsets
}

/// Steps, constants and values of a program, for a lane count.
struct ProgramBuilder<Element: LaneElement> {
  let lanes: Int
  private(set) var steps: [ln_step] = []
  private(set) var blocks: [[Element]] = []
  private(set) var elements = 0

  init(lanes: Int) { self.lanes = lanes }

  /// Room for so many positions, aligned as the engine's own plans are.
  mutating func value(_ positions: Int) -> ln_ref {
    let offset = elements
    elements += (positions * lanes + 15) / 16 * 16
    return ln_ref(offset: Int64(offset), block: Int32(LN_ARENA))
  }

  mutating func constant(_ numbers: [Element]) -> ln_ref {
    blocks.append(numbers)
    return ln_ref(offset: 0, block: Int32(blocks.count - 1))
  }

  /// The operand `positions` (or, of a constant, elements) further on.
  func moved(_ ref: ln_ref, by positions: Int) -> ln_ref {
    var moved = ref
    moved.offset += Int64(ref.block == Int32(LN_ARENA) ? positions * lanes : positions)
    return moved
  }

  mutating func add(_ family: ln_family_id, _ fill: (inout ln_step) -> Void) {
    var step = ln_step()
    step.family = Int32(family.rawValue)
    fill(&step)
    steps.append(step)
  }

  /// The rows of a slot as values of the given shape; strides in elements of the row, row-major by default.
  mutating func input(slot: Int = 0, row: Int, shape: [Int], strides: [Int]? = nil) -> ln_ref {
    let out = value(shape.reduce(1, *))
    add(LN_input) {
      $0.input = ln_input(
        out: out, slot: Int32(slot), row_count: Int64(row), nest: makeNest(shape),
        in: makeStrides(strides ?? rowMajorStrides(shape)))
    }
    return out
  }

  mutating func input(slot: Int = 0, _ count: Int) -> ln_ref {
    input(slot: slot, row: count, shape: [count])
  }

  mutating func output(_ ref: ln_ref, slot: Int = 0, shape: [Int], strides: [Int]? = nil) {
    add(LN_output) {
      $0.output = ln_output(
        in: ref, slot: Int32(slot), row_count: Int64(shape.reduce(1, *)), nest: makeNest(shape),
        stride: makeStrides(strides ?? rowMajorStrides(shape)))
    }
  }

  mutating func output(_ ref: ln_ref, slot: Int = 0, _ count: Int) {
    output(ref, slot: slot, shape: [count])
  }
}

/// Rows in, a program, rows out.
struct LaneExperiment<Element: LaneElement> {
  var examples: Int
  /// Per slot the rows of all examples, one after the other.
  var inputs: [[Element]]
  /// Slots behind those of `inputs`: rows of 32-bit words.
  var words: [[UInt32]] = []
  /// Per slot which row each example takes; nil, or no entry: its own.
  var rowOf: [[Int32]?] = []
  /// Per slot the elements of one example's row.
  var outputRows: [Int]
  /// Per example the row that it is summed into and its weight; empty when no step sums.
  var segments: [Int32] = []
  var weights: [Double] = []
  var recipe: (inout ProgramBuilder<Element>) -> Void

  private static var margin: Int { 64 }
  /// What results hold before anything is written to them.
  static var untouched: Double { 12345.5 }

  /// Per slot the rows of all examples.
  func run(_ variant: LaneVariant) -> [[Element]] { results(variant, rows: examples) }

  /// Per slot the rows of all segments.
  func sums(_ variant: LaneVariant) -> [[Double]] {
    results(variant, rows: Int(segments.last ?? -1) + 1)
  }

  private func results<Result: LaneElement>(_ variant: LaneVariant, rows count: Int) -> [[Result]] {
    _ = quietThreads
    var builder = ProgramBuilder<Element>(lanes: variant.lanes)
    recipe(&builder)
    let memory = RawMemory()
    let width = MemoryLayout<Element>.stride
    let rows =
      inputs.map { UnsafeRawPointer(memory.copy($0)) as UnsafeRawPointer? }
      + words.map { UnsafeRawPointer(memory.copy($0)) as UnsafeRawPointer? }
    let rowOf = rows.indices.map { slot -> UnsafePointer<Int32>? in
      guard slot < self.rowOf.count, let rowOf = self.rowOf[slot] else { return nil }
      return UnsafePointer(memory.copy(rowOf).assumingMemoryBound(to: Int32.self))
    }
    let rowTable = memory.copy(rowOf).assumingMemoryBound(to: UnsafePointer<Int32>?.self)
    let blocks = builder.blocks.map { UnsafeRawPointer(memory.copy($0)) as UnsafeRawPointer? }
    let results = outputRows.map { row in
      memory.copy([Result](repeating: Result(Self.untouched), count: row * count + Self.margin))
    }
    let finished = builder.steps.withUnsafeBufferPointer { steps in
      let scratch = steps.map { step in
        withUnsafePointer(to: step) { ln_step_scratch($0, Element.laneType, Int32(variant.lanes)) }
      }
      var program = ln_program()
      program.type = Element.laneType
      program.lanes = Int32(variant.lanes)
      program.steps = steps.baseAddress
      program.step_count = steps.count
      program.whole_tiles = steps.contains { $0.family == Int32(LN_guard.rawValue) } ? 1 : 0
      program.scratch_offset = aligned(builder.elements * width)
      program.arena_bytes = program.scratch_offset + aligned(scratch.max() ?? 0)
      return rows.withUnsafeBufferPointer { rows in
        blocks.withUnsafeBufferPointer { blocks in
          results.map { $0 as UnsafeMutableRawPointer? }.withUnsafeBufferPointer { results in
            program.constants = blocks.baseAddress
            var call = ln_call()
            call.inputs = rows.baseAddress
            call.row_of = UnsafePointer(rowTable)
            call.outputs = results.baseAddress
            call.examples = examples
            call.arenas = memory.allocate(program.arena_bytes * variant.threads)
            call.threads = Int32(variant.threads)
            call.isa = variant.isa
            if !segments.isEmpty {
              call.segments = UnsafePointer(
                memory.copy(segments).assumingMemoryBound(to: Int32.self))
              call.weights = UnsafePointer(
                memory.copy(weights).assumingMemoryBound(to: Double.self))
            }
            return ln_run(&program, &call)
          }
        }
      }
    }
    #expect(finished == 1)
    return zip(outputRows, results).map { row, result in
      let count = row * count
      let all = result.assumingMemoryBound(to: Result.self)
      for i in count..<count + Self.margin where all[i] != Result(Self.untouched) {
        Issue.record("written past the rows of a result by \(variant)")
        break
      }
      return Array(UnsafeBufferPointer(start: all, count: count))
    }
  }

  private func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
}

/// Aligned memory that lives as long as its owner.
private final class RawMemory {
  private var pieces: [UnsafeMutableRawPointer] = []

  /// All bits set: a NaN in every element.
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    let piece = UnsafeMutableRawPointer.allocate(byteCount: max(bytes, 64), alignment: 64)
    memset(piece, 0xff, bytes)
    pieces.append(piece)
    return piece
  }

  func copy<Element>(_ numbers: [Element]) -> UnsafeMutableRawPointer {
    let piece = allocate(numbers.count * MemoryLayout<Element>.stride)
    numbers.withUnsafeBytes { if let base = $0.baseAddress { memcpy(piece, base, $0.count) } }
    return piece
  }

  deinit { for piece in pieces { piece.deallocate() } }
}

/// f(x) for every x by the kernels of one instruction set.
func applyFunction<Element: LaneElement>(
  _ function: ln_function, _ numbers: [Element], isa: ln_isa = ln_isa_best()
) -> [Element] {
  var numbers = numbers
  let count = numbers.count
  numbers.withUnsafeMutableBufferPointer {
    ln_apply(function, Element.laneType, isa, $0.baseAddress, $0.baseAddress, count)
  }
  return numbers
}

/// gradient * slope for every x by the kernels of one instruction set; `references` for the secant only.
func applySlope<Element: LaneElement>(
  _ function: ln_function, _ kind: ln_slope_kind, parameter: Double = 0, _ numbers: [Element],
  references: [Element]? = nil, gradients: [Element]? = nil, isa: ln_isa = ln_isa_best()
) -> [Element] {
  var results = gradients ?? [Element](repeating: 1, count: numbers.count)
  let count = numbers.count
  results.withUnsafeMutableBufferPointer { results in
    numbers.withUnsafeBufferPointer { numbers in
      (references ?? []).withUnsafeBufferPointer {
        ln_apply_slope(
          function, kind, parameter, Element.laneType, isa, numbers.baseAddress, $0.baseAddress,
          results.baseAddress, count)
      }
    }
  }
  return results
}

/// A small generator of numbers that tests can repeat.
struct TestRandom {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

  mutating func bits() -> UInt64 {
    state = state &+ 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func uniform(_ low: Double, _ high: Double) -> Double {
    low + (high - low) * Double(bits() >> 11) * 0x1p-53
  }

  mutating func numbers<Element: LaneElement>(
    _ count: Int, _ low: Double = -3, _ high: Double = 3
  ) -> [Element] {
    (0..<count).map { _ in Element(uniform(low, high)) }
  }
}
