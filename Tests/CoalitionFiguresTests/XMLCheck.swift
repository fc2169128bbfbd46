// A small check of XML for tests: one root, tags that nest, attributes quoted once, entities that exist, and
// characters that XML allows. It knows nothing of the writer.

struct XMLCheck {
  struct Element: Equatable {
    let name: String
    let attributes: [String: String]
    var text = ""
  }

  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  /// In the order of their start tags.
  private(set) var elements: [Element] = []
  private var rest: Substring

  init(_ document: String) throws {
    rest = document[...]
    var open: [Int] = []
    if rest.hasPrefix("<?xml ") { _ = try take(until: "?>") }
    for scalar in document.unicodeScalars {
      guard scalar.value >= 0x20 || [0x09, 0x0A, 0x0D].contains(scalar.value),
        scalar.value != 0xFFFE, scalar.value != 0xFFFF
      else { throw Problem(description: "character \(scalar.value)") }
    }
    while let first = rest.first {
      if first != "<" {
        let end = rest.firstIndex(of: "<") ?? rest.endIndex
        let text = try Self.decoded(String(rest[..<end]))
        rest = rest[end...]
        if let parent = open.last {
          elements[parent].text += text
        } else if !text.allSatisfy(\.isWhitespace) {
          throw Problem(description: "text outside of the root: \(text)")
        }
        continue
      }
      if open.isEmpty, !elements.isEmpty {
        throw Problem(description: "a second root: \(rest.prefix(40))")
      }
      if rest.hasPrefix("</") {
        rest = rest.dropFirst(2)
        let name = try take(until: ">")
        guard let last = open.popLast(), elements[last].name == name else {
          throw Problem(description: "</\(name)> closes nothing")
        }
        if open.isEmpty {
          guard rest.allSatisfy(\.isWhitespace) else {
            throw Problem(description: "something behind the root")
          }
        }
        continue
      }
      if try startTag() { open.append(elements.count - 1) }
    }
    guard open.isEmpty, !elements.isEmpty else { throw Problem(description: "the root stays open") }
  }

  func all(_ name: String) -> [Element] { elements.filter { $0.name == name } }

  private mutating func take(until end: String) throws -> String {
    guard let range = rest.firstRange(of: end) else {
      throw Problem(description: "no \(end) behind \(rest.prefix(40))")
    }
    let text = String(rest[..<range.lowerBound])
    rest = rest[range.upperBound...]
    return text
  }

  /// - Returns: whether the element has content.
  private mutating func startTag() throws -> Bool {
    rest = rest.dropFirst()
    let name = String(rest.prefix { $0.isLetter || $0.isNumber || $0 == ":" })
    guard !name.isEmpty else { throw Problem(description: "no name: \(rest.prefix(40))") }
    rest = rest.dropFirst(name.count)
    var attributes: [String: String] = [:]
    while true {
      let blanks = rest.prefix(while: \.isWhitespace)
      rest = rest[blanks.endIndex...]
      if rest.hasPrefix("/>") {
        rest = rest.dropFirst(2)
        elements.append(Element(name: name, attributes: attributes))
        return false
      }
      if rest.hasPrefix(">") {
        rest = rest.dropFirst()
        elements.append(Element(name: name, attributes: attributes))
        return true
      }
      guard !blanks.isEmpty else { throw Problem(description: "no blank in <\(name)") }
      let key = try take(until: "=\"")
      let value = try take(until: "\"")
      guard key.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" || $0 == ":" }),
        !key.isEmpty, !value.contains("<"),
        attributes.updateValue(try Self.decoded(value), forKey: key) == nil
      else { throw Problem(description: "attribute \(key) of <\(name)") }
    }
  }

  private static func decoded(_ text: String) throws -> String {
    var parts = text.split(separator: "&", omittingEmptySubsequences: false)
    var result = String(parts.removeFirst())
    let entities = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "#39": "'"]
    for part in parts {
      guard let end = part.firstIndex(of: ";"), let character = entities[String(part[..<end])]
      else { throw Problem(description: "entity &\(part.prefix(12))") }
      result += character + part[part.index(after: end)...]
    }
    return result
  }
}
