// A block of a deflate stream with Huffman codes of its own (RFC 1951, 3.2.7).

struct HuffmanBlock {
  /// A symbol with the extra bits behind it.
  private struct Entry {
    let symbol: Int
    let extra: Int
    let extraBits: Int
  }

  private static let capacity = 1 << 15
  private static let endSymbol = 256

  private var tokens: [DeflateToken] = []

  var isFull: Bool { tokens.count >= Self.capacity }

  mutating func append(_ token: DeflateToken) { tokens.append(token) }

  /// Writes the block and begins another one.
  mutating func flush(to out: inout BitWriter, isLast: Bool) {
    var literals = [Int](repeating: 0, count: 286)
    var distances = [Int](repeating: 0, count: 30)
    literals[Self.endSymbol] = 1
    for token in tokens {
      switch token {
      case .literal(let byte): literals[Int(byte)] += 1
      case .match(let length, let distance):
        literals[Self.entry(length: length).symbol] += 1
        distances[Self.entry(distance: distance).symbol] += 1
      }
    }
    let literalCode = HuffmanCode(literals, longest: 15)
    let distanceCode = HuffmanCode(distances, longest: 15)
    out.write(isLast ? 1 : 0, bits: 1)
    out.write(2, bits: 2)
    Self.write(literalCode.lengths, distanceCode.lengths, to: &out)
    for token in tokens {
      switch token {
      case .literal(let byte): literalCode.write(Int(byte), to: &out)
      case .match(let length, let distance):
        for (entry, code) in [
          (Self.entry(length: length), literalCode), (Self.entry(distance: distance), distanceCode),
        ] {
          code.write(entry.symbol, to: &out)
          out.write(entry.extra, bits: entry.extraBits)
        }
      }
    }
    literalCode.write(Self.endSymbol, to: &out)
    tokens.removeAll(keepingCapacity: true)
  }

  // MARK: Symbols

  private static func entry(length: Int) -> Entry {
    // 258 has a symbol of its own; other lengths from 11 on share symbols, four to each number of extra bits.
    length == 258
      ? Entry(symbol: 285, extra: 0, extraBits: 0)
      : shared(length - 3, first: 257, symbolsPerStep: 4)
  }

  private static func entry(distance: Int) -> Entry {
    shared(distance - 1, first: 0, symbolsPerStep: 2)
  }

  /// The symbol of a value from 0, and the extra bits that tell it from others with the same symbol: the first
  /// 2 x `symbolsPerStep` values have none, then each run of symbols has one bit more than the one before.
  private static func shared(_ value: Int, first: Int, symbolsPerStep: Int) -> Entry {
    var bits = 0
    while value >> bits >= 2 * symbolsPerStep { bits += 1 }
    return Entry(
      symbol: first + symbolsPerStep * bits + value >> bits, extra: value & ((1 << bits) - 1),
      extraBits: bits)
  }

  // MARK: Header

  /// The order in which lengths of the code for lengths are written.
  private static let headerOrder = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]

  /// The lengths of both codes, in a code of their own in which runs of zeros are one symbol.
  private static func write(
    _ literals: [Int], _ distances: [Int], to out: inout BitWriter
  ) {
    var entries: [Entry] = []
    let lengths = literals + distances
    var index = 0
    while index < lengths.count {
      var run = 1
      while lengths[index] == 0, index + run < lengths.count, lengths[index + run] == 0, run < 138 {
        run += 1
      }
      switch run {
      case 11...: entries.append(Entry(symbol: 18, extra: run - 11, extraBits: 7))
      case 3...: entries.append(Entry(symbol: 17, extra: run - 3, extraBits: 3))
      default:
        run = 1
        entries.append(Entry(symbol: lengths[index], extra: 0, extraBits: 0))
      }
      index += run
    }
    var counts = [Int](repeating: 0, count: 19)
    for entry in entries { counts[entry.symbol] += 1 }
    let code = HuffmanCode(counts, longest: 7)
    out.write(literals.count - 257, bits: 5)
    out.write(distances.count - 1, bits: 5)
    out.write(headerOrder.count - 4, bits: 4)
    for symbol in headerOrder { out.write(code.lengths[symbol], bits: 3) }
    for entry in entries {
      code.write(entry.symbol, to: &out)
      out.write(entry.extra, bits: entry.extraBits)
    }
  }
}

/// A canonical prefix code: frequent symbols have short ones.
struct HuffmanCode {
  /// 0 for symbols that do not occur.
  let lengths: [Int]
  /// With the first bit lowest, as the stream wants them.
  private let codes: [Int]

  /// - Parameter longest: no code is longer.
  init(_ frequencies: [Int], longest: Int) {
    var frequencies = frequencies
    // A code of one symbol would be incomplete, which not all readers take.
    for symbol in frequencies.indices where frequencies.count(where: { $0 > 0 }) < 2 {
      frequencies[symbol] = max(1, frequencies[symbol])
    }
    var lengths = Self.lengths(frequencies)
    while lengths.contains(where: { $0 > longest }) {
      // Flatter, until the tree is.
      frequencies = frequencies.map { $0 > 0 ? $0 / 2 + 1 : 0 }
      lengths = Self.lengths(frequencies)
    }
    self.lengths = lengths
    var codes = [Int](repeating: 0, count: lengths.count)
    var next = 0
    for length in 1...longest {
      next <<= 1
      for symbol in lengths.indices where lengths[symbol] == length {
        codes[symbol] = (0..<length).reduce(0) { $0 << 1 | next >> $1 & 1 }
        next += 1
      }
    }
    self.codes = codes
  }

  func write(_ symbol: Int, to out: inout BitWriter) {
    out.write(codes[symbol], bits: lengths[symbol])
  }

  /// The depths of Huffman's tree: the two lightest nodes become one until there is one.
  private static func lengths(_ frequencies: [Int]) -> [Int] {
    let symbols = frequencies.indices.filter { frequencies[$0] > 0 }
      .sorted { (frequencies[$0], $0) < (frequencies[$1], $1) }
    var weights = symbols.map { frequencies[$0] }
    var parents = [Int](repeating: 0, count: symbols.count)
    // Leaves and joined nodes are both in order of weight: the lightest is the first of one of them.
    var (leaf, joined) = (0, symbols.count)
    while weights.count < 2 * symbols.count - 1 {
      var weight = 0
      for _ in 0..<2 {
        let takesLeaf =
          leaf < symbols.count && (joined >= weights.count || weights[leaf] <= weights[joined])
        let node = takesLeaf ? leaf : joined
        (leaf, joined) = takesLeaf ? (leaf + 1, joined) : (leaf, joined + 1)
        weight += weights[node]
        parents[node] = weights.count
      }
      weights.append(weight)
      parents.append(0)
    }
    var depths = [Int](repeating: 0, count: weights.count)
    for node in weights.indices.dropLast().reversed() { depths[node] = depths[parents[node]] + 1 }
    var lengths = [Int](repeating: 0, count: frequencies.count)
    for (index, symbol) in symbols.enumerated() { lengths[symbol] = depths[index] }
    return lengths
  }
}
