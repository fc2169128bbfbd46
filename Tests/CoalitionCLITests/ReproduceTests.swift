// `coalition reproduce grad`: its arrays, its chart and its verdicts, on few subsets.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

@Suite struct ReproduceTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test("Four networks, eight methods: what follows from theory holds in the numbers")
  func grad() throws {
    let outcome = try place.coalition(
      "reproduce", "grad", "--subsets=20", "--output=out", "--chart=c.svg")
    #expect(outcome.code == 0, "\(outcome.error)")
    for claim in 1...5 { #expect(outcome.output.contains("\n\(claim). "), "\(claim)") }
    let text = String(decoding: try Files.read(place.path("c.svg")), as: UTF8.self)
    for network in ["relu", "tanh", "sigmoid", "softplus"] {
      #expect(text.contains(">Sensitivity-n, \(network)</text>"))
      let result = try ResultFile(reading: place.path("out/sensitivity-\(network).npz"))
      guard case .strings(let methods)? = result["methods"],
        case .tensor(let sizes)? = result["n"], case .tensor(let means)? = result["correlation"],
        case .tensor(let single)? = result["correlation_per_example"]
      else {
        Issue.record("arrays are missing")
        return
      }
      #expect(methods.count == 8 && methods[0] == "occlusion" && methods[7] == "random")
      #expect(Set([1, 10, 100, 627]).isSubset(of: Set(sizes.integers ?? [])))
      #expect(means.shape == [8, sizes.count] && single.shape == [8, 100, sizes.count])
      let values = means.doubles
      // Occlusion is the fall of the score for one element by definition; chance is nothing.
      #expect(abs(values[0] - 1) < 1e-6)
      #expect(values[(7 * sizes.count)...].allSatisfy { abs($0) < 0.15 })
      // The files that the folder holds repeat the experiment.
      #expect(Files.exists(place.path("out/mlp-\(network).onnx")))
    }
    let again = try place.coalition(
      "reproduce", "grad", "--subsets=20", "--data=out", "--output=again.npz", "--quiet",
      "--threads=1")
    #expect(again.code == 0 && again.output.isEmpty, "\(again.error)")
    let all = try ResultFile(reading: place.path("again.npz"))
    let one = try ResultFile(reading: place.path("out/sensitivity-tanh.npz"))
    #expect(all["tanh.correlation_per_example"]?.bytes == one["correlation_per_example"]?.bytes)
    #expect(all["networks"] == .strings(["relu", "tanh", "sigmoid", "softplus"]))
  }

  @Test(
    "What cannot be reproduced is said",
    arguments: [
      (["reproduce"], 64, "needs PAPER"), (["reproduce", "gra"], 64, "did you mean grad?"),
      (["reproduce", "grad", "--data=nowhere"], 66, "nowhere/mlp-relu.onnx"),
      (["reproduce", "grad", "--quiet"], 64, "--quiet without --output"),
    ] as [([String], Int32, String)])
  func refusals(arguments: [String], code: Int32, message: String) throws {
    let outcome = try Running(arguments, in: place.folder, [:]).outcome()
    #expect(outcome.code == code)
    #expect(outcome.error.contains(message), "\(outcome.error)")
    #expect(place.files.isEmpty)
  }
}

extension ResultArray {
  /// As a file: NaN is equal to itself in bytes.
  var bytes: [UInt8] {
    switch self {
    case .tensor(let tensor): Npy.encode(tensor)
    case .strings(let strings): Npy.encode(strings)
    }
  }
}
