// Runs that are stopped, killed and resumed, and runs in parts: the same bytes as one run without a break.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

@Suite struct ShapleyResumeTests {
  let place: Workplace
  init() throws {
    place = try Workplace()
    try place.writeGame()
  }

  private let sampling = ["--estimator", "permutation", "--samples", "90", "--seed", "7"]

  @Test(
    "A run that signals stop again and again ends with the bytes of one without a break",
    arguments: [SIGTERM, SIGINT])
  func stopped(_ signal: Int32) throws {
    let options = ShellGame.options(6) + sampling
    let whole = try place.result(options, "whole.npz")
    // About 640 evaluations of 5 ms.
    try place.setDelay("0.005")
    var stops = 0
    var code: Int32 = 75
    while code == 75 && stops < 60 {
      let running = try Running(
        ["shapley"] + options + ["--checkpoint", "c", "--quiet", "--output", "r.npz"],
        in: place.folder, [:])
      Thread.sleep(forTimeInterval: 0.7 + 0.13 * Double(stops % 3))
      running.send(signal)
      let outcome = try running.outcome()
      code = outcome.code
      if code == 75 {
        stops += 1
        #expect(outcome.error.contains("goes on from the checkpoint"))
        #expect(!place.files.contains("r.npz"))
      }
      if stops == 3 { try place.setDelay("") }
    }
    #expect(code == 0 && stops >= 2, "\(stops) stops, code \(code)")
    let resumed = try Explained(place.path("r.npz"))
    #expect(resumed.essence == whole.essence)
    #expect(resumed.metadata("run", "resumes") == .integer(stops))
    // The end is kept as well: nothing is evaluated again but the coalitions of a finished run.
    try place.setDelay("30")
    let again = try place.result(options + ["--checkpoint", "c"], "again.npz")
    #expect(again.essence == whole.essence)
  }

  @Test("A run that is killed at any moment goes on from its last checkpoint")
  func killed() throws {
    let options = ShellGame.options(6) + sampling
    let whole = try place.result(options, "whole.npz")
    try place.setDelay("0.004")
    for round in 0..<4 {
      let running = try Running(
        ["shapley"] + options
          + ["--checkpoint", "c", "--checkpoint-every", "0.05", "--quiet", "--output", "r.npz"],
        in: place.folder, [:])
      Thread.sleep(forTimeInterval: 0.5 + 0.17 * Double(round))
      running.send(SIGKILL)
      _ = try running.outcome()
    }
    #expect(place.files.contains("c"))
    try place.setDelay("")
    let resumed = try place.result(options + ["--checkpoint", "c"])
    #expect(resumed.essence == whole.essence)
    #expect(resumed.metadata("run", "resumes") != 0)
    #expect(!place.files.contains { $0.hasSuffix(".partial") && $0.hasPrefix("r.npz") })
  }

