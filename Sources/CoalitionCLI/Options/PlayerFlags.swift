// What belongs together in an input: --players.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct PlayerFlags: Sendable {
  static let option = Option(
    "players", "[NAME=]WHAT",
    "parts of the input: element, patch:HxW, channel, axis:K, or FILE.npy with a player's number per element (-1: "
      + "nobody's); once per input",
    default: "element", repeatable: true, as: .named)

  /// nil: every element by itself.
  let players: PlayerSet?
  private let records: [JSONValue.Member]

  /// - Parameters:
  ///   - inputs: names and shapes of what is explained.
  /// - Throws: `usage` for what is no division or names no input, and the errors of `PlayerSet`.
  init(
    _ arguments: Arguments, inputs: [(name: String, shape: [Int])], examples: Int,
    memoryLimit: Int
  ) throws(CoalitionError) {
    let names = inputs.map(\.name)
    var divisions: [String: Players] = [:]
    var others = Players.element
    var records: [String: JSONValue] = [:]
    var isGiven = false
    for named in arguments.all(Self.option) {
      let (name, text) = named.split(names: names)
      if name == nil, let sign = text.firstIndex(of: "="), !Files.exists(text) {
        let wrong = String(text[..<sign])
        let advice = suggestion(for: wrong, in: names)
        throw CoalitionError(
          .usage, "--players: there is no input '\(wrong)' to explain\(advice)",
          expected: names.joined(separator: ", "))
      }
      let (division, record) = try Self.read(text, memoryLimit)
      if let name {
        guard divisions.updateValue(division, forKey: name) == nil else {
          throw CoalitionError(.usage, "--players is given twice for this input", node: name)
        }
      } else {
        guard !isGiven else { throw CoalitionError(.usage, "--players is given twice") }
        others = division
        isGiven = true
      }
      for input in names where name == nil ? records[input] == nil : input == name {
        records[input] = record
      }
    }
    self.records = names.map { .init($0, records[$0] ?? "element") }
    let all = names.map { divisions[$0] ?? others }
    guard all.contains(where: { $0 != .element }) else {
      players = nil
      return
    }
    do throws(CoalitionError) {
      players = try PlayerSet(divisions, others: others, inputs: inputs, examples: examples)
    } catch {
      throw error.at("--players")
    }
  }

  private static func read(
    _ text: String, _ memoryLimit: Int
  ) throws(CoalitionError) -> (Players, JSONValue) {
    switch text {
    case "element": return (.element, "element")
    case "channel": return (.channel, "channel")
    default: break
    }
    if text.hasPrefix("patch:") {
      let sizes = text.dropFirst(6).split(separator: "x", omittingEmptySubsequences: false)
        .map { Int($0) }
      guard sizes.count == 2, let height = sizes[0], let width = sizes[1], height > 0, width > 0
      else {
        throw CoalitionError(
          .usage, "--players: a patch has a height and a width", expected: "patch:HxW, from 1x1 on",
          found: "'\(text)'")
      }
      return (.patch(height: height, width: width), .string(text))
    }
    if text.hasPrefix("axis:") {
      guard let axis = Int(text.dropFirst(5)) else {
        throw CoalitionError(
          .usage, "--players: an axis is a whole number", expected: "axis:K", found: "'\(text)'")
      }
      return (.axis(axis), .string(text))
    }
    let isFile =
      Files.exists(text) || text.contains(".npz:")
      || [".npy", ".npz"].contains { text.lowercased().hasSuffix($0) }
    guard isFile else { throw unknown(text) }
    let map = try ArrayFile.load(text, options: .init(memoryLimit: memoryLimit))
    let digest = try FileDigest.of(text, limit: memoryLimit)
    return (
      .map(map),
      .object([
        "map": .array(map.shape.map { .integer($0) }),
        "sha256": digest.map { .string($0) } ?? .null,
      ])
    )
  }

  private static func unknown(_ text: String) -> CoalitionError {
    let name = String(text.prefix { $0 != ":" })
    let advice = suggestion(for: name, in: ["element", "patch", "channel", "axis"])
    return CoalitionError(
      .usage, "--players: no such division\(advice)",
      expected: "element, patch:HxW, channel, axis:K or FILE.npy", found: "'\(text)'")
  }

  /// For `options` of a result.
  var record: JSONValue { .object(records) }
}
