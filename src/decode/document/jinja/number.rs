// SPDX-License-Identifier: Apache-2.0
//! Numbers as Python writes them: with a fraction, an exponent, and their digits in groups.

/// How a number with a fraction is written.
pub struct Float {
    /// One of `e`, `E`, `f`, `F`, `g`, `G`, `%`, and `r`: as few digits as tell it from others.
    pub kind: char,
    /// Digits behind the point, or of the whole number where the kind is `g` or `r`.
    pub precision: Option<usize>,
    /// The point stays where nothing is behind it, and zeros stay behind it.
    pub alternate: bool,
}

impl Float {
    /// The digits before the point, and the rest. A sign is not written.
    pub fn of(&self, number: f64) -> (String, String) {
        let percent = self.kind == '%';
        let amount = number.abs() * if percent { 100.0 } else { 1.0 };
        let precision = self.precision.unwrap_or(6);
        let mut text = match self.kind.to_ascii_lowercase() {
            _ if amount.is_nan() => "nan".to_owned(),
            _ if amount.is_infinite() => "inf".to_owned(),
            'f' | '%' => self.pointed(format!("{amount:.precision$}"), ""),
            'e' => self.scientific(&format!("{amount:.precision$e}"), true),
            'r' if self.precision.is_none() => self.scientific(&format!("{amount:?}"), true),
            kind => self.general(amount, precision.max(1), kind == 'r'),
        };
        if self.kind.is_ascii_uppercase() {
            text.make_ascii_uppercase();
        }
        text.push_str(if percent { "%" } else { "" });
        let rest = text.split_off(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        (text, rest)
    }

    /// So many digits, with an exponent where there are more or less of them before the point.
    fn general(&self, amount: f64, digits: usize, fraction: bool) -> String {
        let text = format!("{amount:.0$e}", digits - 1);
        let exponent = text.split_once('e').and_then(|(_, e)| e.parse::<i64>().ok()).unwrap_or(0);
        let most = digits as i64 - i64::from(fraction);
        if exponent < -4 || exponent >= most {
            return self.scientific(&text, self.alternate);
        }
        let behind = (digits as i64 - 1 - exponent) as usize;
        let text = self.short(&format!("{amount:.behind$}"));
        if fraction && !text.contains('.') { text + ".0" } else { self.pointed(text, "") }
    }

    /// Rust's `1e5` as Python's `1e+05`; `whole` keeps zeros at its digits' end.
    fn scientific(&self, text: &str, whole: bool) -> String {
        let Some((digits, exponent)) = text.split_once('e') else { return text.to_owned() };
        let digits = if whole { digits.to_owned() } else { self.short(digits) };
        self.pointed(digits, &format!("e{:+03}", exponent.parse::<i64>().unwrap_or(0)))
    }

    fn short(&self, digits: &str) -> String {
        let short = !self.alternate && digits.contains('.');
        if short { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits.to_owned() }
    }

    fn pointed(&self, digits: String, exponent: &str) -> String {
        let point = if self.alternate && !digits.contains('.') { "." } else { "" };
        digits + point + exponent
    }
}

/// Digits in groups, with zeros before them until the text has `least` characters. No group is empty.
pub fn grouped(digits: &str, with: char, each: usize, least: usize) -> String {
    let (mut out, mut digits, mut count) = (Vec::new(), digits.chars().rev().peekable(), 0);
    while digits.peek().is_some() || out.len() < least {
        if count == each {
            out.push(with);
            count = 0;
        }
        out.push(digits.next().unwrap_or('0'));
        count += 1;
    }
    out.into_iter().rev().collect()
}
