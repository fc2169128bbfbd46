// Several examples, targets and baselines at once, by every estimator: as each of them alone.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

@Suite struct ShapleyRowsTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private static let estimators = [
    "exact", "permutation", "orthogonal", "toggle", "stratified", "complementary",
    "owen-sampling", "kernel", "kernel-unbiased", "leverage", "odd-regression",
  ]

  @Test("Examples, targets and baselines together are what they are alone", arguments: estimators)
  func together(_ estimator: String) throws {
    let images = try Fixtures.array("cnn", "input")
    let size = images.shape.dropFirst().reduce(1, *)
    func write(_ numbers: [Float], _ name: String) throws -> String {
      try place.write(
        Tensor(
          shape: [numbers.count / size] + Array(images.shape.dropFirst()),
          elements: .float32(numbers)), name)
    }
    let pixels = images.floats
    let rows = (0..<3).map { row in
      let first = row % images.shape[0] * size
      return Array(pixels[first..<first + size])
    }
    let examples = [
      rows[0], rows[1].map { $0 * 0.5 }, Array(rows[2].reversed()),
    ]
    let baselines: [[Float]] = [
      [Float](repeating: 0.25, count: size), (0..<size).map { Float($0 % 5) * 0.1 },
    ]
    let both = try write(baselines.flatMap { $0 }, "both.npy")
    var options = ["--players", "patch:14x7", "--estimator", estimator, "--target", "all"]
    // Fewer than 64 samples of circles: later ones depend on the numbers.
    if estimator != "exact" {
      options += ["--samples", estimator == "stratified" ? "40" : "300"]
    }
    func values(_ input: String, _ baseline: String) throws -> Explained {
      let outcome = try place.shapley(
        [Fixtures.model("cnn"), "--input", input, "--baseline", baseline, "--quiet"]
          + ["--output", "r.npz"] + options)
      #expect(outcome.code == 0, "\(outcome.error)")
      return try Explained(place.path("r.npz"))
    }
    let all = try values(try write(examples.flatMap { $0 }, "all.npy"), both)
    let found = try all.doubles("values")
    #expect(try all.shape("values") == [3, 10, 8])
    #expect(found.allSatisfy { $0.isFinite })
    for (index, example) in examples.enumerated() {
      let input = try write(example, "one.npy")
      let alone = try values(input, both)
      for name in ["values", "standard_errors"] {
        let own = try all.doubles(name)[index * 80..<(index + 1) * 80]
        #expect(try Array(own) == alone.doubles(name), "\(name) of example \(index)")
      }
      // Every estimator is linear in the game, and the game is the mean over baselines.
      var mean = [Double](repeating: 0, count: 80)
      for baseline in baselines {
        let one = try values(input, try write(baseline, "b.npy")).doubles("values")
        for place in mean.indices { mean[place] += one[place] / 2 }
      }
      #expect(relativeDifference(Array(found[index * 80..<(index + 1) * 80]), mean) < 2e-5)
    }
  }
}
