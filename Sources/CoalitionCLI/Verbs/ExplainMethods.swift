// The methods of `coalition explain`: a row each, from options to a method of the library.
//
// To add a method: a row in `all`, with its parameters among `ExplainParameters`. Help, errors, `inspect`, `plan` and the
// record of results read the table.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

/// A method by its name.
struct ExplainMethod: Sendable {
  /// Who does the work.
  enum Work: Sendable {
    case gradient(GradientMethod)
    /// At a layer: nil for the last convolution.
    case gradCAM(String?)
    /// Of players.
    case occlusion
    case windows(OcclusionWindows)
    case rise(RISE)
    /// Without how it runs.
    case shapley(ShapleyOptions)
  }

  /// A method with its parameters.
  struct Choice: Sendable {
    let work: Work
    /// The parameters, defaults included.
    var record: [JSONValue.Member] = []
  }

  let name: String
  /// A clause for the help text.
  let summary: String
  /// The parameters that the method takes.
  var parameters: [OptionDeclaration] = []
  let choose: @Sendable (Arguments) throws(CoalitionError) -> Choice

  typealias P = ExplainParameters

  static let fallbackFlag = Flag(
    "allow-fallback",
    "goes on where the method is only approximated (coalition inspect says where), with a warning")

  static let option = Option(
    "method", "M", all.map(\.name).joined(separator: ", "), as: .text)

