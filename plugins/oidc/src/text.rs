//! What strangers write, made fit for a log.

/// At most 200 printable ASCII characters of it: no control character reaches a terminal, no line
/// break makes up a log line.
pub(crate) fn sanitised(text: &str) -> String {
    let printable = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    text.chars().take(200).map(printable).collect()
}
