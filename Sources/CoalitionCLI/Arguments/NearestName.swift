// Suggestions for names that were mistyped.

/// What follows a sentence about a name that there is not: "; did you mean NEAREST?", or nothing.
/// - Parameters:
///   - prefix: of names as they are written, such as two dashes.
///   - fallback: where no name is near.
func suggestion(
  for name: String, in names: [String], prefix: String = "", otherwise fallback: String? = nil
) -> String {
  let advice =
    nearestName(to: name, in: names).map { "did you mean \(prefix)\($0)?" } ?? fallback
  return advice.map { "; \($0)" } ?? ""
}

/// The name that needs the fewest changes of a letter, if few enough to be meant.
private func nearestName(to name: String, in names: [String]) -> String? {
  let ranked = names.map { (changes: changes(from: name, to: $0), name: $0) }
  guard let best = ranked.min(by: { ($0.changes, $0.name) < ($1.changes, $1.name) }) else {
    return nil
  }
  if best.changes <= max(1, (name.count + 1) / 3) { return best.name }
  return names.filter { name.count >= 3 && $0.hasPrefix(name) }.min()
}

/// Levenshtein's distance: letters inserted, removed or replaced.
private func changes(from first: String, to second: String) -> Int {
  let target = Array(second)
  var row = Array(0...target.count)
  for (index, letter) in first.enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for column in target.indices {
      let replaced = diagonal + (letter == target[column] ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
    }
  }
  return row[target.count]
}
