// The families that add up gradients of weights and of tables over the lanes of a tile, against sums written naively in
// double precision.

import CLanes
import Testing

/// Results of one tile each, with how far each may be off.
struct TileSums {
  /// [tile][element]
  var values: [Double]
  /// Sums of the terms' magnitudes, which bound the rounding.
  var scales: [Double]
  var terms: Int
}

/// The rows of tiles, of which there are no more than examples, for every instruction set and lane count; the bits of a
/// lane count are those of the generic set in one thread.
func checkTiles<Element: LaneElement>(
  _ label: String, _ experiment: LaneExperiment<Element>,
  reference: (_ examples: Range<Int>) -> TileSums, location: SourceLocation = #_sourceLocation
) {
  let width = experiment.outputRows[0]
  for lanes in allLaneCounts {
    let tiles = (experiment.examples + lanes - 1) / lanes
    var first: [Element]?
    for isa in availableISAs {
      for threads in [1, 3] {
        let variant = LaneVariant(isa: isa, lanes: lanes, threads: threads)
        let found = Array(experiment.run(variant)[0].prefix(tiles * width))
        if let first {
          #expect(
            zip(first, found).allSatisfy { $0.matches($1) }, "\(label), \(variant)",
            sourceLocation: location)
          continue
        }
        first = found
        var worst = WorstError()
        for tile in 0..<tiles {
          let range = tile * lanes..<min((tile + 1) * lanes, experiment.examples)
          let expected = reference(range)
          for element in 0..<width {
            worst.note(
              found: Double(found[tile * width + element]), reference: expected.values[element],
              allowed: Double(Element.ulpOfOne) * expected.scales[element]
                * Double(expected.terms + 1),
              "tile \(tile), element \(element)")
          }
        }
        #expect(worst.ratio <= 1, "\(label), \(variant): \(worst)", sourceLocation: location)
      }
    }
  }
}

extension ConvolutionShape {
  /// The gradient of the weights: slots are the map and the gradient of the outputs.
  fileprivate func gradientExperiment<Element: LaneElement>(
    examples: Int
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(weightCount + examples))
    let inputs: [[Element]] = [inputCount, outputCount].map { random.numbers($0 * examples) }
    return LaneExperiment(examples: examples, inputs: inputs, outputRows: [weightCount]) {
      program in
      let map = program.input(slot: 0, inputCount)
      let gradient = program.input(slot: 1, outputCount)
      program.add(LN_weight_gradient) {
        $0.weight_gradient = ln_weight_gradient(
          in: map, gradient: gradient, slot: 0, shape: step(in: 0, out: 0))
      }
    }
  }

  /// [g][ky][kx][c][o], by definition.
  fileprivate func gradientSums(
    _ map: [Double], _ gradient: [Double], _ examples: Range<Int>
  ) -> TileSums {
    var sums = TileSums(
      values: [], scales: [], terms: images * outHeight * outWidth * examples.count)
    for group in 0..<groups {
      for ky in 0..<kernel.height {
        for kx in 0..<kernel.width {
          for c in 0..<inChannels {
            for o in 0..<outChannels {
              var (value, scale) = (0.0, 0.0)
              for example in examples {
                for image in 0..<images {
                  for y in 0..<outHeight {
                    for x in 0..<outWidth {
                      let iy = y * stride.height + ky * dilation.height - pad.top
                      let ix = x * stride.width + kx * dilation.width - pad.left
                      guard (0..<size.height).contains(iy), (0..<size.width).contains(ix) else {
                        continue
                      }
                      let from = ((image * size.height + iy) * size.width + ix) * allIn
                      let to = ((image * outHeight + y) * outWidth + x) * allOut
                      let product =
                        map[example * inputCount + from + group * inChannels + c]
                        * gradient[example * outputCount + to + group * outChannels + o]
                      value += product
                      scale += abs(product)
                    }
                  }
                }
              }
              sums.values.append(value)
              sums.scales.append(scale)
            }
          }
        }
      }
    }
    return sums
  }
}

@Suite struct WeightGradientTests {
  private static let plain = ConvolutionShape(
    label: "3x3", inChannels: 3, outChannels: 9, size: (6, 5), kernel: (3, 3))

  /// Outputs from one to past two vectors of the widest set, in both forms of the sums.
  private static let shapes: [ConvolutionShape] =
    [
      plain,
      plain.with {
        ($0.label, $0.stride, $0.pad) = ("stride and pads", (2, 1), (1, 2, 1, 0))
      },
      plain.with {
        ($0.label, $0.dilation, $0.pad) = ("dilation", (2, 1), (2, 1, 2, 1))
      },
      plain.with {
        ($0.label, $0.groups, $0.inChannels, $0.outChannels) = ("groups", 3, 2, 8)
        $0.pad = (1, 1, 1, 1)
      },
      plain.with {
        ($0.label, $0.groups, $0.inChannels, $0.outChannels) = ("depthwise", 5, 1, 1)
        $0.pad = (1, 1, 1, 1)
      },
      plain.with {
        ($0.label, $0.groups, $0.inChannels, $0.outChannels) = ("few outputs of groups", 2, 2, 3)
        $0.stride = (2, 2)
      },
      plain.with { ($0.label, $0.images) = ("several images", 3) },
      // A band of rows does not hold them all.
      ConvolutionShape(
        label: "several bands", inChannels: 1, outChannels: 16, size: (24, 24), kernel: (1, 2)),
    ]
    + [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65].map { outputs in
      ConvolutionShape(label: "dense to \(outputs)", inChannels: 5, outChannels: outputs)
    }
    + [1, 8, 16, 17, 33].map { inputs in
      ConvolutionShape(
        label: "dense from \(inputs), rows of 2", inChannels: inputs, outChannels: 3, images: 2)
    }

