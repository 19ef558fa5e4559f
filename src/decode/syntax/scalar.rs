// SPDX-License-Identifier: Apache-2.0
//! What YAML 1.1 makes of a plain scalar, by PyYAML's implicit resolvers.

use super::node::Kind;

/// A plain scalar's type by PyYAML's implicit resolvers.
pub fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    int(text).map(Kind::Int).or_else(|| float(text).map(Kind::Float)).unwrap_or(Kind::Str)
}

/// Splits a sign off: -1 or 1, and the rest.
fn signed(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

/// PyYAML's integers: `[-+]?` then `0b…`, `0` and octal digits, decimal, `0x…`, or base 60; `_` anywhere in the digits.
/// A number beyond 64 bits is text: nothing here can mean it.
fn int(text: &str) -> Option<i64> {
    let (sign, body) = signed(text);
    if !body.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let radix = |digits: &str, radix: u32| {
        let ok = !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        ok.then(|| i64::from_str_radix(&digits.replace('_', ""), radix).ok())?
    };
    let magnitude = if body == "0" {
        Some(0)
    } else if let Some(digits) = body.strip_prefix("0b") {
        radix(digits, 2)
    } else if let Some(digits) = body.strip_prefix("0x") {
        radix(digits, 16)
    } else if let Some(digits) = body.strip_prefix('0') {
        radix(digits, 8)
    } else if body.contains(':') {
        sexagesimal(body)
    } else {
        radix(body, 10)
    };
    magnitude.map(|m| sign * m)
}

/// `[1-9][0-9_]*(:[0-5]?[0-9])+`, base 60.
fn sexagesimal(body: &str) -> Option<i64> {
    let mut parts = body.split(':');
    let first = parts.next().filter(|p| p.chars().all(|c| c == '_' || c.is_ascii_digit()))?;
    let mut value: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let digits = (part.len() == 1 || part.len() == 2) && part.bytes().all(|b| b.is_ascii_digit());
        let part: i64 = digits.then(|| part.parse().ok())??;
        value = value.checked_mul(60)?.checked_add((part < 60).then_some(part)?)?;
    }
    Some(value)
}

/// PyYAML's floats: a point is needed, an exponent needs its sign, base 60 may end in a fraction.
fn float(text: &str) -> Option<f64> {
    let (sign, body) = signed(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Some(sign as f64 * f64::INFINITY);
    }
    let (whole, rest) = body.split_once('.')?;
    let digits = |s: &str| s.chars().all(|c| c == '_' || c.is_ascii_digit());
    if whole.contains(':') {
        // Base 60 with a fraction: `190:20:30.15`.
        let whole = sexagesimal(whole)? as f64;
        let fraction: f64 = format!("0.{}0", digits(rest).then(|| rest.replace('_', ""))?).parse().ok()?;
        return Some(sign as f64 * (whole + fraction));
    }
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(i) => (&rest[..i], Some(&rest[i + 1..])),
        None => (rest, None),
    };
    let exponent_ok = exponent.is_none_or(|e| {
        e.strip_prefix(['-', '+']).is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    });
    // `.5` takes no sign in PyYAML, and needs a digit after the point.
    let whole_ok = if whole.is_empty() {
        text.starts_with('.') && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit()) && digits(whole)
    };
    if !(whole_ok && digits(fraction) && exponent_ok) {
        return None;
    }
    body.replace('_', "").parse::<f64>().ok().map(|f| sign as f64 * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was read by PyYAML 6's `safe_load` and gave the value beside it.
    #[test]
    fn plain_scalars_mean_what_pyyaml_says() {
        let cases: &[(&str, Kind)] = &[
            ("0644", Kind::Int(420)),
            ("644", Kind::Int(644)),
            ("'0644'", Kind::Str),
            ("0o644", Kind::Str),
            ("07", Kind::Int(7)),
            ("08", Kind::Str),
            ("0c", Kind::Str),
            ("8e", Kind::Str),
            ("0x1F", Kind::Int(31)),
            ("0b101", Kind::Int(5)),
            ("-12", Kind::Int(-12)),
            ("+12", Kind::Int(12)),
            ("1_000", Kind::Int(1000)),
            ("12:30:45", Kind::Int(45045)),
            ("52:54:00:12:34:56", Kind::Int(41_135_085_296)),
            ("00:50:56:aa:bb:03", Kind::Str),
            ("1e3", Kind::Str),
            ("1.0e+3", Kind::Float(1000.0)),
            ("1.5", Kind::Float(1.5)),
            ("190:20:30.15", Kind::Float(685_230.15)),
            (".5", Kind::Float(0.5)),
            ("-.5", Kind::Str),
            ("1.", Kind::Float(1.0)),
            ("1.2.3", Kind::Str),
            (".inf", Kind::Float(f64::INFINITY)),
            ("-.inf", Kind::Float(f64::NEG_INFINITY)),
            ("yes", Kind::Bool(true)),
            ("Off", Kind::Bool(false)),
            ("y", Kind::Str),
            ("n", Kind::Str),
            ("~", Kind::Null),
            ("", Kind::Null),
            ("null", Kind::Null),
            ("2020-01-01", Kind::Str),
            ("!!str 12", Kind::Str),
            ("!!binary aGk=", Kind::Bytes(b"hi".to_vec())),
        ];
        for (text, want) in cases {
            assert_eq!(
                &super::super::yaml::parse(&format!("k: {text}\n"))
                    .unwrap()
                    .get("k")
                    .unwrap()
                    .scalar()
                    .unwrap()
                    .kind,
                want,
                "{text}"
            );
        }
    }
}
