//! Which of those who say to have more than the log, and cannot prove it, the owner is told of. Pure.
//!
//! Anybody can say so, of any number, as often as they like: the owner hears of the latest, once a minute at most.

use std::time::Duration;

use common::clock::Timestamp;

use super::messages::Claim;

/// The owner of a channel is told at most once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What was claimed.
#[derive(Debug, Default)]
pub struct Claims {
    told: Option<(Claim, Timestamp)>,
    waiting: Option<Claim>,
}

impl Claims {
    /// Somebody says so; [`Self::due`] hands it out when it is time. What was told last is no news.
    pub fn hear(&mut self, claim: Claim) {
        let is_told =
            self.told.as_ref().is_some_and(|(told, _)| (&told.name, told.seq) == (&claim.name, claim.seq));
        if !is_told {
            self.waiting = Some(claim);
        }
    }

    /// What is to be told now.
    pub fn due(&mut self, now: Timestamp) -> Option<Claim> {
        let is_soon = self.told.as_ref().is_some_and(|(_, at)| now.since(*at) < TOLD_EVERY);
        let claim = self.waiting.take_if(|_| !is_soon)?;
        self.told = Some((claim.clone(), now));
        Some(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, seq: u64) -> Claim {
        Claim { name: name.to_owned(), seq, more: seq - 10 }
    }

    #[test]
    fn the_owner_hears_of_the_latest_once_a_minute_and_of_nothing_twice() {
        let mut claims = Claims::default();
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + seconds * 1000);
        // When somebody says what, and what the owner hears then.
        let story = [
            (0, Some(claim("eve", u64::MAX)), Some(claim("eve", u64::MAX))),
            (1, Some(claim("charlie", 12)), None),
            (2, Some(claim("dora", 11)), None),
            (59, None, None),
            (60, None, Some(claim("dora", 11))),
            (61, None, None),
            (200, Some(claim("dora", 11)), None),
            (201, Some(claim("dora", 13)), Some(claim("dora", 13))),
            (202, Some(claim("eve", 13)), None),
            (203, Some(claim("dora", 13)), None),
            (300, None, Some(claim("eve", 13))),
            (500, Some(claim("eve", 13)), None),
        ];
        for (seconds, said, heard) in story {
            if let Some(said) = said {
                claims.hear(said);
            }
            assert_eq!(claims.due(at(seconds)), heard, "after {seconds} s");
        }
    }
}