  private func check<Element: LaneElement>(_ shape: ConvolutionShape, _ type: Element.Type) {
    // A whole tile of 16 lanes and ragged ones, for every width.
    for examples in shape.outputCount > 4000 ? [19] : [1, 19, 70] {
      let experiment: LaneExperiment<Element> = shape.gradientExperiment(examples: examples)
      let rows = experiment.inputs.map { $0.map { Double($0) } }
      checkTiles("\(shape), \(examples) examples", experiment) {
        shape.gradientSums(rows[0], rows[1], $0)
      }
    }
  }

  @Test("Gradients of the weights of convolutions and dense layers", arguments: shapes)
  func convolutions(shape: ConvolutionShape) {
    check(shape, Float.self)
    check(shape, Double.self)
  }

  @Test(
    "The gradient of a table is added up at the rows that lanes have read",
    arguments: [1, 8, 17, 33])
  func tables(width: Int) {
    table(width, Float.self)
    table(width, Double.self)
  }

  private func table<Element: LaneElement>(_ width: Int, _ type: Element.Type) {
    let (count, rows, examples) = (4, 6, 37)
    var random = TestRandom(UInt64(width))
    // Rows that several lanes and positions share, counted from the end where they are negative.
    let indices = (0..<count * examples).map { _ in
      Element(Double(Int(random.bits() % UInt64(2 * rows)) - rows))
    }
    let gradient: [Element] = random.numbers(count * width * examples)
    let experiment = LaneExperiment<Element>(
      examples: examples, inputs: [indices, gradient], outputRows: [rows * width]
    ) { program in
      let index = program.input(slot: 0, count)
      let signal = program.input(slot: 1, count * width)
      program.add(LN_table_gradient) {
        $0.table_gradient = ln_table_gradient(
          index: index, gradient: signal, slot: 0, count: Int64(count), rows: Int64(rows),
          width: Int64(width))
      }
    }
    checkTiles("a table of width \(width)", experiment) { range in
      var sums = TileSums(
        values: [Double](repeating: 0, count: rows * width),
        scales: [Double](repeating: 0, count: rows * width), terms: count * range.count)
      for example in range {
        for place in 0..<count {
          let index = Int(indices[example * count + place])
          let row = index < 0 ? index + rows : index
          for element in 0..<width {
            let number = Double(gradient[(example * count + place) * width + element])
            sums.values[row * width + element] += number
            sums.scales[row * width + element] += abs(number)
          }
        }
      }
      return sums
    }
  }

  @Test("Dropouts keep a share of the positions, by the example's key alone")
  func dropouts() {
    let (count, examples) = (67, 50)
    var random = TestRandom(4)
    let rows: [Float] = random.numbers(count * examples, 0.5, 2)
    let keys = (0..<2 * examples).map { _ in UInt32(truncatingIfNeeded: random.bits()) }
    func experiment(salt: UInt32, limit: UInt32) -> LaneExperiment<Float> {
      var experiment = LaneExperiment<Float>(
        examples: examples, inputs: [rows], outputRows: [count]
      ) { program in
        let value = program.input(count)
        program.add(LN_dropout) {
          $0.dropout = ln_dropout(
            in: value, out: value, slot: 1, salt: salt, limit: limit, count: Int64(count), scale: 2)
        }
        program.output(value, count)
      }
      experiment.words = [keys]
      return experiment
    }
    let half = experiment(salt: 1, limit: 1 << 31)
    #expect(LaneInvariance().firstDifference(half) == nil)
    let variant = LaneVariant(isa: ln_isa_best(), lanes: 32, threads: 1)
    let results = half.run(variant)[0]
    #expect(zip(results, rows).allSatisfy { $0 == 0 || $0 == 2 * $1 })
    let kept = results.count { $0 != 0 }
    // Within 5 standard deviations of half of 3,350.
    #expect(abs(kept - rows.count / 2) < 145, "\(kept)")
    #expect(experiment(salt: 2, limit: 1 << 31).run(variant)[0] != results, "another salt")
    #expect(experiment(salt: 1, limit: 0).run(variant)[0].allSatisfy { $0 == 0 })
    // A larger limit keeps all that a smaller one does.
    let more = experiment(salt: 1, limit: 3 << 30).run(variant)[0]
    #expect(zip(results, more).allSatisfy { $0 == 0 || $1 != 0 })
  }
}