  @Test("A run that its time has ended says so, stays as it is, and goes on with more time")
  func moreTime() throws {
    let options = ShellGame.options(6) + sampling
    let whole = try place.result(options + ["--time", "1000"], "whole.npz")
    #expect(whole.metadata("result", "stop-reason") == "samples")
    try place.setDelay("0.005")
    let run = options + ["--checkpoint", "c", "--output", "r.npz"]
    let first = try place.shapley(run + ["--time", "0.5"])
    #expect(
      first.code == 0 && first.error.contains("--time ended the run; the same"), "\(first.error)")
    let stopped = try Explained(place.path("r.npz"))
    #expect(stopped.metadata("result", "stop-reason") == "time")
    // Nothing is added without more time.
    #expect(try place.shapley(run + ["--time", "0.5"]).code == 0)
    #expect(try Explained(place.path("r.npz")).essence == stopped.essence)
    try place.setDelay("")
    let resumed = try place.shapley(run + ["--time", "1000"])
    #expect(resumed.code == 0 && resumed.error.isEmpty, "\(resumed.error)")
    #expect(try Explained(place.path("r.npz")).essence == whole.essence)
  }

  @Test("A checkpoint of another run, or a damaged one, is refused with 65 and kept")
  func otherRuns() throws {
    let options = ShellGame.options(6) + sampling + ["--checkpoint", "c"]
    _ = try place.result(options)
    let bytes = try Files.read(place.path("c"))
    let others: [([String], String)] = [
      (
        ShellGame.options(6) + ["--estimator", "permutation", "--samples", "91", "--seed", "7"],
        "samples"
      ),
      (
        ShellGame.options(6) + ["--estimator", "permutation", "--samples", "90", "--seed", "8"],
        "seed"
      ),
      (ShellGame.options(7) + sampling, "player-count"),
      (
        ShellGame.options(6) + ["--estimator", "toggle", "--samples", "90", "--seed", "7"],
        "estimator"
      ),
      (ShellGame.options(6) + sampling + ["--shard", "1/2"], "shard"),
    ]
    for (command, word) in others {
      let outcome = try place.shapley(command + ["--checkpoint", "c", "--output", "x.npz"])
      #expect(outcome.code == 65, "\(outcome.error)")
      #expect(
        outcome.error.contains("another run") && outcome.error.contains(word), "\(outcome.error)")
    }
    let model = try place.shapley(
      [Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu")] + sampling
        + ["--checkpoint", "c", "--output", "x.npz"])
    #expect(model.code == 65 && model.error.contains("model"), "\(model.error)")
    for (damaged, word) in [
      (Array(bytes.dropLast(20)), "checksum"),
      (bytes.map { $0 }.flipped(at: bytes.count / 2), "checksum"),
      (Array("nonsense".utf8), "not a checkpoint"), ([], "not a checkpoint"),
    ] {
      _ = try place.write(damaged, "c")
      let outcome = try place.shapley(options + ["--output", "x.npz"])
      #expect(outcome.code == 65 && outcome.error.contains(word), "\(outcome.error)")
      #expect(try Files.read(place.path("c")) == damaged)
    }
    #expect(!place.files.contains("x.npz"))
  }

  @Test("Whoever changes the input or the instruction set cannot go on")
  func otherInputs() throws {
    func run(_ input: String, _ environment: [String: String] = [:]) throws -> Outcome {
      try Running(
        ["shapley", Fixtures.model("mlp-relu"), "--input", input, "--players", "patch:14x14"]
          + ["--estimator", "permutation", "--samples", "40", "--checkpoint", "c", "--quiet"]
          + ["--output", "r.npz"], in: place.folder, environment
      ).outcome()
    }
    let images = try Fixtures.array("mlp-relu", "input")
    let first = try place.write(images, "a.npy")
    let second = try place.write(
      Tensor(shape: images.shape, elements: .float32(images.floats.map { $0 * 0.5 })), "b.npy")
    #expect(try run(first).code == 0)
    let other = try run(second)
    #expect(other.code == 65 && other.error.contains("sha256"), "\(other.error)")
    let generic = try run(first, ["LANES_ISA": "generic"])
    #expect(generic.code == 65 && generic.error.contains("instruction-set"), "\(generic.error)")
    #expect(try run(first).code == 0)
  }

  // MARK: Shards

  @Test(
    "Shards in any order merge to the bytes of the whole run",
    arguments: [
      "permutation", "toggle", "complementary", "owen-sampling", "kernel", "leverage",
      "odd-regression", "exact",
    ])
  func shards(_ estimator: String) throws {
    var options = [
      Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu"), "--players", "patch:14x7",
      "--estimator", estimator,
    ]
    if estimator != "exact" { options += ["--evaluations", "2500"] }
    let whole = try place.result(options, "whole.npz")
    for count in [1, 3, 7] {
      var parts: [String] = []
      for index in 1...count {
        let name = "part\(index).npz"
        let part = try place.result(options + ["--shard", "\(index)/\(count)"], name)
        #expect(!part.names.contains("values"))
        parts.append(name)
      }
      for order in [parts, parts.reversed(), parts.shuffled()] {
        let outcome = try place.merge(order + ["--quiet", "--output", "m.npz"])
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(try Explained(place.path("m.npz")).essence == whole.essence, "\(count) shards")
      }
    }
  }

  @Test("Shards of a program, through JSON, and of several targets")
  func otherShards() throws {
    let game = ShellGame.options(5) + ["--estimator", "toggle", "--samples", "100"]
    let whole = try place.result(game, "whole.npz")
    for index in 1...2 {
      _ = try place.result(game + ["--shard", "\(index)/2"], "g\(index).json")
    }
    #expect(try place.merge(["g2.json", "g1.json", "--quiet", "--output", "m.npz"]).code == 0)
    #expect(try Explained(place.path("m.npz")).essence == whole.essence)

    let all = [
      Fixtures.model("cnn"), "--input", Fixtures.input("cnn"), "--players", "patch:14x14",
      "--estimator", "leverage", "--interactions", "2", "--samples", "70", "--target", "all",
    ]
    let targets = try place.result(all, "targets.npz")
    for index in 1...2 { _ = try place.result(all + ["--shard", "\(index)/2"], "t\(index).npz") }
    #expect(try place.merge(["t1.npz", "t2.npz", "--quiet", "--output", "n.npz"]).code == 0)
    #expect(try Explained(place.path("n.npz")).essence == targets.essence)
  }

  @Test("A shard that is stopped and resumed is the same shard")
  func resumedShard() throws {
    let options = ShellGame.options(6) + sampling + ["--shard", "2/3"]
    let whole = try place.result(options, "whole.npz")
    try place.setDelay("0.005")
    let running = try Running(
      ["shapley"] + options + ["--checkpoint", "c", "--quiet", "--output", "r.npz"],
      in: place.folder, [:])
    Thread.sleep(forTimeInterval: 0.6)
    running.send(SIGTERM)
    #expect(try running.outcome().code == 75)
    try place.setDelay("")
    let resumed = try place.result(options + ["--checkpoint", "c"])
    #expect(resumed.essence == whole.essence)
  }

  @Test("Missing, repeated, unlike and damaged shards are refused with 65 and listed")
  func unlikeShards() throws {
    let options = ShellGame.options(5) + ["--estimator", "permutation", "--samples", "96"]
    for index in 1...3 {
      _ = try place.result(options + ["--shard", "\(index)/3"], "p\(index).npz")
    }
    _ = try place.result(options + ["--shard", "2/3", "--seed", "9"], "seed.npz")
    _ = try place.result(options + ["--shard", "2/4"], "four.npz")
    _ = try place.result(
      ShellGame.options(5) + ["--estimator", "permutation", "--samples", "90", "--shard", "2/3"],
      "samples.npz")
    _ = try place.result(options, "whole.npz")
    let cases: [([String], [String])] = [
      (["p1.npz", "p3.npz"], ["missing is 2", "p3.npz: 3/3"]),
      (["p1.npz"], ["missing are 2, 3"]),
      (["p1.npz", "p2.npz", "p2.npz", "p3.npz"], ["shard 2 is there 2 times"]),
      (["p1.npz", "seed.npz", "p3.npz"], ["seed.npz", "seed is not that of p1.npz"]),
      (["p1.npz", "four.npz", "p3.npz"], ["number of shards"]),
      (["p1.npz", "samples.npz", "p3.npz"], ["samples"]),
      (["p1.npz", "whole.npz"], ["whole.npz", "not a part of a run"]),
    ]
    for (parts, words) in cases {
      let outcome = try place.merge(parts + ["--output", "m.npz"])
      #expect(outcome.code == 65, "\(parts): \(outcome.error)")
      for word in words { #expect(outcome.error.contains(word), "\(parts): \(outcome.error)") }
    }
    #expect(try place.merge(["p1.npz", "nowhere.npz", "--output", "m.npz"]).code == 66)
    let bytes = try Files.read(place.path("p2.npz"))
    _ = try place.write(Array(bytes.prefix(bytes.count / 2)), "half.npz")
    #expect(try place.merge(["p1.npz", "half.npz", "p3.npz", "--output", "m.npz"]).code == 65)
    #expect(try place.merge(["p1.npz", "p2.npz", "p3.npz", "--output", "p1.npz"]).code == 64)
    #expect(!place.files.contains("m.npz"))
  }
}

extension Array where Element == UInt8 {
  fileprivate func flipped(at index: Int) -> [UInt8] {
    var copy = self
    copy[index] ^= 0x40
    return copy
  }
}
