//! A moment as people write it: UTC, in the calendar of their language; and as RFC 5322 does.

use crate::Error;

const DAY_MS: i64 = 86_400_000;
/// 9999-12-31T23:59:59Z; RFC 5322 has four digits for a year.
const LAST_MS: i64 = 253_402_300_799_000;

/// The calendars that our languages are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calendar {
    /// Most of the world.
    Gregorian,
    /// Solar Hijri, Iran's and Afghanistan's.
    Jalali,
}

/// A date in one of the calendars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
}

/// A moment in UTC, to the second, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    days: i64,
    seconds: i64,
}

impl Moment {
    /// From milliseconds since the Unix epoch.
    pub(crate) fn new(field: &str, ms: i64) -> Result<Self, Error> {
        if !(0..=LAST_MS).contains(&ms) {
            return Err(Error::argument(
                field,
                "a time is in milliseconds since 1970, and before the year 10000",
            ));
        }
        Ok(Self { days: ms / DAY_MS, seconds: ms % DAY_MS / 1000 })
    }

    /// The date in `calendar`.
    pub(crate) fn date(self, calendar: Calendar) -> Date {
        match calendar {
            Calendar::Gregorian => gregorian(self.days),
            Calendar::Jalali => jalali(self.days),
        }
    }

    /// `11:08`.
    pub(crate) fn clock(self) -> String {
        format!("{:02}:{:02}", self.seconds / 3600, self.seconds / 60 % 60)
    }

    /// As a Date header has it (RFC 5322 section 3.3): `Tue, 24 Nov 2026 11:08:00 +0000`.
    pub(crate) fn rfc5322(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Date { year, month, day } = gregorian(self.days);
        let weekday = usize::try_from(self.days % 7).ok().and_then(|i| DAYS.get(i)).unwrap_or(&"Thu");
        let month = usize::try_from(month - 1).ok().and_then(|i| MONTHS.get(i)).unwrap_or(&"Jan");
        format!("{weekday}, {day:02} {month} {year:04} {}:{:02} +0000", self.clock(), self.seconds % 60)
    }
}

/// Days since 1970-01-01 to a date, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days that are not negative.
fn gregorian(days: i64) -> Date {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Date { year, month, day }
}

/// Days since 1970-01-01 to a Solar Hijri date, by the 33-year cycle of 8 leap years, which agrees with the
/// astronomical calendar until 2123.
fn jalali(days: i64) -> Date {
    let mut rest = days + 1_075_195;
    let mut year = -1595 + 33 * (rest / 12_053);
    rest %= 12_053;
    year += 4 * (rest / 1461);
    rest %= 1461;
    if rest > 365 {
        year += (rest - 1) / 365;
        rest = (rest - 1) % 365;
    }
    let (month, day) = if rest < 186 {
        (1 + rest / 31, 1 + rest % 31)
    } else {
        (7 + (rest - 186) / 30, 1 + (rest - 186) % 30)
    };
    Date { year, month, day }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ms: i64, rfc5322: &str, jalali: (i64, i64, i64)) {
        let moment = Moment::new("now", ms).unwrap();
        assert_eq!(moment.rfc5322(), rfc5322);
        let date = moment.date(Calendar::Jalali);
        assert_eq!((date.year, date.month, date.day), jalali, "{rfc5322}");
    }

    #[test]
    fn dates_in_both_calendars() {
        // The right-hand side: Python's email.utils.format_datetime, and the printed calendar of Iran.
        check(0, "Thu, 01 Jan 1970 00:00:00 +0000", (1348, 10, 11));
        check(951_782_400_000, "Tue, 29 Feb 2000 00:00:00 +0000", (1378, 12, 10));
        check(1_679_356_800_000, "Tue, 21 Mar 2023 00:00:00 +0000", (1402, 1, 1));
        check(1_710_892_800_000, "Wed, 20 Mar 2024 00:00:00 +0000", (1403, 1, 1));
        check(1_742_428_799_000, "Wed, 19 Mar 2025 23:59:59 +0000", (1403, 12, 29));
        check(1_742_428_800_000, "Thu, 20 Mar 2025 00:00:00 +0000", (1403, 12, 30));
        check(1_742_515_200_000, "Fri, 21 Mar 2025 00:00:00 +0000", (1404, 1, 1));
        check(1_795_518_480_000, "Tue, 24 Nov 2026 11:08:00 +0000", (1405, 9, 3));
    }

    #[test]
    fn the_last_moment_and_the_ones_beyond() {
        assert_eq!(Moment::new("now", LAST_MS).unwrap().rfc5322(), "Fri, 31 Dec 9999 23:59:59 +0000");
        assert_eq!(Moment::new("now", LAST_MS + 1).unwrap_err().field(), "now");
        assert_eq!(Moment::new("now", -1).unwrap_err().field(), "now");
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut before = (gregorian(0), jalali(0));
        for day in 1..60_000 {
            let today = (gregorian(day), jalali(day));
            for (b, t) in [(before.0, today.0), (before.1, today.1)] {
                let next_day = t.year == b.year && t.month == b.month && t.day == b.day + 1;
                let next_month =
                    t.day == 1 && b.day >= 28 && (t.month == b.month + 1 || (t.month, b.month) == (1, 12));
                assert!(next_day || next_month, "{b:?} {t:?}");
            }
            before = today;
        }
    }
}
