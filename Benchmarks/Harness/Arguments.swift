// The harness's options.

import Foundation

struct Arguments {
  /// In the order of `Workload.all`.
  var workloads: [Workload] = []
  /// What error is measured on against time.
  var problems: [ErrorProblem] = []
  /// nil: those of each workload.
  var peers: [String]?
  var threads = 2
  /// Turns that every engine gets; the medians are reported.
  var rounds = 5
  /// Length of a turn.
  var seconds = 1.0
  var python = "python3"
  /// Where RESULTS.md, results.json and the peers' scripts are.
  var folder = URL(filePath: "Benchmarks")
  var showsLayers = false
  /// Examples in a tile; nil: what the plan chooses.
  var lanes: Int?
  /// Whether the table of estimators' errors is all that is asked for.
  var showsErrorConstants = false
  /// Whether everything is measured, so that the results can be kept.
  var isComplete = false
  /// Whether what is measured takes its place among the results that are kept.
  var merges = false

  static let usage = """
    usage: Bench [WORKLOAD ...] [--peers a,b|none] [--threads N] [--rounds N] [--seconds S]
                 [--python PATH] [--folder DIR] [--layers]
                 [--lanes 1|16|32|48|64] [--merge] [--error-constants]
    A workload is named in full or by the beginning of its path: forward, explain/lenet, shapley/error.
    RESULTS.md, results.json and figures are written when none is named, or with --merge: then results of other
    workloads that this machine has measured before are kept.
    --error-constants only prints what estimators make of an evaluation, relative to plain permutations.
    """

  init(_ words: [String]) throws {
    var rest = words.dropFirst()
    func value(of flag: String) throws -> String {
      guard let value = rest.popFirst() else { throw UsageError("\(flag) needs a value") }
      return value
    }
    func number<Number: LosslessStringConvertible>(_ flag: String) throws -> Number {
      let text = try value(of: flag)
      guard let number = Number(text) else { throw UsageError("\(flag): '\(text)' is no number") }
      return number
    }
    var named: [String] = []
    while let word = rest.popFirst() {
      switch word {
      case "--peers":
        let names = try value(of: word)
        peers = names == "none" ? [] : names.split(separator: ",").map(String.init)
      case "--threads": threads = try number(word)
      case "--rounds": rounds = try number(word)
      case "--seconds": seconds = try number(word)
      case "--python": python = try value(of: word)
      case "--folder": folder = URL(filePath: try value(of: word))
      case "--layers": showsLayers = true
      case "--error-constants": showsErrorConstants = true
      case "--merge": merges = true
      case "--lanes": lanes = try number(word) as Int
      default:
        guard !word.hasPrefix("-"),
          Workload.all.contains(where: { $0.isNamed(by: word) })
            || ErrorProblem.curves.contains(where: { $0.isNamed(by: word) })
        else {
          throw UsageError("unknown workload or option '\(word)'")
        }
        named.append(word)
      }
    }
    isComplete = named.isEmpty
    workloads = Workload.all.filter { workload in
      named.isEmpty || named.contains(where: workload.isNamed)
    }
    problems = ErrorProblem.curves.filter { problem in
      named.isEmpty || named.contains(where: problem.isNamed)
    }
  }
}

struct UsageError: Error, CustomStringConvertible {
  var description: String
  init(_ message: String) { description = "\(message)\n\(Arguments.usage)" }
}
