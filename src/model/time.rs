// SPDX-License-Identifier: Apache-2.0
//! Points in time, UTC, in the Gregorian calendar.

use std::fmt;

/// Seconds since 1970 began, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

const DAY: i64 = 86400;

impl Time {
    /// A date and a time of day; `None` where no such moment exists.
    pub fn new(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let fits = (0..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=last).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second);
        // Years begin in March: leap days then are the last of their year
        // (https://howardhinnant.github.io/date_algorithms.html#days_from_civil).
        let y = if month <= 2 { year - 1 } else { year };
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + of_year - 719_468;
        fits.then_some(Self(days * DAY + hour * 3600 + minute * 60 + second))
    }

    /// RFC 3339's `2026-11-22T18:00:00Z`, an offset from UTC included.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(i64::from);
        let mark = |at: usize, marks: &str| text.get(at..=at).is_some_and(|m| marks.contains(m));
        if !(mark(4, "-") && mark(7, "-") && mark(10, "Tt ") && mark(13, ":") && mark(16, ":")) {
            return None;
        }
        let time = Self::new(
            number(0, 4)?,
            number(5, 7)?,
            number(8, 10)?,
            number(11, 13)?,
            number(14, 16)?,
            number(17, 19)?,
        )?;
        let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let offset = match zone.get(..1)? {
            "Z" | "z" if zone.len() == 1 => 0,
            sign @ ("+" | "-") if zone.len() == 6 && zone.get(3..4) == Some(":") => {
                let minutes =
                    zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
                if sign == "+" { minutes * 60 } else { -minutes * 60 }
            }
            _ => return None,
        };
        Some(Self(time.0 - offset))
    }

    /// HTTP's `Sun, 06 Nov 1994 08:49:37 GMT` ([RFC 9110, section 5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)).
    pub fn parse_http(text: &str) -> Option<Self> {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let mut words = text.split_once(", ")?.1.split([' ', ':']);
        let number = |word: Option<&str>| word?.parse::<u16>().ok().map(i64::from);
        let day = number(words.next())?;
        let month = words.next().filter(|m| m.len() == 3).and_then(|m| MONTHS.find(m))? as i64 / 3 + 1;
        let rest = [(); 4].map(|()| number(words.next()));
        let ([Some(year), Some(hour), Some(minute), Some(second)], Some("GMT")) = (rest, words.next()) else {
            return None;
        };
        Self::new(year, month, day, hour, minute, second)
    }

    /// Whole days from another time to this one, rounded down.
    pub fn days_since(self, other: Self) -> i64 {
        (self.0 - other.0).div_euclid(DAY)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(DAY) + 719_468, self.0.rem_euclid(DAY));
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-22T18:00:00Z", 1_795_370_400),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ];
        for (text, seconds) in cases {
            assert_eq!(Time::parse(text), Some(Time(seconds)), "{text}");
            assert_eq!(Time(seconds).to_string(), text);
        }
        assert_eq!(Time::parse("2026-11-22T20:00:00.25+02:00"), Some(Time(1_795_370_400)));
        for bad in [
            "",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-11-22T18:00:00",
            "2026-11-22T18:00:00Zx",
            "2026-11-22T18:00:00+0200",
        ] {
            assert_eq!(Time::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn http_dates_are_read() {
        let read = |text: &str| Time::parse_http(text).map(|t| t.to_string());
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37Z"));
        for bad in ["", "Sun, 06 Nov 1994 08:49:37 UTC", "06 Nov 1994", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
