// The harness's options.

import Foundation

struct Arguments {
  var workloads: [String] = []
  var peers = ["onnxruntime", "openvino", "torch-eager", "torch-compile"]
  var threads = 2
  /// Turns that every engine gets; the medians are reported.
  var rounds = 7
  /// Length of a turn.
  var seconds = 1.0
  var python = "python3"
  /// Where RESULTS.md, results.json and the models go.
  var folder = URL(filePath: "Benchmarks")
  var showsLayers = false
  /// Examples in a tile; nil: what the plan chooses.
  var lanes: Int?

  static let usage = """
    usage: Bench [WORKLOAD ...] [--peers a,b|none] [--threads N] [--rounds N] [--seconds S]
                 [--python PATH] [--folder DIR] [--layers]
                 [--lanes 1|16|32|48|64]
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
      case "--lanes": lanes = try number(word) as Int
      default:
        guard !word.hasPrefix("-"), Workload.all.contains(where: { $0.name == word }) else {
          throw UsageError("unknown workload or option '\(word)'")
        }
        workloads.append(word)
      }
    }
  }
}

struct UsageError: Error, CustomStringConvertible {
  var description: String
  init(_ message: String) { description = "\(message)\n\(Arguments.usage)" }
}
