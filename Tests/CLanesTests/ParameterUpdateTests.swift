// The update of parameters (ln_train): gradients of several sources added up, one step of each rule, blocks made anew.

import CLanes
import Testing

@Suite struct ParameterUpdateTests {
  /// What a parameter's elements and its memory are after a step.
  private struct State<Element: LaneElement>: Equatable {
    var value: [Element]
    var first: [Element]
    var second: [Element]
  }

  private static let rules = [LN_RULE_SGD, LN_RULE_NESTEROV, LN_RULE_ADAM, LN_RULE_ADADELTA]

  private static func size(_ rule: ln_rule) -> ln_step_size {
    ln_step_size(
      rule: Int32(rule.rawValue), rate: 0.1, decay: 0.01, first: 0.9, second: 0.99,
      epsilon: 1e-6, first_correction: 1 / (1 - 0.81), second_correction: 1 / (1 - 0.9801))
  }

  /// A step of a rule on numbers, as PyTorch has it.
  private static func step(
    _ s: ln_step_size, _ w: Double, _ g: Double, _ first: Double, _ second: Double
  ) -> (Double, Double, Double) {
    let g = g + s.decay * w
    switch ln_rule(UInt32(s.rule)) {
    case LN_RULE_SGD:
      let v = s.first * first + g
      return (w - s.rate * v, v, second)
    case LN_RULE_NESTEROV:
      let v = s.first * first + g
      return (w - s.rate * (g + s.first * v), v, second)
    case LN_RULE_ADAM:
      let m = s.first * first + (1 - s.first) * g
      let v = s.second * second + (1 - s.second) * g * g
      let bound = (v * s.second_correction).squareRoot() + s.epsilon
      return (w - s.rate * m * s.first_correction / bound, m, v)
    default:
      let mean = s.first * first + (1 - s.first) * g * g
      let d = g * (second + s.epsilon).squareRoot() / (mean + s.epsilon).squareRoot()
      return (w - s.rate * d, mean, s.first * second + (1 - s.first) * d * d)
    }
  }

