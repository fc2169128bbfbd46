// Help texts, made from the declarations.

extension Command {
  private static let width = 96

  /// The text of `coalition --help`.
  static var overview: String {
    var text = """
      coalition: runs, explains and shrinks neural networks in ONNX files.

      Usage: coalition VERB MODEL.onnx [options]


      """
    text += "Verbs:\n"
    text += columns(all.map { ($0.name, $0.summary) })
    text += """

      coalition VERB --help explains a verb and gives an example; coalition --version prints the version.
      Exit codes: 0 done, 64 wrong usage, 65 bad data or model, 66 input unreadable, 69 limit exceeded or
      outside program unavailable, 70 internal fault, 73 output cannot be created, 74 writing failed,
      75 interrupted with a checkpoint, 130 and 143 without one.

      """
    return text
  }

  /// The text of `coalition VERB --help`.
  var help: String {
    var text = "coalition \(name): \(summary)\n\nUsage: coalition \(name)"
    for positional in positionals {
      let name = positional.isOptional ? "[\(positional.name)]" : positional.name
      text += " \(name)" + (positional.isRepeatable ? " ..." : "")
    }
    text += " [options]\n"
    if !positionals.isEmpty {
      text += "\nArguments:\n" + Self.columns(positionals.map { ($0.name, $0.explanation) })
    }
    for group in groups {
      text += "\n\(group.title):\n" + Self.columns(group.options.map { ($0.form, $0.description) })
    }
    text += "\nOther:\n" + Self.columns([("-h, --help", "prints this text")])
    if !notes.isEmpty {
      text += "\n" + notes.map { Self.wrapped($0, indent: 0) + "\n" }.joined()
    }
    text += "\nExamples:\n" + examples.map { "  \($0)\n" }.joined()
    return text
  }

  /// Two columns, the second wrapped. A long first one stands on a line of its own.
  private static func columns(_ rows: [(String, String)]) -> String {
    let indent = min(rows.map(\.0.count).max() ?? 0, 28) + 4
    return rows.map { name, explanation in
      let first = "  " + name
      let gap =
        first.count + 2 <= indent
        ? String(repeating: " ", count: indent - first.count)
        : "\n" + String(repeating: " ", count: indent)
      return first + gap + wrapped(explanation, indent: indent) + "\n"
    }.joined()
  }

  /// Lines that end before the margin; all but the first begin with `indent` spaces.
  private static func wrapped(_ text: String, indent: Int) -> String {
    var lines = [""]
    for word in text.split(separator: " ") {
      let last = lines[lines.count - 1]
      if last.isEmpty {
        lines[lines.count - 1] = String(word)
      } else if last.count + 1 + word.count <= width - indent {
        lines[lines.count - 1] += " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines.joined(separator: "\n" + String(repeating: " ", count: indent))
  }
}

extension OptionDeclaration {
  fileprivate var form: String { "--\(name)" + (placeholder.map { " \($0)" } ?? "") }

  fileprivate var description: String {
    explanation + (fallback.map { " (default: \($0))" } ?? "")
  }
}
