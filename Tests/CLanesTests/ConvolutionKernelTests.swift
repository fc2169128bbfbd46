// Convolution and dense layers against their definition, and the same bytes from every form of the kernels.

import CLanes
import Testing

/// Edges of blocks of channels, tails of vectors, odd strides, pads and dilations, and small maps.
private let shapes: [ConvolutionShape] = {
  var all: [ConvolutionShape] = []
  for outputs in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 15, 16, 17, 20, 31, 32, 33, 63, 64, 65, 100] {
    all.append(
      ConvolutionShape(label: "dense 7 -> \(outputs)", inChannels: 7, outChannels: outputs))
  }
  let square = ConvolutionShape(
    label: "3x3 on 5x6", size: (5, 6), kernel: (3, 3), pad: (1, 1, 1, 1), function: LN_FUNCTION_relu
  )
  for channels in [1, 2, 3, 4, 8, 15, 16, 17, 33] {
    all.append(
      square.with {
        $0.label = "\(channels) -> 18, 3x3"; $0.inChannels = channels; $0.outChannels = 18
      })
  }
  for channels in 1...33 where channels % 4 != 2 {
    all.append(
      square.with {
        $0.label = "3 -> \(channels), 3x3"; $0.inChannels = 3; $0.outChannels = channels
      })
  }
  let wide = square.with {
    $0.inChannels = 5; $0.outChannels = 20
  }
  all += [
    ConvolutionShape(
      label: "dense rows", inChannels: 150, outChannels: 70, images: 3,
      function: LN_FUNCTION_leaky_relu),
    ConvolutionShape(label: "long dense", inChannels: 1000, outChannels: 17),
    wide.with {
      $0.label = "no bias"; $0.hasBias = false; $0.function = LN_FUNCTION_identity
    },
    wide.with {
      $0.label = "deep"; $0.inChannels = 70; $0.outChannels = 33
    },
    wide.with {
      $0.label = "odd strides, unequal pads"
      $0.images = 2
      $0.size = (9, 8)
      $0.kernel = (3, 5)
      $0.stride = (2, 3)
      $0.pad = (0, 2, 1, 1)
      $0.function = LN_FUNCTION_clip
    },
    wide.with {
      $0.label = "dilated"
      $0.size = (9, 8)
      $0.kernel = (3, 2)
      $0.stride = (1, 2)
      $0.dilation = (2, 3)
      $0.pad = (1, 2, 3, 1)
    },
    wide.with {
      $0.label = "padding wider than the map"; $0.size = (4, 4); $0.kernel = (5, 5);
      $0.pad = (4, 4, 4, 4)
    },
    wide.with {
      $0.label = "windows wholly on padding"; $0.size = (2, 3); $0.kernel = (2, 2);
      $0.pad = (5, 4, 3, 5)
    },
    wide.with {
      $0.label = "2x2 map"; $0.size = (2, 2); $0.outChannels = 70
    },
    wide.with {
      $0.label = "4x4 map"; $0.size = (4, 4); $0.outChannels = 130
    },
    wide.with {
      $0.label = "pooled"; $0.size = (8, 8); $0.pool = (2, 2)
    },
    wide.with {
      $0.label = "odd size pooled"; $0.images = 2; $0.size = (7, 9); $0.pool = (2, 2);
      $0.outChannels = 33
    },
    wide.with {
      $0.label = "pooled 3x2"; $0.size = (11, 10); $0.pool = (3, 2);
      $0.function = LN_FUNCTION_leaky_relu
    },
    wide.with {
      $0.label = "gelu"; $0.size = (7, 5); $0.function = LN_FUNCTION_gelu
    },
    wide.with {
      $0.label = "gelu pooled"; $0.images = 2; $0.size = (7, 5); $0.pool = (2, 2);
      $0.function = LN_FUNCTION_gelu
    },
    wide.with {
      $0.label = "sequence"; $0.size = (1, 30); $0.kernel = (1, 5); $0.stride = (1, 2);
      $0.pad = (0, 2, 0, 2)
    },
    wide.with {
      $0.label = "causal sequence, pooled"
      $0.images = 2
      $0.size = (1, 30)
      $0.kernel = (1, 5)
      $0.dilation = (1, 2)
      $0.pad = (0, 8, 0, 0)
      $0.pool = (1, 3)
    },
    // Bands of more vectors, or of more different sets of taps, than are held at a time.
    wide.with {
      $0.label = "long rows"; $0.inChannels = 2; $0.outChannels = 3; $0.size = (2, 150)
    },
    wide.with {
      $0.label = "long rows pooled"; $0.inChannels = 1; $0.outChannels = 17; $0.size = (4, 140);
      $0.pool = (2, 2)
    },
    wide.with {
      $0.label = "other taps at every output"; $0.inChannels = 2; $0.size = (3, 20);
      $0.kernel = (1, 19); $0.pad = (0, 18, 0, 18)
    },
    wide.with {
      $0.label = "depthwise on long rows"; $0.groups = 18; $0.inChannels = 1; $0.outChannels = 1;
      $0.size = (3, 40); $0.kernel = (3, 5); $0.pad = (1, 2, 1, 2)
    },
    wide.with {
      $0.label = "depthwise, windows wholly on padding"; $0.groups = 5; $0.inChannels = 1;
      $0.outChannels = 1; $0.size = (3, 4); $0.kernel = (2, 3); $0.pad = (4, 5, 4, 5)
    },
    wide.with {
      $0.label = "3 groups"; $0.groups = 3; $0.inChannels = 4; $0.outChannels = 6
    },
    wide.with {
      $0.label = "2 groups of 19"; $0.groups = 2; $0.outChannels = 19; $0.stride = (2, 1);
      $0.images = 2
    },
    wide.with {
      $0.label = "groups pooled, tanh"; $0.groups = 2; $0.outChannels = 40; $0.pool = (2, 2);
      $0.function = LN_FUNCTION_tanh
    },
  ]
  for groups in [2, 3, 7, 8, 15, 16, 17, 33, 40] {
    for multiplier in 1...3 {
      all.append(
        square.with {
          $0.label = "depthwise \(groups) x \(multiplier)"
          $0.groups = groups
          $0.outChannels = multiplier
        })
    }
  }
  let depthwise = square.with {
    $0.groups = 20; $0.outChannels = 2; $0.images = 2; $0.size = (7, 6)
  }
  all += [
    depthwise.with {
      $0.label = "depthwise strided"; $0.stride = (2, 1); $0.dilation = (1, 2);
      $0.pad = (1, 2, 1, 2)
    },
    depthwise.with {
      $0.label = "depthwise pooled"; $0.pool = (2, 2)
    },
    depthwise.with {
      $0.label = "depthwise pooled, sigmoid"; $0.pool = (2, 2); $0.function = LN_FUNCTION_sigmoid
    },
    depthwise.with {
      $0.label = "depthwise gelu"; $0.function = LN_FUNCTION_gelu; $0.outChannels = 3
    },
  ]
  return all
}()