  static let all = [
    simple("gradient", .gradient, "the derivative of the score"),
    simple("saliency", .saliency, "its absolute value"),
    simple("gradient-x-input", .gradientTimesInput, "input times gradient"),
    ExplainMethod(
      name: "integrated-gradients",
      summary: "input minus baseline, times the mean gradient on the straight way between them",
      parameters: [P.steps.declaration, P.quadrature.declaration, P.tolerance.declaration]
    ) { arguments throws(CoalitionError) in
      if let tolerance = arguments[P.tolerance] {
        for option in [P.steps.declaration, P.quadrature.declaration]
        where arguments.isGiven(option) {
          throw CoalitionError(
            .usage, "--tolerance chooses steps by itself: leave out --\(option.name)")
        }
        return Choice(
          work: .gradient(.adaptiveIntegratedGradients(tolerance: tolerance)),
          record: [.init("tolerance", .number(tolerance))])
      }
      let steps = arguments[P.steps] ?? 50
      let quadrature = arguments[P.quadrature] ?? .gauss
      return Choice(
        work: .gradient(.integratedGradients(steps: steps, quadrature: quadrature)),
        record: [
          .init("steps", .integer(steps)), .init("quadrature", .string(quadrature.rawValue)),
        ])
    },
    ExplainMethod(
      name: "expected-gradients",
      summary: "the same over random places and baselines drawn from those that are given",
      parameters: [P.samples.declaration]
    ) { arguments in
      let samples = arguments[P.samples] ?? 200
      return Choice(
        work: .gradient(.expectedGradients(samples: samples, seed: P.seed(arguments))),
        record: [.init("samples", .integer(samples))])
    },
    ExplainMethod(
      name: "smoothgrad", summary: "the mean gradient under noise",
      parameters: [P.samples.declaration, P.noise.declaration]
    ) { arguments in
      let samples = arguments[P.samples] ?? 50
      let noise = arguments[P.noise] ?? 0.15
      return Choice(
        work: .gradient(.smoothGrad(samples: samples, noise: noise, seed: P.seed(arguments))),
        record: [.init("samples", .integer(samples)), .init("noise", .number(noise))])
    },
    ExplainMethod(
      name: "epsilon-lrp", summary: "relevance by ratios of outputs to inputs",
      parameters: [P.epsilon.declaration]
    ) { arguments in
      let epsilon = arguments[P.epsilon] ?? 1e-4
      return Choice(
        work: .gradient(.epsilonLRP(epsilon: epsilon)),
        record: [.init("epsilon", .number(epsilon))])
    },
    ExplainMethod(
      name: "lrp", summary: "relevance by a rule for each layer",
      parameters: [P.rules.declaration]
    ) { arguments throws(CoalitionError) in
      let text = arguments[P.rules] ?? "epsilon"
      do throws(CoalitionError) {
        return Choice(
          work: .gradient(.layerwiseRelevance(try RuleBook(parsing: text))),
          record: [.init("rules", .string(text))])
      } catch {
        throw error.at("--rules")
      }
    },
    simple("deeplift", .deepLIFT, "differences from a baseline, shared out completely (Rescale)"),
    simple(
      "deeplift-reveal-cancel", .deepLIFTRevealCancel,
      "the same with what speaks for and against shared out apart"),
    simple(
      "guided-backprop", .guidedBackpropagation,
      "the gradient without negative signals at activations"),
    simple("deconvnet", .deconvnet, "signals that pass activations wherever they are positive"),
    ExplainMethod(
      name: "grad-cam", summary: "where a convolution found evidence, scaled up to the image",
      parameters: [P.layer.declaration]
    ) { arguments in
      let layer = arguments[P.layer]
      return Choice(
        work: .gradCAM(layer), record: [.init("layer", layer.map { .string($0) } ?? .null)])
    },
    ExplainMethod(
      name: "occlusion",
      summary: "the fall of the score without one of the players, or without a window",
      parameters: [P.window.declaration, P.stride.declaration, P.form.declaration]
    ) { arguments throws(CoalitionError) in
      guard let window = arguments[P.window] else {
        for option in [P.stride.declaration, P.form.declaration] where arguments.isGiven(option) {
          throw CoalitionError(.usage, "--\(option.name) needs --window")
        }
        return Choice(work: .occlusion)
      }
      guard !arguments.isGiven(PlayerFlags.option.declaration) else {
        throw CoalitionError(
          .usage, "--window and --players exclude each other: both say what is removed")
      }
      let windows = OcclusionWindows(
        window: window, stride: arguments[P.stride], form: arguments[P.form] ?? .marginal)
      return Choice(
        work: .windows(windows),
        record: [
          .init("window", .array(windows.window.map { .integer($0) })),
          .init("stride", .array(windows.stride.map { .integer($0) })),
          .init("window-form", .string(windows.form.rawValue)),
        ])
    },
    ExplainMethod(
      name: "rise", summary: "the mean of random masks, weighted by the masked score",
      parameters: [
        P.masks.declaration, P.cells.declaration, P.probability.declaration,
      ]
    ) { arguments in
      let rise = RISE(
        masks: arguments[P.masks] ?? 4000, cells: arguments[P.cells] ?? 8,
        probability: arguments[P.probability] ?? 0.5, seed: P.seed(arguments))
      return Choice(
        work: .rise(rise),
        record: [
          .init("masks", .integer(rise.masks)), .init("cells", .integer(rise.cells)),
          .init("probability", .number(rise.probability)),
        ])
    },
    ExplainMethod(
      name: "shapley",
      summary:
        "what each player adds on average over all orders of the players (coalition shapley has more options)",
      parameters: [
        P.estimator.declaration, P.antithetic.declaration, P.evaluations.declaration,
        P.tolerance.declaration,
      ]
    ) { arguments throws(CoalitionError) in
      var options = ShapleyOptions()
      options.estimator = try ShapleyFlags.estimator(arguments)
      options.antithetic = arguments[P.antithetic]
      options.evaluations = arguments[P.evaluations]
      options.tolerance = arguments[P.tolerance]
      options.seed = P.seed(arguments)
      return Choice(
        work: .shapley(options),
        record: options.record.filter {
          ["estimator", "antithetic", "evaluations", "tolerance"].contains($0.name)
        })
    },
    byMoments(
      .dasp, "Shapley values from the moments of random coalitions of each size",
      [MomentFlags.coalitionSizesOption.declaration]),
    byMoments(
      .momentGradient, "Shapley values of all players from the gradient of such moments",
      [MomentFlags.nodesOption.declaration]),
  ]

  private static func byMoments(
    _ estimator: Estimator, _ summary: String, _ own: [OptionDeclaration]
  ) -> ExplainMethod {
    ExplainMethod(
      name: estimator.rawValue, summary: summary,
      parameters: own + [
        MomentFlags.rankOption.declaration, MomentFlags.checkOption.declaration,
        MomentFlags.projectionFlag.declaration,
      ]
    ) { arguments throws(CoalitionError) in
      var options = ShapleyOptions()
      options.estimator = estimator
      options.moments = try MomentFlags.options(
        arguments, estimator, sizes: MomentFlags.coalitionSizesOption)
      options.seed = P.seed(arguments)
      return Choice(work: .shapley(options), record: options.moments.record(estimator))
    }
  }

