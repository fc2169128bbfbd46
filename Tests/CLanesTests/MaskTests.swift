// Coalitions: what is present is copied, what is absent comes from the other operand, bit by bit.

import CLanes
import Testing

@Suite(.serialized) struct MaskTests {
  /// Where an operand of the mask stands.
  enum Place { case rows, constant }

  /// A mask over random rows, and what it must give.
  private struct Case<Element: LaneElement> {
    let experiment: LaneExperiment<Element>
    let expected: [Element]
  }

  private func makeCase<Element: LaneElement>(
    players count: Int, positions: Int, examples: Int, present: Place, absent: Place,
    players: Place, inPlace: Bool = false, _: Element.Type
  ) -> Case<Element> {
    var random = TestRandom(UInt64(count * 1000 + positions + examples))
    let wordCount = (count + 31) / 32
    let words = (0..<wordCount * examples).map { _ in UInt32(truncatingIfNeeded: random.bits()) }
    let ids = (0..<positions * examples).map { _ in
      Element(Int(random.bits() % UInt64(count + 1)) - 1)
    }
    let x: [Element] = random.numbers(positions * examples)
    var other: [Element] = random.numbers(positions * examples)
    // A product with a mask would let this one through.
    other[0] = .nan
    var expected: [Element] = []
    for example in 0..<examples {
      for position in 0..<positions {
        let row = example * positions + position
        let id = Int(players == .rows ? ids[row] : ids[position])
        let word = id < 0 ? 0 : words[example * wordCount + id / 32]
        let holds = id < 0 || (word >> UInt32(id % 32)) & 1 == 1
        let value = present == .rows ? x[row] : x[position]
        let otherValue = absent == .rows ? other[row] : other[position]
        expected.append(holds ? value : otherValue)
      }
    }
    let experiment = LaneExperiment<Element>(
      examples: examples, inputs: [x, other, ids], words: [words], outputRows: [positions]
    ) { program in
      func operand(_ place: Place, slot: Int, _ numbers: [Element]) -> ln_ref {
        place == .rows
          ? program.input(slot: slot, positions)
          : program.constant(Array(numbers.prefix(positions)))
      }
      let a = operand(present, slot: 0, x), b = operand(absent, slot: 1, other)
      let p = operand(players, slot: 2, ids)
      let out = inPlace ? a : program.value(positions)
      program.add(LN_mask) {
        $0.mask = ln_mask(
          present: a, absent: b, players: p, out: out, slot: 3, count: Int64(positions),
          words: Int64(wordCount))
      }
      program.output(out, positions)
    }
    return Case(experiment: experiment, expected: expected)
  }

  private func check<Element: LaneElement>(_ c: Case<Element>, _ name: String) {
    for isa in availableISAs {
      for lanes in allLaneCounts {
        for threads in [1, 3] {
          let variant = LaneVariant(isa: isa, lanes: lanes, threads: threads)
          let found = c.experiment.run(variant)[0]
          let wrong = found.indices.first { !found[$0].matches(c.expected[$0]) }
          #expect(
            found.count == c.expected.count && wrong == nil,
            "\(name), \(Element.self), \(variant): element \(wrong ?? -1)")
        }
      }
    }
  }

  @Test(
    "Every example has its own coalition, from 1 player to more than a word of them",
    arguments: [1, 31, 32, 33, 70])
  func players(count: Int) {
    for (positions, examples) in [(1, 1), (7, 17), (100, 65), (784, 5)] {
      check(
        makeCase(
          players: count, positions: positions, examples: examples, present: .rows, absent: .rows,
          players: .constant, Float.self), "\(count) players, \(positions) positions")
      check(
        makeCase(
          players: count, positions: positions, examples: examples, present: .rows, absent: .rows,
          players: .constant, Double.self), "\(count) players, \(positions) positions")
    }
  }

  @Test("Operands may be constants, and players may differ by example")
  func places() {
    for present in [Place.rows, .constant] {
      for absent in [Place.rows, .constant] {
        for players in [Place.rows, .constant] {
          let name = "present \(present), absent \(absent), players \(players)"
          check(
            makeCase(
              players: 40, positions: 45, examples: 34, present: present, absent: absent,
              players: players, Float.self), name)
          check(
            makeCase(
              players: 40, positions: 45, examples: 34, present: present, absent: absent,
              players: players, Double.self), name)
        }
      }
    }
  }

  @Test("Examples may share rows of inputs and of coalitions")
  func sharedRows() {
    var random = TestRandom(8)
    let examples = 70, positions = 37, rowsOfX = 3, coalitions = 11
    let x: [Float] = random.numbers(positions * rowsOfX)
    let words = (0..<coalitions).map { _ in UInt32(truncatingIfNeeded: random.bits()) }
    let ids = (0..<positions).map { Float($0 % 32) }
    let rowOfX = (0..<examples).map { _ in Int32(random.bits() % UInt64(rowsOfX)) }
    let rowOfMask = (0..<examples).map { _ in Int32(random.bits() % UInt64(coalitions)) }
    let experiment = LaneExperiment<Float>(
      examples: examples, inputs: [x], words: [words], rowOf: [rowOfX, rowOfMask],
      outputRows: [positions]
    ) { program in
      let a = program.input(slot: 0, positions)
      let b = program.constant([Float](repeating: -9, count: positions))
      let p = program.constant(ids)
      let out = program.value(positions)
      program.add(LN_mask) {
        $0.mask = ln_mask(
          present: a, absent: b, players: p, out: out, slot: 1, count: Int64(positions), words: 1)
      }
      program.output(out, positions)
    }
    var expected: [Float] = []
    for example in 0..<examples {
      let word = words[Int(rowOfMask[example])]
      let start = Int(rowOfX[example]) * positions
      for position in 0..<positions {
        let holds = (word >> UInt32(position % 32)) & 1 == 1
        expected.append(holds ? x[start + position] : -9)
      }
    }
    check(Case(experiment: experiment, expected: expected), "shared rows")
  }

  @Test("The result may take the place of what is present")
  func inPlace() {
    check(
      makeCase(
        players: 33, positions: 99, examples: 50, present: .rows, absent: .constant,
        players: .constant, inPlace: true, Float.self), "in place")
  }
}
