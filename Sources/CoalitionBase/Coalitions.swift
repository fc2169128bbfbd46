// Coalitions: sets of players, one bit per player.
//
// Rows of 32-bit words, player i in bit i % 32 of word i / 32: the form that the engine reads (csrc/ops/mask.c). Bits
// past the last player are 0, so that equal coalitions are equal words.

/// A list of coalitions of the players 0 ..< playerCount.
public struct Coalitions: Sendable, Hashable {
  public let playerCount: Int
  /// Words of one coalition.
  public let wordCount: Int
  public internal(set) var count: Int
  /// count x wordCount words, row by row.
  public internal(set) var words: [UInt32]

  static let wordBits = 32

  /// - Parameters:
  ///   - playerCount: at least 1.
  ///   - count: coalitions to begin with, all empty.
  public init(playerCount: Int, count: Int = 0) {
    self.playerCount = playerCount
    wordCount = (playerCount + Self.wordBits - 1) / Self.wordBits
    self.count = count
    words = [UInt32](repeating: 0, count: count * wordCount)
  }

  /// Whether coalition `row` holds `player`.
  public subscript(row: Int, player: Int) -> Bool {
    get {
      words[row * wordCount + player / Self.wordBits] >> UInt32(player % Self.wordBits) & 1 == 1
    }
    set {
      let bit = UInt32(1) << UInt32(player % Self.wordBits)
      let word = row * wordCount + player / Self.wordBits
      if newValue { words[word] |= bit } else { words[word] &= ~bit }
    }
  }

  /// The players of a coalition, in order.
  public func players(of row: Int) -> [Int] {
    var players: [Int] = []
    for word in 0..<wordCount {
      var rest = words[row * wordCount + word]
      while rest != 0 {
        players.append(word * Self.wordBits + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
    return players
  }

  /// The number of players in a coalition.
  public func size(of row: Int) -> Int {
    words[row * wordCount..<(row + 1) * wordCount].reduce(0) { $0 + $1.nonzeroBitCount }
  }

  // MARK: Adding

  /// Adds a coalition without players and returns its row.
  @discardableResult
  public mutating func appendEmpty() -> Int {
    words.append(contentsOf: repeatElement(0, count: wordCount))
    count += 1
    return count - 1
  }

  /// Adds the coalition of all players and returns its row.
  @discardableResult
  public mutating func appendFull() -> Int {
    let row = appendEmpty()
    complement(row)
    return row
  }

  /// Adds a coalition and returns its row.
  @discardableResult
  public mutating func append(_ players: some Sequence<Int>) -> Int {
    let row = appendEmpty()
    for player in players { self[row, player] = true }
    return row
  }

  /// Adds rows of another list of the same players.
  public mutating func append(_ other: Coalitions, rows: Range<Int>) {
    words += other.words[rows.lowerBound * wordCount..<rows.upperBound * wordCount]
    count += rows.count
  }

  /// Adds a coalition of `size` players, each such coalition equally likely, and returns its row.
  ///
  /// Floyd's algorithm: a random number per player of the smaller of the coalition and its complement.
  @discardableResult
  public mutating func appendRandom(size: Int, using random: inout CounterRandom) -> Int {
    let row = appendEmpty()
    let isLarge = size > playerCount / 2
    let drawn = isLarge ? playerCount - size : size
    for last in playerCount - drawn..<playerCount {
      let player = random.below(last + 1)
      self[row, self[row, player] ? last : player] = true
    }
    if isLarge { complement(row) }
    return row
  }

  /// Puts every coalition's absent players in place of its present ones.
  public func complemented() -> Coalitions {
    var copy = self
    for row in 0..<count { copy.complement(row) }
    return copy
  }

  mutating func complement(_ row: Int) {
    let start = row * wordCount
    for word in start..<start + wordCount { words[word] = ~words[word] }
    clearUnused(row)
  }

  /// Clears the bits past the last player.
  mutating func clearUnused(_ row: Int) {
    let used = playerCount % Self.wordBits
    if used != 0 { words[(row + 1) * wordCount - 1] &= (1 << UInt32(used)) - 1 }
  }
}