  /// Those that send a signal back by a program of their own.
  static var reverse: [ExplainMethod] {
    all.filter { (try? $0.byDefault.work.sendsSignals) ?? false }
  }

  private static func simple(
    _ name: String, _ method: GradientMethod, _ summary: String
  ) -> ExplainMethod {
    ExplainMethod(name: name, summary: summary) { _ in Choice(work: .gradient(method)) }
  }

  // MARK: Choosing

  /// The method that `--method` names.
  /// - Throws: `usage` with the nearest name for one that there is not.
  static func named(_ name: String?) throws(CoalitionError) -> ExplainMethod {
    let names = all.map(\.name)
    guard let name else {
      throw CoalitionError(
        .usage, "--method is missing: say how to explain", expected: names.joined(separator: ", "))
    }
    if let method = all.first(where: { $0.name == name }) { return method }
    let advice = suggestion(for: name, in: names)
    throw CoalitionError(
      .usage, "--method: there is no method '\(name)'\(advice)",
      expected: names.joined(separator: ", "))
  }

  /// The parameters that the arguments give.
  /// - Throws: `usage` for parameters of other methods, and for values that cannot be.
  func choice(_ arguments: Arguments) throws(CoalitionError) -> Choice {
    try Self.checkParameters(arguments, areFor: [self])
    return try choose(arguments)
  }

  /// The same for several methods, of which one at least takes each parameter.
  static func choices(
    _ methods: [ExplainMethod], _ arguments: Arguments
  ) throws(CoalitionError) -> [(method: ExplainMethod, choice: Choice)] {
    try checkParameters(arguments, areFor: methods)
    return try methods.map { method throws(CoalitionError) in (method, try method.choose(arguments))
    }
  }

  private static func checkParameters(
    _ arguments: Arguments, areFor methods: [ExplainMethod]
  ) throws(CoalitionError) {
    for option in P.all where arguments.isGiven(option) {
      if methods.contains(where: { $0.takes(option) }) { continue }
      let owners = all.filter { $0.takes(option) }.map(\.name)
      let names = methods.map(\.name).joined(separator: ", ")
      throw CoalitionError(
        .usage, "--\(option.name) is not for \(names.isEmpty ? "attributions in files" : names)",
        expected: "--method \(owners.joined(separator: " or "))")
    }
  }

  /// The work of a choice on a model, its names made those of tensors, and where the method is only approximated.
  /// - Throws: `unsupported` where it is, unless `--allow-fallback` is given; `usage` for a name that is not there.
  func work(
    _ choice: Choice, on explainer: Explainer, _ graph: Graph, _ arguments: Arguments
  ) throws(CoalitionError) -> (work: Work, doubts: [SupportDoubt]) {
    let doubts = choice.work.doubts(explainer)
    if let first = doubts.first, !arguments[Self.fallbackFlag] {
      throw CoalitionError(
        .unsupported,
        "\(name) does not hold for this \(first.operation): \(first.reason); "
          + "--allow-fallback goes on with that", node: first.node)
    }
    guard case .gradCAM(let layer?) = choice.work else { return (choice.work, doubts) }
    let tensor = try graph.tensor(named: layer, option: P.layer.declaration)
    return (.gradCAM(tensor), doubts)
  }

  /// The method with its defaults, for what is said of it without a run.
  var byDefault: Choice {
    get throws(CoalitionError) { try choose(Arguments.none) }
  }

  private func takes(_ option: OptionDeclaration) -> Bool {
    parameters.contains { $0.name == option.name }
  }
}

