// A run that is killed at a hundred random moments, on a network whose values have all their digits.

import CoalitionBase
import Foundation
import TestSupport
import Testing

@Suite struct ShapleyKillTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test("Killed at a hundred random moments, a run has the bytes of one without a break")
  func killed() throws {
    let options = [
      Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu"), "--players", "patch:4x4",
      "--estimator", "permutation", "--antithetic", "--samples", "3000", "--seed", "3",
    ]
    let whole = try place.result(options, "whole.npz")
    let kept = options + ["--checkpoint", "c", "--checkpoint-every", "0.001"]
    var random = Seeded(11)
    var kills = 0
    var ends = 0
    for _ in 0..<1000 where kills < 100 {
      let running = try Running(
        ["shapley"] + kept + ["--quiet", "--output", "r.npz"], in: place.folder, [:])
      Thread.sleep(forTimeInterval: .random(in: 0...0.15, using: &random))
      running.send(SIGKILL)
      let outcome = try running.outcome()
      guard outcome.code == 0 else {
        #expect(outcome.code == -SIGKILL, "\(outcome.error)")
        kills += 1
        continue
      }
      // Done before the blow: the next one begins anew.
      ends += 1
      #expect(try Explained(place.path("r.npz")).essence == whole.essence)
      for name in ["c", "r.npz"] { try FileManager.default.removeItem(atPath: place.path(name)) }
    }
    #expect(kills == 100, "\(ends) runs came to their end")
    #expect(place.files.contains("c") || ends > 0)
    #expect(try place.result(kept).essence == whole.essence)
  }
}