@Suite("Convolution kernels", .serialized)
struct ConvolutionKernelTests {
  @Test("Sums are those of the definition, and all forms give the same bytes", arguments: shapes)
  func agreesWithDefinition(shape: ConvolutionShape) {
    check(shape, Float.self)
    check(shape, Double.self)
  }

  private func check<Element: ConvolutionElement>(_ shape: ConvolutionShape, _: Element.Type) {
    let data = ConvolutionData<Element>(shape, seed: 7)
    // Without function and pooling: rounding of a chain of n sums, whose errors mostly cancel.
    let linear = shape.linear
    guard let sums = run(linear, data, Form.all[0]) else {
      Issue.record("\(shape): wrote past its outputs")
      return
    }
    var worst: Double = 0
    let exact = linear.sums(data)
    for (got, (value, scale)) in zip(sums, exact) where scale > 0 || Double(got) != value {
      worst = max(worst, abs(Double(got) - value) / (scale * Element.rounding))
    }
    #expect(
      worst < 8, "\(shape) \(Element.self): \(worst) roundings of the sum of absolute products")
    print("\(shape), \(Element.self): worst error \(worst) roundings of sum |w x|")

    checkForms(shape, data, sums)
  }

  @Test("Every function is the same fused as on its own")
  func fusedFunctions() throws {
    for id in 0..<LN_FUNCTION_COUNT.rawValue {
      let shape = ConvolutionShape(
        label: "fused", inChannels: 3, outChannels: 21, size: (3, 5), kernel: (2, 2),
        function: ln_function_id(id))
      let data = ConvolutionData<Float>(shape, seed: 11)
      let sums = try #require(
        run(shape.with { $0.function = LN_FUNCTION_identity }, data, Form.all[0]))
      let expected = applyFunction(shape.laneFunction, sums)
      for form in Form.all {
        let got = try #require(run(shape, data, form))
        let name = String(cString: ln_function_name(ln_function_id(id)))
        #expect(firstDifference(got, expected) == nil, "\(name), \(form)")
      }
    }
  }

  @Test("A weight that is not finite reaches its own output channel only, and no padding")
  func badWeightsStay() throws {
    for (groups, inChannels, outChannels) in [(1, 3, 37), (2, 4, 19), (21, 1, 2)] {
      let shape = ConvolutionShape(
        label: "bad weight", groups: groups, inChannels: inChannels, outChannels: outChannels,
        size: (4, 5), kernel: (3, 3), pad: (1, 1, 1, 1))
      let clean = ConvolutionData<Float>(shape, seed: 3)
      let expected = try #require(run(shape, clean, Form.all[0]))
      for bad in [Float.nan, .infinity] {
        for channel in [0, 9, shape.allOut - 1] {
          // Tap (0, 0): on the map for outputs outside row 0 and column 0.
          var data = clean
          data.weights[channel * inChannels * 9] = bad
          for form in Form.all where form.threads == 1 {
            let got = try #require(run(shape, data, form))
            for i in got.indices {
              let position = i / examples
              let pixel = position / shape.allOut
              let touched =
                position % shape.allOut == channel && pixel / shape.outWidth > 0
                && pixel % shape.outWidth > 0
              if touched {
                #expect(!got[i].isFinite, "\(form), \(position)")
              } else if got[i].bitPattern != expected[i].bitPattern {
                Issue.record("\(form): \(bad) of channel \(channel) leaked to position \(position)")
                break
              }
            }
          }
        }
      }
    }
  }

  @Test("A NaN stays through fused pooling, wherever in its window it lies")
  func poolingKeepsNaN() throws {
    for (groups, inChannels, outChannels) in [(1, 1, 18), (19, 1, 1)] {
      for place in 0..<4 {
        let shape = ConvolutionShape(
          label: "NaN", groups: groups, inChannels: inChannels, outChannels: outChannels,
          size: (4, 6), pool: (2, 2))
        var data = ConvolutionData<Double>(shape, seed: 5)
        let pixel = place / 2 * 6 + 2 + place % 2  // in the window (0, 1)
        for i in 0..<shape.allIn * examples {
          data.input[pixel * shape.allIn * examples + i] = .nan
        }
        for form in Form.all where form.threads == 1 {
          let got = try #require(run(shape, data, form))
          for i in got.indices {
            #expect(got[i].isNaN == (i / examples / shape.allOut == 1), "\(form), place \(place)")
          }
        }
      }
    }
  }

  @Test("The measured peak is a plausible rate")
  func peak() {
    for isa in Set(Form.all.map(\.isa.rawValue)) {
      let one = ln_measure_peak(ln_isa(isa), LN_FLOAT32, 1, 0.02)
      #expect(one > 1e7 && one < 1e13)
    }
  }
}