/// The parameters of methods.
enum ExplainParameters {
  static let steps = Option(
    "steps", "N", "integrated-gradients: gradients along the path", default: "50",
    as: .integer(1...1_000_000))
  static let quadrature = Option<Quadrature>(
    "quadrature", "Q", "integrated-gradients: gauss, midpoint or right", default: "gauss",
    as: .choice)
  static let tolerance = Option(
    "tolerance", "T",
    "integrated-gradients: steps where they are needed, until the residual is below T times the score's change; "
      + "shapley: samples until the largest error is below T times the range of the values",
    as: above(orAt: false))
  static let samples = Option(
    "samples", "N", "expected-gradients and smoothgrad: gradients per example",
    default: "200 and 50", as: .integer(1...1_000_000))
  static let noise = Option(
    "noise", "A", "smoothgrad: the noise's deviation, in ranges of the example",
    default: "0.15", as: above(orAt: true))
  static let epsilon = Option(
    "epsilon", "E", "epsilon-lrp: keeps denominators off 0", default: "1e-4",
    as: above(orAt: false))
  static let rules = Option(
    "rules", "TEXT",
    "lrp: rules with what they are for, the last fitting one counts, as in 'epsilon; conv = gamma:0.25; first = z-box:-1,1'",
    default: "epsilon", as: .text)
  static let layer = Option(
    "layer", "NAME", "grad-cam: the tensor or node whose maps are weighed",
    default: "the last convolution", as: .text)
  static let window = Option(
    "window", "HxW", "occlusion: a window that slides over the last axes, in place of players",
    as: sizes)
  static let stride = Option("stride", "HxW", "its steps", default: "1x1", as: sizes)
  static let form = Option<OcclusionWindows.Form>(
    "window-form", "FORM", "marginal takes the windows that the far edges cut, released does not",
    default: "marginal", as: .choice)
  static let masks = Option(
    "masks", "N", "rise: random masks", default: "4000", as: .integer(2...10_000_000))
  static let cells = Option(
    "cells", "N", "rise: cells of a mask along an axis", default: "8", as: .integer(1...1024))
  static let probability = Option(
    "probability", "P", "rise: that a cell is present", default: "0.5",
    as: ValueFormat(expecting: "a number above 0, at most 1") { text in
      Double(text).flatMap { $0 > 0 && $0 <= 1 ? $0 : nil }
    })

  static let estimator = ShapleyFlags.estimatorOption
  static let antithetic = ShapleyFlags.antitheticFlag
  static let evaluations = ShapleyFlags.evaluationsOption

  static let all =
    MomentFlags.shared + [
      MomentFlags.coalitionSizesOption.declaration,
      estimator.declaration, antithetic.declaration, evaluations.declaration,
      steps.declaration, quadrature.declaration, tolerance.declaration, samples.declaration,
      noise.declaration,
      epsilon.declaration, rules.declaration, layer.declaration, window.declaration,
      stride.declaration, form.declaration, masks.declaration, cells.declaration,
      probability.declaration,
    ]

  static func seed(_ arguments: Arguments) -> UInt64 {
    arguments[RuntimeOptions.seedOption] ?? 0
  }

  private static func above(orAt isAllowed: Bool) -> ValueFormat<Double> {
    ValueFormat(expecting: isAllowed ? "a number from 0" : "a number above 0") { text in
      Double(text).flatMap { $0.isFinite && ($0 > 0 || isAllowed && $0 == 0) ? $0 : nil }
    }
  }

  private static let sizes = ValueFormat { text throws(CoalitionError) in try readShape(text) }
}

extension ExplainMethod.Work {
  /// Whether examples are compared with a baseline.
  var usesBaseline: Bool {
    switch self {
    case .gradient(let method): method.usesBaseline
    case .gradCAM: false
    case .occlusion, .windows, .rise, .shapley: true
    }
  }

  /// Whether random coalitions go through the nodes.
  var usesMoments: Bool {
    if case .shapley(let options) = self { options.estimator.usesMoments } else { false }
  }

  /// Whether one signal goes back through the nodes.
  var sendsSignals: Bool { if case .gradient = self { true } else { false } }

  /// The nodes that the method treats in another way than its definition. Methods that only run the model forward
  /// have none.
  func doubts(_ explainer: Explainer) -> [SupportDoubt] {
    switch self {
    case .gradient(let method): explainer.doubts(of: method)
    case .gradCAM, .occlusion, .windows, .rise, .shapley: []
    }
  }
}
