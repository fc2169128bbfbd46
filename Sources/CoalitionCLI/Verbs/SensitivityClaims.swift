// What the paper concludes from its curves, against what was found here, network by network.
//
// The claims are those of section 4 of Ancona, Ceolini, Oztireli and Gross (ICLR 2018) for the four MNIST networks. A claim
// holds for a network when a number of it is on the right side of a limit; the limits are this program's reading
// of "very highly", "near zero" and "close", and are printed with the numbers.

import Coalition
import CoalitionBase

struct SensitivityClaims {
  /// Numbers of removed elements that tables of the paper's reproduction show, in part beside the equal ratios.
  static let sizes = [1, 10, 100, 627]

  /// The methods that the paper compares.
  private static let compared = [
    "occlusion", "gradient-x-input", "integrated-gradients", "deeplift", "epsilon-lrp",
  ]

  private struct Finding {
    let network: String
    let text: String
    let holds: Bool
  }

  private let experiments: [SensitivityExperiment]

  init(_ experiments: [SensitivityExperiment]) { self.experiments = experiments }

  var text: String {
    let claims: [(String, [Finding])] = [
      (
        "1. Integrated gradients and DeepLIFT (Rescale) give almost the same (mean correlation of maps 0.9 or more)",
        experiments.map(similar)
      ),
      (
        "2. Gradient x input is epsilon-LRP on a ReLU network (curves differ by less than 0.01)",
        named(["relu"]).map(identical)
      ),
      (
        "3. epsilon-LRP fails with sigmoid and softplus (mean correlation below 0.2, the others 0.2 higher)",
        named(["sigmoid", "softplus"]).map(failing)
      ),
      (
        "4. With tanh all methods are close, and high (means within 0.1, all 0.7 or more)",
        named(["tanh"]).map(close)
      ),
      (
        "5. Occlusion is exact at n = 1, best for small n, and falls behind the complete methods as n grows",
        experiments.map(decaying)
      ),
    ]
    var text = "\nWhat the paper says, and what was found\n"
    for (claim, findings) in claims {
      text += "\(claim): \(Self.verdict(findings))\n"
      for finding in findings {
        text += "   \(finding.network): \(finding.text) - \(finding.holds ? "as said" : "not so")\n"
      }
    }
    return text
  }

  private static func verdict(_ findings: [Finding]) -> String {
    let count = findings.count(where: \.holds)
    if findings.isEmpty { return "not measured" }
    return count == findings.count
      ? "agrees" : count == 0 ? "disagrees" : "agrees for \(count) of \(findings.count)"
  }

  private func named(_ names: [String]) -> [SensitivityExperiment] {
    experiments.filter { names.contains($0.name) }
  }

  // MARK: Findings

  private func similar(_ experiment: SensitivityExperiment) -> Finding {
    let gradients = experiment.attributions[experiment.index("integrated-gradients")]
    let differences = experiment.attributions[experiment.index("deeplift")]
    let correlations = zip(gradients, differences).map { Correlation.pearson($0, $1) }
      .filter { !$0.isNaN }
    let mean = correlations.reduce(0, +) / Double(correlations.count)
    return Finding(
      network: experiment.name,
      text: "maps correlate with \(Self.short(mean)) (lowest "
        + "\(Self.short(correlations.min() ?? .nan))), curves differ by at most "
        + Self.short(gap(experiment, "integrated-gradients", "deeplift")),
      holds: mean >= 0.9)
  }

  private func identical(_ experiment: SensitivityExperiment) -> Finding {
    let first = experiment.attributions[experiment.index("gradient-x-input")].joined()
    let second = experiment.attributions[experiment.index("epsilon-lrp")].joined()
    let largest = first.reduce(0) { max($0, abs($1)) }
    let difference = zip(first, second).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
    let gap = gap(experiment, "gradient-x-input", "epsilon-lrp")
    return Finding(
      network: experiment.name,
      text: "curves differ by at most \(Numbers.significant(gap, 2)), attributions by "
        + "\(Numbers.significant(difference, 2)) of the largest",
      holds: gap < 0.01)
  }

  private func failing(_ experiment: SensitivityExperiment) -> Finding {
    let relevance = experiment.overall("epsilon-lrp")
    let others = Self.compared.filter { $0 != "epsilon-lrp" }.map { experiment.overall($0) }
    let lowest = others.min() ?? .nan
    return Finding(
      network: experiment.name,
      text: "mean over n \(Self.short(relevance)), lowest of the others \(Self.short(lowest)), "
        + "random \(Self.short(experiment.overall("random")))",
      holds: relevance < 0.2 && lowest - relevance >= 0.2)
  }

  private func close(_ experiment: SensitivityExperiment) -> Finding {
    let means = Self.compared.map { experiment.overall($0) }
    let (low, high) = (means.min() ?? .nan, means.max() ?? .nan)
    return Finding(
      network: experiment.name,
      text: "means over n from \(Self.short(low)) to \(Self.short(high))",
      holds: high - low <= 0.1 && low >= 0.7)
  }

  private func decaying(_ experiment: SensitivityExperiment) -> Finding {
    let sizes = experiment.result.sizes
    let occlusion = sizes.map { experiment.mean("occlusion", n: $0) }
    let complete = sizes.map { size in
      max(experiment.mean("integrated-gradients", n: size), experiment.mean("deeplift", n: size))
    }
    let passed = zip(sizes, zip(occlusion, complete)).first { $0.1.1 > $0.1.0 }?.0
    let (first, last) = (occlusion.first ?? .nan, occlusion.last ?? .nan)
    let end = sizes.last ?? 0
    return Finding(
      network: experiment.name,
      text:
        "occlusion \(Self.short(first)) at n = \(sizes.first ?? 0) and \(Self.short(last)) at n = \(end), "
        + (passed.map { "passed by a complete method from n = \($0), " } ?? "never passed, ")
        + "which has \(Self.short(complete.last ?? .nan)) at n = \(end)",
      holds: first > 0.999 && last < first && passed != nil && (complete.last ?? .nan) > last)
  }

  /// The largest distance of two mean curves.
  private func gap(_ experiment: SensitivityExperiment, _ first: String, _ second: String) -> Double
  {
    experiment.result.sizes.map {
      abs(experiment.mean(first, n: $0) - experiment.mean(second, n: $0))
    }.filter { !$0.isNaN }.max() ?? .nan
  }

  private static func short(_ value: Double) -> String { Numbers.fixed(value, 3) }
}
