// Where the buffers of a program lie in the arena.
//
// Buffers share memory when their lifetimes (first write to last read) do not meet. An output takes the place of an
// input that the step may overwrite and that nobody reads later.

struct ArenaPlan: Sendable {
  /// Per buffer: its first position.
  private(set) var starts: [Int]
  /// Positions of the whole arena.
  private(set) var size = 0

  /// Starts are multiples of this many positions, so that the narrow form is aligned too.
  private static let alignment = 16

  init(_ draft: Draft) {
    let none = Int.max
    var first = [Int](repeating: none, count: draft.buffers.count)
    var last = [Int](repeating: -1, count: draft.buffers.count)
    for (index, step) in draft.steps.enumerated() {
      for operand in step.reads + step.allWrites {
        guard let buffer = operand.buffer else { continue }
        first[buffer] = min(first[buffer], index)
        last[buffer] = max(last[buffer], index)
      }
    }

    // Outputs that overwrite an input belong to that input's buffer.
    var root = Array(draft.buffers.indices)
    for (index, step) in draft.steps.enumerated() {
      for (target, source) in step.replacements {
        guard let output = target.buffer, let input = source.buffer else { continue }
        let kept = root[input]
        let fits =
          target.offset == 0 && source.offset == 0 && draft.buffers[output] == draft.buffers[input]
          && draft.buffers[kept] == draft.buffers[input]
        if fits && kept != output && last[kept] == index && first[output] == index {
          root[output] = kept
          last[kept] = last[output]
        }
      }
    }

    starts = [Int](repeating: 0, count: draft.buffers.count)
    func places(_ buffer: Int) -> Bool { root[buffer] == buffer && last[buffer] >= 0 }
    let scoped = draft.scopes.map { $0.filter(places) }
    let inScope = Set(scoped.joined())
    place(
      draft.buffers.indices.filter { places($0) && !inScope.contains($0) }, from: 0, draft, first,
      last)
    // Parts of the program run one after the other: they share what lies behind the common buffers.
    let common = size
    for buffers in scoped { place(buffers, from: common, draft, first, last) }
    for buffer in draft.buffers.indices { starts[buffer] = starts[root[buffer]] }
  }

  /// Gives places from `origin` on, the largest buffers first.
  private mutating func place(
    _ buffers: [Int], from origin: Int, _ draft: Draft, _ first: [Int], _ last: [Int]
  ) {
    var placed: [(start: Int, end: Int, buffer: Int)] = []
    for buffer in buffers.sorted(by: { (draft.buffers[$0], $1) > (draft.buffers[$1], $0) }) {
      let size = (draft.buffers[buffer] + Self.alignment - 1) / Self.alignment * Self.alignment
      var start = origin
      // `placed` is sorted by start: the first gap that is wide enough among those alive at the same time.
      for other in placed
      where first[other.buffer] <= last[buffer] && first[buffer] <= last[other.buffer] {
        if other.start >= start + size { break }
        start = max(start, other.end)
      }
      let index = placed.firstIndex { $0.start > start } ?? placed.count
      placed.insert((start, start + size, buffer), at: index)
      starts[buffer] = start
      self.size = max(self.size, start + size)
    }
  }
}
