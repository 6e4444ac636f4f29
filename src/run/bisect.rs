//! The search for the first of several versions that shows a finding.
//!
//! Pure but for the probe that the caller gives.

/// What a version shows.
#[derive(Clone, Debug)]
pub enum Probe<T> {
    /// It does not show the finding.
    Good(T),
    /// It shows the finding.
    Bad(T),
    /// It cannot be judged: it does not install, does not start, or something else failed. With the reason.
    Unusable(String),
}

/// The end of a search over versions `0..count`, of which the first is good and the last is bad.
#[derive(Clone, Debug)]
pub struct Bisection<T> {
    /// The last version that does not show the finding.
    pub last_good: (usize, T),
    /// The first version that shows it.
    pub first_bad: (usize, T),
    /// The versions that could not be judged, with the reasons.
    pub skipped: Vec<(usize, String)>,
    /// How many versions were probed, the two ends included.
    pub probes: usize,
}

/// Why a search cannot begin.
#[derive(Clone, Debug)]
pub enum WrongEnd<T> {
    /// The good end shows the finding.
    GoodIsBad(T),
    /// The bad end does not show it.
    BadIsGood(T),
    /// An end cannot be judged.
    Unusable { is_good_end: bool, why: String },
}

/// Searches `0..count` in about log2(`count`) probes. It probes both ends first, and of these the bad one: a finding that it does not
/// have shows in one probe.
pub fn bisect<T, E>(
    count: usize,
    mut probe: impl FnMut(usize) -> Result<Probe<T>, E>,
) -> Result<Result<Bisection<T>, WrongEnd<T>>, E> {
    let (first, last) = (0, count.saturating_sub(1));
    let unusable = |is_good_end, why| Ok(Err(WrongEnd::Unusable { is_good_end, why }));
    let bad = match probe(last)? {
        Probe::Bad(bad) => bad,
        Probe::Good(bad) => return Ok(Err(WrongEnd::BadIsGood(bad))),
        Probe::Unusable(why) => return unusable(false, why),
    };
    let good = match probe(first)? {
        Probe::Good(good) => good,
        Probe::Bad(bad) => return Ok(Err(WrongEnd::GoodIsBad(bad))),
        Probe::Unusable(why) => return unusable(true, why),
    };
    let mut found = Bisection {
        last_good: (first, good),
        first_bad: (last, bad),
        skipped: Vec::new(),
        probes: 2,
    };
    while let Some(middle) = found.next() {
        found.probes += 1;
        match probe(middle)? {
            Probe::Good(good) => found.last_good = (middle, good),
            Probe::Bad(bad) => found.first_bad = (middle, bad),
            Probe::Unusable(why) => found.skipped.push((middle, why)),
        }
    }
    found.skipped.sort_by_key(|(index, _)| *index);
    Ok(Ok(found))
}

impl<T> Bisection<T> {
    /// The usable version nearest to the middle between the two neighbours.
    fn next(&self) -> Option<usize> {
        let (low, high) = (self.last_good.0, self.first_bad.0);
        let middle = low.midpoint(high);
        let is_skipped = |index: &usize| self.skipped.iter().any(|(skipped, _)| skipped == index);
        (low + 1..high)
            .filter(|index| !is_skipped(index))
            .min_by_key(|index| index.abs_diff(middle))
    }

    /// The versions between the two neighbours. None of them could be judged.
    pub fn between(&self) -> impl Iterator<Item = &(usize, String)> {
        let between = self.last_good.0..self.first_bad.0;
        self.skipped
            .iter()
            .filter(move |(index, _)| between.contains(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search over 31 versions of which those from `first_bad` on are bad, and those in `unusable` cannot be judged.
    fn search(first_bad: usize, unusable: &[usize]) -> Bisection<usize> {
        let mut probed = Vec::new();
        let probe = |index| {
            assert!(!probed.contains(&index), "{index} is probed twice");
            probed.push(index);
            Ok::<_, ()>(match unusable.contains(&index) {
                true => Probe::Unusable("it does not start".to_owned()),
                false if index < first_bad => Probe::Good(index),
                false => Probe::Bad(index),
            })
        };
        bisect(31, probe).unwrap().unwrap()
    }

    #[test]
    fn each_boundary_is_found_in_logarithmic_steps() {
        for first_bad in 1..31 {
            let found = search(first_bad, &[]);
            assert_eq!((found.last_good.0, found.first_bad.0), (first_bad - 1, first_bad));
            assert!(found.probes <= 2 + 5, "{first_bad}: {}", found.probes);
        }
    }

    #[test]
    fn unusable_versions_are_skipped_and_named() {
        let found = search(17, &[15, 16, 3]);
        assert_eq!((found.last_good.0, found.first_bad.0), (14, 17));
        let between: Vec<usize> = found.between().map(|(index, _)| *index).collect();
        assert_eq!(between, [15, 16]);
        assert_eq!(found.skipped.len(), 2, "3 was never needed");
    }

    #[test]
    fn wrong_ends_are_recognized() {
        let end = |count, probe: fn(usize) -> Probe<usize>| {
            bisect(count, |index| Ok::<_, ()>(probe(index)))
                .unwrap()
                .unwrap_err()
        };
        assert!(matches!(end(9, Probe::Bad), WrongEnd::GoodIsBad(0)));
        assert!(matches!(end(9, Probe::Good), WrongEnd::BadIsGood(8)));
        let unusable = end(9, |index| match index {
            0 => Probe::Unusable("x".into()),
            _ => Probe::Bad(index),
        });
        let is_good_end = true;
        assert!(matches!(unusable, WrongEnd::Unusable { is_good_end: found, .. } if found == is_good_end));
    }
}
