// `coalition shapley --game`: outside programs that compute values, honest and broken ones.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

@Suite struct ShapleyGameTests {
  let place: Workplace
  init() throws {
    place = try Workplace()
    try place.writeGame()
  }

  @Test("Exact values of a program, without arrays of models")
  func exact() throws {
    let result = try place.result(ShellGame.options(5) + ["--estimator", "exact"])
    #expect(
      result.names == [
        "values", "standard_errors", "output", "baseline_output", "residual", "evaluations",
      ])
    #expect(try result.shape("values") == [1, 5])
    #expect(relativeDifference(try result.doubles("values"), ShellGame.values(5)) < 1e-12)
    #expect(try result.doubles("output") == [180])
    #expect(try result.doubles("baseline_output") == [0])
    #expect(try result.doubles("evaluations") == [32])
    #expect(result.metadata("model") == .null)
    #expect(result.metadata("options", "game") == "sh game.sh")
    #expect(result.metadata("options", "player-count") == 5)
  }

  @Test(
    "Every sampler finds the values of a symmetric sum within its errors",
    arguments: [
      "permutation", "orthogonal", "toggle", "stratified", "complementary", "owen-sampling",
      "kernel", "kernel-unbiased", "leverage", "odd-regression",
    ])
  func samplers(_ estimator: String) throws {
    let result = try place.result(
      ShellGame.options(6) + ["--estimator", estimator, "--evaluations", "3000"])
    let errors = try result.doubles("standard_errors")
    for (index, value) in try result.doubles("values").enumerated() {
      let expected = ShellGame.values(6)[index]
      #expect(abs(value - expected) <= 5 * errors[index] + 1e-6, "player \(index)")
    }
    #expect(try result.doubles("evaluations")[0] <= 3000)
  }

  @Test("Programs that fail end the run with 69, garbled ones with 65, and leave no file")
  func faults() throws {
    let cases: [(String, Int32, String)] = [
      ("./nowhere", 69, "127"),
      ("exit 4", 69, "code 4"),
      ("read -r x; echo 1; exit 0", 69, "in the middle of a batch"),
      ("cat > /dev/null", 69, "no answer"),
      ("while read -r x; do echo one; done", 65, "not a number"),
      ("while read -r x; do echo nan; done", 65, "not finite"),
      ("while read -r x; do [ -n \"$x\" ] && echo 1 && echo 2; done", 65, "more values"),
      ("while read -r x; do echo; done", 65, "too early"),
    ]
    for (command, code, sentence) in cases {
      let outcome = try place.shapley([
        "--game", command, "--player-count", "4", "--samples", "40", "--estimator", "permutation",
        "--game-timeout", "1", "--output", "r.npz",
      ])
      #expect(outcome.code == code, "\(command): \(outcome.error)")
      #expect(outcome.error.contains(sentence), "\(command): \(outcome.error)")
      // Whatever the shell itself says comes before.
      let sentences = outcome.error.split(separator: "\n").filter { $0.hasPrefix("coalition: ") }
      #expect(sentences.count == 1, "\(outcome.error)")
    }
    #expect(place.files == ["game.sh"])
  }

  @Test("A signal without a checkpoint ends the run and its program")
  func interrupted() throws {
    try place.setDelay("0.05")
    let running = try place.start(
      "shapley", "--game", "echo $$ > pid; . ./game.sh", "--player-count", "6", "--samples",
      "100000", "--estimator", "permutation", "--output", "r.npz")
    Thread.sleep(forTimeInterval: 1)
    running.send(SIGTERM)
    let outcome = try running.outcome()
    #expect(outcome.code == 143, "\(outcome.error)")
    let text = String(decoding: try Files.read(place.path("pid")), as: UTF8.self)
    let process = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    #expect(kill(process, 0) != 0, "the program still runs")
    #expect(!place.files.contains("r.npz"))
  }

  @Test("A dry run of a program")
  func dryRun() throws {
    let outcome = try place.shapley(
      ShellGame.options(6) + ["--estimator", "permutation", "--samples", "10", "--dry-run"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("evaluations") && outcome.output.contains("time"))
  }
}
