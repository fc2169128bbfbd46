// Coalitions as changes of each other.

import CoalitionBase

/// How coalitions follow from one another: units that join or leave, from the coalition before or from nobody, whichever is
/// nearer. The same for all examples.
struct CoalitionWalk {
  /// Per coalition, whether it is made from nobody.
  private(set) var beginsAnew: [Bool] = []
  /// Units that join; as ~unit, units that leave.
  private(set) var changes: [Int32] = []
  /// Per coalition the end of its changes.
  private(set) var ends: [Int] = []

  init(_ coalitions: Coalitions, _ range: Range<Int>) {
    let count = coalitions.wordCount
    var before = [UInt32](repeating: 0, count: count)
    for (place, row) in range.enumerated() {
      let start = row * count
      var (changed, size) = (0, 0)
      for word in 0..<count {
        let own = coalitions.words[start + word]
        changed += (own ^ before[word]).nonzeroBitCount
        size += own.nonzeroBitCount
      }
      let isNew = place == 0 || changed > size
      beginsAnew.append(isNew)
      for word in 0..<count {
        let own = coalitions.words[start + word]
        var bits = isNew ? own : own ^ before[word]
        while bits != 0 {
          let bit = bits.trailingZeroBitCount
          bits &= bits - 1
          let unit = Int32(word * 32 + bit)
          changes.append(own >> UInt32(bit) & 1 == 1 ? unit : ~unit)
        }
        before[word] = own
      }
      ends.append(changes.count)
    }
  }
}
