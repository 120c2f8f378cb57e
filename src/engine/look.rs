//! LOOK: what an open window did to its keys, a page at a time.
//!
//! The cursor is all that is kept between pages, and the client keeps it. A page is bounded in what
//! it holds and in what it looks at, and locks one key or one part of a table at a time.

use super::undo::Answer;
use super::{Core, Engine, UndoError};
use crate::checkpoint::Looked;
use crate::error::Result;
use crate::host::Cookie;
use crate::types::{CheckpointId, VbucketId};
use crate::vbucket::{Place, Vbucket};

/// Entries of a page, and their bytes.
const PAGE_ENTRIES: usize = 1_000;
const PAGE_BYTES: usize = 256 << 10;
/// What a page looks at, found or not; each step counts for some.
const PAGE_LOOKS: usize = 1 << 14;
const STEP_LOOKS: usize = 8;

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    vbucket: VbucketId,
    window: CheckpointId,
    place: Place,
}

impl Cursor {
    /// As bytes, for the client to keep.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.vbucket.get().to_be_bytes().to_vec();
        bytes.extend(self.window.get().to_be_bytes());
        match self.place {
            Place::Touched(place) => bytes.extend(place.to_be_bytes()),
            Place::Taken {
                upto,
                stripe,
                turn,
                tie,
            } => {
                bytes.extend(upto.to_be_bytes());
                bytes.extend(stripe.to_be_bytes());
                bytes.extend(turn.to_be_bytes());
                bytes.extend(tie.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads them back; `None` if they are none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (vbucket, bytes) = bytes.split_first_chunk()?;
        let (window, bytes) = bytes.split_first_chunk()?;
        let (place, bytes) = bytes.split_first_chunk()?;
        let place = u32::from_be_bytes(*place);
        let place = if bytes.is_empty() {
            Place::Touched(place)
        } else {
            let (stripe, bytes) = bytes.split_first_chunk()?;
            let (turn, bytes) = bytes.split_first_chunk()?;
            Place::Taken {
                upto: place,
                stripe: u16::from_be_bytes(*stripe),
                turn: u32::from_be_bytes(*turn),
                tie: u64::from_be_bytes(bytes.try_into().ok()?),
            }
        };
        Some(Self {
            vbucket: VbucketId::new(u16::from_be_bytes(*vbucket))?,
            window: CheckpointId::new(u64::from_be_bytes(*window)),
            place,
        })
    }
}

/// What a client wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Of one vbucket; of all that the commands act on if none.
    pub(crate) vbucket: Option<u16>,
    /// Keys that begin so.
    pub(crate) prefix: &'a [u8],
    /// So many at most.
    pub(crate) entries: usize,
    /// Bytes that an entry takes besides its key.
    pub(crate) entry_bytes: usize,
    /// From there on.
    pub(crate) from: Option<Cursor>,
}

/// A key, and what the window did to it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its vbucket.
    pub(crate) vbucket: VbucketId,
    /// What was done to it.
    pub(crate) looked: Looked,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Its entries.
    pub(crate) seen: Vec<Seen>,
    /// Where the next page begins; none after the last.
    pub(crate) next: Option<Cursor>,
    bytes: usize,
    looks: usize,
}

impl Page {
    fn has_room(&self, wanted: &Wanted<'_>, key: &[u8]) -> bool {
        let bytes = self.bytes + wanted.entry_bytes + key.len();
        self.seen.len() < wanted.entries.clamp(1, PAGE_ENTRIES) && bytes <= PAGE_BYTES
    }

    /// Goes on in one vbucket. Returns where it stopped because the page is full; none at the end
    /// of the vbucket.
    fn read(
        &mut self,
        vbucket: &Vbucket,
        window: CheckpointId,
        from: Place,
        wanted: &Wanted<'_>,
    ) -> Answer<Option<Place>> {
        let mut place = from;
        loop {
            if self.looks >= PAGE_LOOKS {
                return Ok(Some(place));
            }
            let step = vbucket.look(window, place, wanted.prefix);
            let step = step.ok_or_else(UndoError::ended)?;
            self.looks += STEP_LOOKS + step.looks;
            for (looked, behind) in step.found {
                let key = looked.latest.key();
                if !self.has_room(wanted, key) {
                    return Ok(Some(place));
                }
                self.bytes += wanted.entry_bytes + key.len();
                self.seen.push(Seen {
                    vbucket: vbucket.id(),
                    looked,
                });
                place = behind;
            }
            match step.next {
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
    }
}

impl Core {
    fn look(&self, cookie: Cookie, wanted: &Wanted<'_>) -> Result<Answer<Page>> {
        let windows = match self.windows_to_look_at(wanted.vbucket) {
            Ok(windows) => windows,
            Err(error) => return Ok(Err(error)),
        };
        let ahead = |vb: &Vbucket| wanted.from.is_none_or(|from| from.vbucket <= vb.id());
        for (vbucket, _) in windows.iter().filter(|(vb, _)| ahead(vb)) {
            if let Err(error) = self.loaded(cookie, vbucket)? {
                return Ok(Err(error));
            }
        }
        Ok(Self::page(windows, wanted))
    }

    fn page(windows: Vec<(&Vbucket, CheckpointId)>, wanted: &Wanted<'_>) -> Answer<Page> {
        let mut page = Page::default();
        for (vbucket, window) in windows {
            let mut place = Place::FIRST;
            if let Some(from) = wanted.from {
                if vbucket.id() < from.vbucket {
                    continue;
                }
                if vbucket.id() == from.vbucket {
                    if window != from.window {
                        return Err(UndoError::OtherWindow);
                    }
                    place = from.place;
                }
            }
            if let Some(place) = page.read(vbucket, window, place, wanted)? {
                page.next = Some(Cursor {
                    vbucket: vbucket.id(),
                    window,
                    place,
                });
                break;
            }
        }
        Ok(page)
    }
}

impl Engine {
    /// A page of what the open windows did to their keys. Call again after the notification.
    ///
    /// # Errors
    /// `WouldBlock` while keys are being loaded; in the answer `Refused`, `NotMyVbucket`,
    /// `OtherWindow`, and `Unreadable` when they could not be loaded.
    pub(crate) fn look(&self, cookie: Cookie, wanted: &Wanted<'_>) -> Result<Answer<Page>> {
        self.core.look(cookie, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let places = [
            Place::FIRST,
            Place::Touched(0x0102_0304),
            Place::Taken {
                upto: 7,
                stripe: 63,
                turn: u32::MAX,
                tie: u64::MAX - 1,
            },
        ];
        for place in places {
            let cursor = Cursor {
                vbucket: VbucketId::new(1_023).unwrap(),
                window: CheckpointId::new(1 << 40),
                place,
            };
            let bytes = cursor.to_bytes();
            assert!(bytes.len() <= 250);
            assert_eq!(Cursor::parse(&bytes), Some(cursor));
            for length in 0..bytes.len() {
                let cut = Cursor::parse(&bytes[..length]);
                assert!(cut.is_none_or(|cut| matches!(cut.place, Place::Touched(_))));
            }
            assert_eq!(Cursor::parse(&[&bytes[..], b"x"].concat()), None);
        }
    }
}
