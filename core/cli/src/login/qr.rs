//! A link as a QR code of block characters.

use qrcode::{QrCode, render::unicode::Dense1x2};

/// The code, dark on light also on a dark terminal; `None` when the link is too long for one.
pub(super) fn code(link: &str) -> Option<String> {
    let code = QrCode::new(link).ok()?;
    // A terminal writes light on dark.
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Some(drawn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn a_link_is_drawn_in_blocks() {
        let drawn =
            super::code("https://auth.example.com/oauth/device?user_code=ABCD-EFGH").unwrap();
        assert!(drawn.chars().all(|c| " ▀▄█\n".contains(c)), "{drawn}");
        assert!(drawn.lines().count() > 10);
    }
}
