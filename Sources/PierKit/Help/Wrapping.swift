// Text for a terminal, on lines of so many columns. A line may end at a space, and beside a wide character: but not before
// a mark that closes, nor behind one that opens.

/// The text with its lines broken, and each of them indented.
func wrapped(_ text: String, to columns: Int, indent: Int = 0) -> String {
    let room = max(1, columns - indent)
    let paragraphs = text.split(separator: "\n", omittingEmptySubsequences: false)
    var lines: [String] = []
    for (index, paragraph) in paragraphs.enumerated() {
        let isLast = index == paragraphs.count - 1
        let pieces = pieces(of: paragraph)
        var line = ""
        for (number, piece) in pieces.enumerated() {
            // What follows a line needs a column too; nothing follows the end.
            let most = isLast && number == pieces.count - 1 ? room : room - 1
            if !line.isEmpty, line.columns + (piece.hasSpace ? 1 : 0) + piece.text.columns > most {
                lines.append(line)
                line = piece.text
            } else {
                line += (piece.hasSpace && !line.isEmpty ? " " : "") + piece.text
            }
        }
        lines.append(line)
    }
    return lines.map { $0.isEmpty ? "" : String(repeating: " ", count: indent) + $0 }.joined(separator: "\n")
}

/// What is never broken, and whether a space stands before it.
private func pieces(of paragraph: Substring) -> [(text: String, hasSpace: Bool)] {
    var pieces: [(text: String, hasSpace: Bool)] = []
    var (mayBreak, mustNotBreak, hasSpace) = (true, false, false)
    for character in paragraph {
        if character == " " {
            (mayBreak, mustNotBreak, hasSpace) = (true, false, true)
            continue
        }
        let joins = mustNotBreak || closing.contains(character) && !hasSpace
        if !pieces.isEmpty, joins || !(mayBreak || character.isWide) {
            pieces[pieces.count - 1].text.append(character)
        } else {
            pieces.append((String(character), hasSpace))
        }
        mustNotBreak = opening.contains(character)
        mayBreak = character.isWide
        hasSpace = false
    }
    return pieces
}

private let closing: Set<Character> = ["，", "。", "；", "：", "、", "？", "！", "）", "”", "》", ")", ",", ".", ";", ":", "?"]
private let opening: Set<Character> = ["（", "“", "《", "("]

extension StringProtocol {
    /// How many columns of a terminal it takes.
    var columns: Int { reduce(0) { $0 + ($1.isWide ? 2 : 1) } }
}

extension Character {
    /// Whether it takes two columns: Chinese, Japanese and Korean letters and their full-width marks.
    fileprivate var isWide: Bool {
        switch unicodeScalars.first?.value ?? 0 {
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
            0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1faff, 0x20000...0x3fffd:
            true
        default: false
        }
    }
}