  /// A parameter of `count` elements with three sources: rows of tiles in order, wide rows of segments in order that
  /// fall short of the last element, and rows that go to elements of their own, some of them twice.
  private func check<Element: LaneElement>(
    _ count: Int, _ rule: ln_rule, tolerance: Double, _ type: Element.Type
  ) {
    var random = TestRandom(UInt64(count) * 7 + UInt64(rule.rawValue))
    let start = State<Element>(
      value: random.numbers(count), first: random.numbers(count, 0, 1),
      second: random.numbers(count, 0, 1))
    let tiles: [Element] = random.numbers(3 * count)
    let short = max(count - 1, 1)
    let segments: [Double] = random.numbers(2 * short)
    let moved: [Element] = random.numbers(2 * count)
    let of = (0..<count).map { _ in Int32(random.bits() % UInt64(count)) }
    var size = Self.size(rule)
    func updated(_ isa: ln_isa, _ threads: Int, isMoved: Bool) -> State<Element> {
      var state = start
      var room = [Element](repeating: 99, count: count)
      tiles.withUnsafeBytes { tiles in
        segments.withUnsafeBytes { segments in
          moved.withUnsafeBytes { moved in
            of.withUnsafeBufferPointer { of in
              let sources = [
                ln_gradient_rows(
                  values: tiles.baseAddress, rows: 3, count: Int64(count), is_wide: 0, of: nil),
                ln_gradient_rows(
                  values: segments.baseAddress, rows: 2, count: Int64(short), is_wide: 1, of: nil),
                ln_gradient_rows(
                  values: moved.baseAddress, rows: 2, count: Int64(count), is_wide: 0,
                  of: of.baseAddress),
              ]
              sources.withUnsafeBufferPointer { sources in
                state.value.withUnsafeMutableBytes { value in
                  state.first.withUnsafeMutableBytes { first in
                    state.second.withUnsafeMutableBytes { second in
                      room.withUnsafeMutableBytes { room in
                        var parameter = ln_parameter(
                          count: Int64(count), value: value.baseAddress, first: first.baseAddress,
                          second: second.baseAddress,
                          gradient: isMoved ? room.baseAddress : nil,
                          sources: sources.baseAddress, source_count: isMoved ? 3 : 2)
                        withUnsafePointer(to: &parameter) { parameter in
                          withUnsafePointer(to: &size) { size in
                            var update = ln_update(
                              type: Element.laneType, size: size, parameters: parameter,
                              parameter_count: 1, blocks: nil, block_count: 0)
                            ln_train(&update, isa, Int32(threads))
                          }
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
      return state
    }
    for isMoved in [false, true] {
      var gradient = (0..<count).map { element in
        (0..<3).reduce(0.0) { $0 + Double(tiles[$1 * count + element]) }
          + (element < short ? segments[element] + segments[short + element] : 0)
      }
      if isMoved {
        for (place, element) in of.enumerated() {
          gradient[Int(element)] += Double(moved[place]) + Double(moved[count + place])
        }
      }
      let found = updated(LN_GENERIC, 1, isMoved: isMoved)
      var worst = WorstError()
      for element in 0..<count {
        let (value, first, second) = Self.step(
          size, Double(start.value[element]), gradient[element], Double(start.first[element]),
          Double(start.second[element]))
        let usesSecond = rule == LN_RULE_ADAM || rule == LN_RULE_ADADELTA
        for (number, expected) in [
          (found.value, value), (found.first, first),
          (found.second, usesSecond ? second : Double(start.second[element])),
        ] {
          worst.note(
            found: Double(number[element]), reference: expected,
            allowed: tolerance * max(1, abs(expected)), "element \(element) of \(count)")
        }
      }
      #expect(worst.ratio <= 1, "\(worst)")
      for isa in availableISAs {
        for threads in [1, 2, 3] {
          #expect(
            updated(isa, threads, isMoved: isMoved) == found, "\(isaName(isa)), \(threads) threads")
        }
      }
    }
  }

  @Test("A step of every rule, for one element to more than a unit of work", arguments: rules)
  func steps(rule: ln_rule) {
    for count in Array(1...17) + [31, 33, 4096, 9001] {
      check(count, rule, tolerance: 2e-5, Float.self)
      check(count, rule, tolerance: 1e-12, Double.self)
    }
  }

  @Test("Blocks are made from the elements that they name, packed where they are weights")
  func blocks() {
    let value: [Float] = (0..<40).map { Float($0) }
    let of = (0..<40).map { Int32((7 * $0 + 3) % 40) }
    let shape = ConvolutionShape(
      label: "2 x 5 x 2 x 2", inChannels: 5, outChannels: 2, kernel: (2, 2))
    var conv = shape.with { $0.size = (4, 4) }.step(in: 0, out: 0)
    let numbers = of.map { value[Int($0)] }
    let size = ln_conv_packed_count(&conv)
    var expected = [Float](repeating: 0, count: size)
    ln_conv_pack_float32(&conv, numbers, &expected)
    for isa in availableISAs {
      var plain = [Float](repeating: -1, count: 40)
      var room = plain
      var packed = [Float](repeating: 0, count: size)
      value.withUnsafeBytes { value in
        of.withUnsafeBufferPointer { of in
          withUnsafePointer(to: &conv) { conv in
            plain.withUnsafeMutableBytes { plain in
              room.withUnsafeMutableBytes { room in
                packed.withUnsafeMutableBytes { packed in
                  let blocks = [
                    ln_repacking(
                      shape: nil, value: value.baseAddress, of: of.baseAddress, count: 40,
                      numbers: nil, packed: plain.baseAddress),
                    ln_repacking(
                      shape: conv, value: value.baseAddress, of: of.baseAddress, count: 40,
                      numbers: room.baseAddress, packed: packed.baseAddress),
                  ]
                  blocks.withUnsafeBufferPointer { blocks in
                    var update = ln_update(
                      type: LN_FLOAT32, size: nil, parameters: nil, parameter_count: 0,
                      blocks: blocks.baseAddress, block_count: 2)
                    ln_train(&update, isa, 2)
                  }
                }
              }
            }
          }
        }
      }
      #expect(plain == numbers && packed == expected, "\(isaName(isa))")
    }
  }
}
