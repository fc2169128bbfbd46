// The file that a run goes on from: a line that names the format, a line with the SHA-256 of the rest, and a
// result file (npz) with the state and what it is the state of. It is replaced in one step, so that whoever stops the
// run at any moment leaves a whole one.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

struct ShapleyCheckpoint {
  let path: String
  /// What must be the same for a run to go on: members of the metadata, of the options all but the time, which decides
  /// only when a run ends.
  private let identity: [JSONValue.Member]
  private static let format = "coalition-checkpoint/1"

  /// - Throws: `cannotCreate` when no file of this name can be made.
  init(
    _ path: String, _ record: ResultRecord, shard: Shard?, game: any Game
  ) throws(CoalitionError) {
    self.path = path
    let members = record.members
    identity =
      ["verb", "program", "model", "options", "seed"].compactMap { name in
        members.first { $0.name == name }.map(Self.withoutTime)
      } + [
        .init("instruction-set", .string(record.instructionSet.rawValue)),
        .init("shard", shard.map { .string("\($0.index)/\($0.count)") } ?? .null),
        .init("players", .integer(game.playerCount)),
        .init("targets", .integer(game.targetCount)),
        .init("examples", .integer(game.exampleCount)),
      ]
    try Files.checkCreatable(path)
  }

  private static func withoutTime(_ member: JSONValue.Member) -> JSONValue.Member {
    guard member.name == "options", case .object(let options) = member.value else { return member }
    return .init(
      member.name,
      .object(options.filter { $0.name != ShapleyFlags.timeOption.declaration.name }))
  }

  /// What has been done before.
  struct Saved {
    let state: ShapleyState
    /// Seconds of work so far.
    let seconds: Double
    /// How often the run was resumed before.
    let resumes: Int
  }

  func save(_ saved: Saved) throws(CoalitionError) {
    var file = ResultFile(
      metadata: identity + [
        .init("seconds", .number(saved.seconds)), .init("resumes", .integer(saved.resumes)),
      ])
    for (name, tensor) in try saved.state.arrays.sorted(by: { $0.key < $1.key }) {
      try file.append(name, tensor)
    }
    let contents = file.npz
    let head = "\(Self.format)\n\(SHA256.hexadecimal(contents))\n"
    try Files.writeAtomically(Array(head.utf8) + contents, to: path)
  }

  /// What the file holds; nil when there is none.
  /// - Throws: `invalidData` for a file that is damaged or holds another run.
  func load(_ game: any Game, memoryLimit: Int) throws(CoalitionError) -> Saved? {
    guard Files.exists(path) else { return nil }
    let bytes = try Files.read(path, limit: memoryLimit)
    do throws(CoalitionError) {
      return try read(bytes, game, memoryLimit)
    } catch {
      throw error.at(path)
    }
  }

  private func read(
    _ bytes: [UInt8], _ game: any Game, _ memoryLimit: Int
  ) throws(CoalitionError) -> Saved {
    let lines = bytes.prefix(200).split(
      separator: 0x0A, maxSplits: 2, omittingEmptySubsequences: false)
    guard lines.count == 3, String(decoding: lines[0], as: UTF8.self) == Self.format else {
      throw CoalitionError(
        .invalidData, "not a checkpoint of this program", expected: Self.format)
    }
    let contents = Array(bytes[lines[2].startIndex...])
    guard String(decoding: lines[1], as: UTF8.self) == SHA256.hexadecimal(contents) else {
      throw CoalitionError(
        .invalidData,
        "the checkpoint is damaged: its checksum is wrong; without it the run begins anew"
      )
    }
    let file = try ResultFile(npz: contents, limit: memoryLimit)
    try checkIdentity(file.metadata)
    var arrays: [String: Tensor] = [:]
    for (name, contents) in file.arrays {
      if case .tensor(let tensor) = contents { arrays[name] = tensor }
    }
    let state = try ShapleyState(
      arrays, targets: game.targetCount, players: game.playerCount)
    var seconds = 0.0
    var resumes = 0
    switch file.metadata["seconds"] {
    case .number(let number)?: seconds = number
    case .integer(let number)?: seconds = Double(number)
    default: break
    }
    if case .integer(let number)? = file.metadata["resumes"] { resumes = number }
    return Saved(state: state, seconds: seconds, resumes: resumes)
  }

  private func checkIdentity(_ found: JSONValue) throws(CoalitionError) {
    for member in identity {
      guard let difference = JSONDifference(member.name, member.value, found[member.name]) else {
        continue
      }
      throw CoalitionError(
        .invalidData,
        "the checkpoint is of another run: \(difference.place) differs; another --checkpoint or the same command",
        expected: difference.first, found: difference.second)
    }
  }
}

/// The first place where two values differ, for messages.
struct JSONDifference {
  /// The names of the members that lead there.
  let place: String
  let first: String
  let second: String

  /// nil when there is none.
  init?(_ place: String, _ first: JSONValue, _ second: JSONValue?) {
    if first == second { return nil }
    if case .object(let members) = first, case .object(let others)? = second {
      for member in members {
        if let inner = JSONDifference(member.name, member.value, second?[member.name]) {
          self = inner
          return
        }
      }
      let added = others.first { other in !members.contains { $0.name == other.name } }
      (self.place, self.first) = (place, "nothing")
      self.second = added?.name ?? "the same in another order"
      return
    }
    self.place = place
    self.first = Self.text(first)
    self.second = second.map(Self.text) ?? "nothing"
  }

  private static func text(_ value: JSONValue) -> String {
    String(decoding: value.utf8, as: UTF8.self)
  }
}
