//! How nodes are reached: who asks, and how long an answer may take.

use std::time::Duration;

use crate::link::Link;
use crate::nodes::Node;
use crate::sasl::Credentials;

/// What all connections have in common.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) timeout: Duration,
}

impl Client {
    /// A connection that may ask.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn open(&self, node: &Node) -> Result<Link, String> {
        let mut link = Link::connect(node.address, self.timeout)?;
        if let Some(credentials) = &self.credentials {
            credentials.present(&mut link)?;
        }
        Ok(link)
    }
}
