// `coalition plan`: the program that would run, step by step.

import Coalition
import CoalitionBase
import CoalitionExplain
import CoalitionNet

extension Command {
  static let plan = Command(
    name: "plan",
    summary: "shows the program that would run: steps, memory, work",
    positionals: [ModelFile.positional],
    groups: [
      OptionGroup(
        title: "Options",
        options: [
          ShowPlan.modeOption.declaration, ExplainMethod.option.declaration,
          PlayerFlags.option.declaration, MomentFlags.rankOption.declaration,
          ShowPlan.lanesOption.declaration,
          RuntimeOptions.precisionOption.declaration, ModelFile.shapeOption.declaration,
          RuntimeOptions.memoryOption.declaration,
        ])
    ],
    examples: [
      "coalition plan model.onnx --mode forward --lanes 64",
      "coalition plan model.onnx --mode reverse --method deeplift",
      "coalition plan model.onnx --mode delta --players patch:4x4",
      "coalition plan model.onnx --mode moments --rank 4",
    ],
    notes: [
      "--mode delta shows a masked pass and the steps that follow when the first player changes sides.",
      "Places are bytes from the start of a thread's arena (@offset+size) or a block of constants (c0, c1, ...).",
    ]
  ) { arguments throws(CoalitionError) in
    let mode = arguments[ShowPlan.modeOption] ?? "forward"
    guard ShowPlan.modes.contains(mode) else {
      throw CoalitionError(
        .usage, "--mode: there is no such mode", expected: ShowPlan.modes.joined(separator: ", "),
        found: "'\(mode)'")
    }
    let (file, memoryLeft) = try await ModelFile.read(arguments)
    var options = PlanOptions()
    options.precision = arguments[RuntimeOptions.precisionOption] ?? .single
    options.inputShapes = try file.inputShapes(arguments)
    options.memoryLimit = memoryLeft
    let model = try Model(file.graph)
    let lanes = arguments[ShowPlan.lanesOption] ?? 16
    guard mode == "delta" || arguments.all(PlayerFlags.option).isEmpty else {
      throw CoalitionError(.usage, "--players needs --mode delta")
    }
    if mode == "delta" {
      return try Terminal.write(
        try ShowPlan.deltas(try Plan(model, options), arguments, lanes: lanes, memoryLeft))
    }
    guard mode == "reverse" || arguments[ExplainMethod.option] == nil else {
      throw CoalitionError(.usage, "--method needs --mode reverse")
    }
    guard mode == "moments" || !arguments.isGiven(MomentFlags.rankOption.declaration) else {
      throw CoalitionError(.usage, "--rank needs --mode moments")
    }
    let listing: Plan.Listing
    var title = mode
    let multiplyAdds: Int
    if mode == "reverse" {
      let method = try ExplainMethod.named(arguments[ExplainMethod.option] ?? "gradient")
      guard case .gradient(let rules) = try method.byDefault.work else {
        throw CoalitionError(
          .usage, "--method \(method.name) has no reverse program of its own",
          expected: ExplainMethod.reverse.map(\.name).joined(separator: ", "))
      }
      var explaining = ExplainerOptions()
      explaining.plan = options
      let explainer = try Explainer(model, explaining)
      title += " for \(method.name)"
      listing = try explainer.listing(rules, lanes: lanes)
      multiplyAdds = listing.operations / 2
    } else if mode == "moments" {
      let rank = arguments[MomentFlags.rankOption] ?? MomentOptions.defaultRank
      var explaining = ExplainerOptions()
      explaining.plan = options
      let plan = try Explainer(model, explaining).momentPlan(rank: rank)
      title += " of random coalitions, rank \(rank)"
      listing = try plan.listing(lanes: lanes)
      multiplyAdds = plan.arithmetic.moments / 2
    } else {
      let plan = try Plan(model, options)
      listing = try plan.listing(lanes: lanes)
      multiplyAdds = try plan.multiplyAdds
    }
    try Terminal.write(ShowPlan.text(listing, multiplyAdds: multiplyAdds, mode: title))
  }
}

enum ShowPlan {
  /// The modes that exist.
  static let modes = ["forward", "reverse", "moments", "delta"]

  static let modeOption = Option(
    "mode", "MODE", modes.joined(separator: ", "), default: "forward", as: .text)
  static let lanesOption = Option(
    "lanes", "N", "examples in a tile: 1, 16, 32, 48 or 64", default: "16", as: .integer(1...64))

  static func text(_ listing: Plan.Listing, multiplyAdds: Int, mode: String) -> String {
    var text = "\(mode), \(listing.precision.rawValue) precision, \(listing.lanes) "
    text += listing.lanes == 1 ? "example in a tile\n" : "examples in a tile\n"
    text += "constants \(Numbers.bytes(listing.constantByteCount)), "
    text += "arena of a thread \(Numbers.bytes(listing.arenaByteCount)), "
    text += "\(Numbers.metric(multiplyAdds)) multiply-adds for an example\n\n"
    var table = Table(
      ("step", .right), ("node", .left), ("does", .left), ("reads", .left), ("writes", .left),
      ("GFLOP", .right), ("share", .right))
    let total = Double(max(listing.operations, 1))
    for (index, line) in listing.lines.enumerated() {
      let work = Double(line.operations)
      table.add(
        "\(index)", line.node, line.summary, line.reads.map(place).joined(separator: " "),
        line.writes.map { ([$0] + line.alsoWrites).map(place).joined(separator: " ") } ?? "output",
        work == 0 ? "" : Numbers.significant(work * 1e-9, 3),
        work == 0 ? "" : Numbers.fixed(100 * work / total, 1) + " %")
    }
    return text + table.text
  }

  private static func place(_ place: Plan.Listing.Place) -> String {
    switch place {
    case .arena(let offset, let size): "@\(offset)+\(size)"
    case .constant(let block, _): "c\(block)"
    }
  }
}
