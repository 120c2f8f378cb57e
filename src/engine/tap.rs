//! The sending side of TAP for the host: streams, and what a takeover does to a vbucket.

use super::noted::{DIED, Waiter};
use super::{Core, Engine};
use crate::error::{Error, Result};
use crate::host::{Cookie, LogLevel};
use crate::tap::{Event, Message, Refused, Request, StreamId, Streams, Turn};
use crate::types::{VbucketId, VbucketState};
use crate::vbucket::Vbucket;

impl Core {
    /// Takeover: the client is to serve the vbucket as soon as a restart of this node would not.
    fn hand_over(&self, stream: StreamId, id: VbucketId) {
        if self.vbuckets.get(id).is_some() {
            // An existing vbucket can always become dead.
            let _ = self.set_vbucket(id.get(), VbucketState::Dead);
        }
        if !self.when_noted(Waiter::HandOver(stream, id)) {
            self.let_hand_over(stream, id, Some(DIED));
        }
    }

    /// The client said that it has all of it: a window went with it, and what is left of that here
    /// goes.
    fn handed_over(&self, id: VbucketId) {
        let text = format!("vbucket {id} was taken over by another node");
        self.host.log(LogLevel::Info, &text);
        let dead = |vb: &&Vbucket| vb.state() == Some(VbucketState::Dead);
        let vbucket = self.vbuckets.get(id).filter(dead);
        if vbucket.is_some_and(|vbucket| vbucket.window_phase().is_some()) {
            self.streams.leave(id);
        }
        self.discard_window(id);
    }
}

/// What is answered and said of a stream that may not begin.
fn refusal(refused: &Refused) -> (Error, String) {
    match refused {
        Refused::HasOne => (
            Error::Unsupported,
            "its connection has one of another name or kind".to_owned(),
        ),
        Refused::TooMany(most) => (
            Error::Temporary,
            format!("tap_streams_max allows {most}; end one or raise it"),
        ),
        Refused::Memory(bytes, most) => (
            Error::Temporary,
            format!(
                "the cursors of all streams would take {bytes} bytes of the {most} that max_size \
                 leaves them; end one, deregister a client that is away \
                 (DEREGISTER_TAP_CLIENT), list fewer vbuckets or raise it"
            ),
        ),
    }
}

impl Engine {
    /// Begins a TAP stream on a connection. `flags` and `data` are those of TAP_CONNECT.
    ///
    /// # Errors
    /// `Invalid` for data that is not what the flags say; `Unsupported` when the connection has a
    /// stream already; `Temporary` when there are too many. All of it was logged.
    pub(crate) fn tap_connect(
        &self,
        cookie: Cookie,
        name: &[u8],
        flags: u32,
        data: &[u8],
    ) -> Result<()> {
        let begun = Request::parse(flags, data).map_err(|error| {
            let words = "its user data is not what its flags say";
            (error, words.to_owned())
        });
        let begun = begun.and_then(|request| {
            let connected = self.core.streams.connect(cookie, name, request);
            connected.map_err(|refused| refusal(&refused))
        });
        begun.map_err(|(error, words)| {
            self.core.warn_of_peer(|| {
                let name = name.escape_ascii();
                format!("TAP: refused the stream \"{name}\": {words}")
            });
            error
        })
    }

    /// The next step of a connection's stream.
    pub(crate) fn tap_next(&self, cookie: Cookie) -> Message {
        loop {
            match self.core.streams.next(cookie) {
                Turn::Message(message) => {
                    if message.event == Event::VbucketSet {
                        // The client may have the vbucket from now on, and its window.
                        self.core.note_window(&self.core.updates.gate());
                    }
                    return message;
                }
                Turn::HandOver(stream, vbucket) => self.core.hand_over(stream, vbucket),
                Turn::Forestalled(vbucket) => self.core.warn_of_peer(|| {
                    format!(
                        "TAP: a takeover of vbucket {vbucket} was ended: another node is taking it \
                         over, or has done so; make the vbucket active here first if that is wrong"
                    )
                }),
                Turn::HandedOver(vbucket) => self.core.handed_over(vbucket),
            }
        }
    }

    /// The client of a stream answered a message.
    ///
    /// # Errors
    /// `Disconnect` for a connection without a stream, and when the stream ends.
    pub(crate) fn tap_answered(&self, cookie: Cookie, seqno: u32, status: u16) -> Result<()> {
        self.core.streams.answered(cookie, seqno, status)
    }

    /// Whether a connection has a stream: its items' expiry goes out as Unix seconds.
    pub(crate) fn has_stream(&self, cookie: Cookie) -> bool {
        self.core.streams.has(cookie)
    }

    /// The streams, for reports and commands.
    pub(crate) fn streams(&self) -> &Streams {
        &self.core.streams
    }
}
