// `coalition plan --mode delta`: a masked pass, and what toggling a player adds to it.

import Coalition
import CoalitionBase
import CoalitionExplain
import CoalitionNet

extension ShowPlan {
  static func deltas(
    _ plan: Plan, _ arguments: Arguments, lanes: Int, _ memoryLimit: Int
  ) throws(CoalitionError) -> String {
    guard lanes > 1 else {
      throw CoalitionError(
        .usage, "--mode delta has no program for one coalition at a time",
        expected: "16, 32, 48 or 64 lanes", found: "\(lanes)")
    }
    let inputs = plan.inputs
      .filter { [.float32, .float64].contains($0.elementType) }
      .map { (name: $0.name, shape: $0.shape) }
    let flags = try PlayerFlags(arguments, inputs: inputs, examples: 1, memoryLimit: memoryLimit)
    let players: PlayerSet
    if let given = flags.players {
      players = given
    } else {
      players = try PlayerSet(inputs: inputs)
    }
    let masked = try MaskedPlan(plan, masking: players.masking)
    let toggle = try TogglePlan(
      masked, playerCount: players.playerCount, elements: Array(0..<masked.output.count))
    let (base, perPlayer) = toggle.arithmetic
    let all = perPlayer.saturatingSum
    let passes = Double(base) * Double(players.playerCount)
    let listing = try toggle.listing(turn: 0, lanes: lanes)
    var text = self.text(
      listing, multiplyAdds: base, mode: "delta, the first of \(players.playerCount) players")
    text += "\nall players toggled: \(Numbers.metric(all)) multiply-adds, "
    text += "\(Numbers.significant(100 * Double(all) / max(passes, 1), 3)) % of "
    text += "\(players.playerCount) full passes; "
    text += "encoded steps \(Numbers.bytes(toggle.programByteCount))\n"
    return text
  }
}
