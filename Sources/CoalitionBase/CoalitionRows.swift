// Many coalitions at a time, as estimators draw them: a word at a time where a player at a time would be slow.

extension Coalitions {
  /// Adds coalitions of at most 32 players, whose words are numbers that follow each other. Bits past the last player
  /// are 0.
  package mutating func append(words added: Range<UInt32>) {
    precondition(wordCount == 1)
    words.append(contentsOf: added)
    count += added.count
  }

  /// Adds the coalitions that grow along an order of all players: its first player, its first two, and so on, without
  /// that of all players.
  package mutating func appendPrefixes(of order: ArraySlice<Int>) {
    words.reserveCapacity(words.count + order.count * wordCount)
    var grown = [UInt32](repeating: 0, count: wordCount)
    for player in order.dropLast() {
      grown[player / Self.wordBits] |= 1 << UInt32(player % Self.wordBits)
      words.append(contentsOf: grown)
    }
    count += order.count - 1
  }

  /// Adds `windows` coalitions of `size` players that follow each other on a circle of all players. Window k begins
  /// at place floor(k P / windows), so as many windows as players hold every player exactly `size` times.
  package mutating func appendWindows(of circle: [Int], size: Int, windows: Int) {
    words.reserveCapacity(words.count + windows * wordCount)
    var members = [UInt32](repeating: 0, count: wordCount)
    for player in circle.prefix(size) {
      members[player / Self.wordBits] |= 1 << UInt32(player % Self.wordBits)
    }
    var start = 0
    for window in 0..<windows {
      while start < window * circle.count / windows {
        let leaving = circle[start]
        members[leaving / Self.wordBits] &= ~(1 << UInt32(leaving % Self.wordBits))
        let end = start + size
        let joining = circle[end < circle.count ? end : end - circle.count]
        members[joining / Self.wordBits] |= 1 << UInt32(joining % Self.wordBits)
        start += 1
      }
      words.append(contentsOf: members)
    }
    count += windows
  }

  /// Adds the coalition of the players that coalition `row` lacks.
  package mutating func appendComplement(of row: Int) {
    for word in row * wordCount..<(row + 1) * wordCount { words.append(words[word]) }
    count += 1
    complement(count - 1)
  }

  /// Adds the coalition of the players whom an odd number of `rows` of another list hold.
  package mutating func appendSymmetricDifference(of other: Coalitions, rows: [Int]) {
    let row = appendEmpty()
    for source in rows {
      for word in 0..<wordCount {
        words[row * wordCount + word] ^= other.words[source * wordCount + word]
      }
    }
  }

  /// Adds a coalition that holds each player with `probability`, independently.
  package mutating func appendRandom(probability: Double, using random: inout CounterRandom) {
    var word: UInt32 = 0
    for player in 0..<playerCount {
      if random.uniform() < probability { word |= 1 << UInt32(player % Self.wordBits) }
      if player % Self.wordBits == Self.wordBits - 1 || player == playerCount - 1 {
        words.append(word)
        word = 0
      }
    }
    count += 1
  }

  /// Adds a coalition, every one equally likely.
  package mutating func appendRandom(using random: inout CounterRandom) {
    for _ in 0..<wordCount { words.append(UInt32(truncatingIfNeeded: random.next())) }
    count += 1
    clearUnused(count - 1)
  }

  /// Adds `number` to the elements of `list` whose players coalition `row` holds; the first element is player 0's.
  package func add(_ number: Double, toPlayersOf row: Int, in list: inout ArraySlice<Double>) {
    for word in 0..<wordCount {
      let base = list.startIndex + word * Self.wordBits
      var rest = words[row * wordCount + word]
      while rest != 0 {
        list[base + rest.trailingZeroBitCount] += number
        rest &= rest - 1
      }
    }
  }
}
