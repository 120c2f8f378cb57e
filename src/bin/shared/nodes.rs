//! Which nodes are meant: addresses, names, files.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::program::{NO_NODE, NODES_VARIABLE as VARIABLE};

/// The port of a node that is named without one.
const PORT: u16 = 11_211;
/// Most nodes of one decision.
const NODES_MAX: usize = 1024;
/// How long an address of a name with both kinds of addresses may take to be tried.
const TRIAL: Duration = Duration::from_secs(1);

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// How it is called in all that is printed.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// A node as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: u16,
}

/// All nodes that are named, each once.
///
/// # Errors
/// Says which name is wrong and why.
pub(crate) fn gather(
    named: &[String],
    file: Option<&str>,
    timeout: Duration,
) -> Result<Vec<Node>, String> {
    let mut all = named.to_vec();
    if let Some(path) = file {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let found = names_in(&text);
        // Whoever gives a file means its nodes, and no others that stand elsewhere.
        if found.is_empty() {
            return Err(format!("{path}: it names no node"));
        }
        all.extend(found);
    }
    if all.is_empty() {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        all.extend(names_in(&text));
    }
    if all.is_empty() {
        return Err(format!("no node is named: {NO_NODE}"));
    }
    let mut nodes: Vec<Node> = Vec::new();
    for name in &all {
        for node in resolve(name, timeout)? {
            if !nodes.iter().any(|known| known.address == node.address) {
                nodes.push(node);
            }
        }
    }
    if nodes.len() > NODES_MAX {
        return Err(format!(
            "{} nodes are named; {NODES_MAX} is the most",
            nodes.len()
        ));
    }
    Ok(nodes)
}

/// The names in a text: between white space and commas, but for what follows a `#` on its line.
fn names_in(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split([',', ' ', '\t', '\r']));
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads `HOST:PORT`, `HOST`, `[IPV6]:PORT` or `IPV6`.
fn parse(name: &str) -> Result<Endpoint, String> {
    let wrong = |why: &str| {
        format!("{name:?} names no node: {why}; write HOST:PORT, or [ADDRESS]:PORT for IPv6")
    };
    if name.parse::<Ipv6Addr>().is_ok() {
        return Ok(Endpoint {
            host: name.to_owned(),
            port: PORT,
        });
    }
    let (host, port) = if let Some(rest) = name.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| wrong("the ] is missing"))?;
        let address = host.split('%').next().unwrap_or_default();
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(wrong("what stands in [] is no IPv6 address"));
        }
        (
            host,
            port.strip_prefix(':')
                .or((port.is_empty()).then_some("11211")),
        )
    } else {
        match name.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (name, Some("11211")),
        }
    };
    let port = port
        .and_then(|port| port.parse().ok())
        .filter(|port| *port != 0);
    let port = port.ok_or_else(|| wrong("the port is a number from 1 to 65535"))?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(wrong("the host is missing"));
    }
    Ok(Endpoint {
        host: host.to_owned(),
        port,
    })
}

/// The nodes behind a name: one for each of its addresses.
fn resolve(name: &str, timeout: Duration) -> Result<Vec<Node>, String> {
    let endpoint = parse(name)?;
    let failed = |why: &str| format!("{name}: the name cannot be resolved: {why}");
    let (give, take) = mpsc::channel();
    let asked = (endpoint.host.clone(), endpoint.port);
    // The resolver of the system takes as long as it likes; nobody waits for it at the end.
    let thread = thread::Builder::new().spawn(move || {
        let found = asked.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may be there any more.
        let _ = give.send(found);
    });
    thread.map_err(|error| failed(&error.to_string()))?;
    let found = take.recv_timeout(timeout);
    let found =
        found.map_err(|_| failed(&format!("no answer within {} s", timeout.as_secs_f32())))?;
    let mut addresses = found.map_err(|error| failed(&error.to_string()))?;
    addresses.sort_unstable();
    addresses.dedup();
    let addresses = one_family(addresses, |address| {
        TcpStream::connect_timeout(&address, timeout.min(TRIAL)).is_ok()
    });
    if addresses.is_empty() {
        return Err(failed("it has no address"));
    }
    let alone = addresses.len() == 1;
    let called = |address: SocketAddr| {
        if alone {
            format_endpoint(&endpoint)
        } else {
            address.to_string()
        }
    };
    let nodes = addresses.into_iter().map(|address| Node {
        name: called(address),
        address,
    });
    Ok(nodes.collect())
}

fn format_endpoint(endpoint: &Endpoint) -> String {
    let Endpoint { host, port } = endpoint;
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// IPv4 and IPv6 addresses of one name are two ways to the same machines: takes the family that
/// answers, IPv4 if neither does.
fn one_family(addresses: Vec<SocketAddr>, answers: impl Fn(SocketAddr) -> bool) -> Vec<SocketAddr> {
    let is_v4 = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_v4);
    if v4.is_empty() {
        return v6;
    }
    let v4_answers = v6.is_empty() || v4.iter().any(|address| answers(*address));
    if !v4_answers && v6.iter().any(|address| answers(*address)) {
        return v6;
    }
    v4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_kinds() {
        for (name, host, port) in [
            ("10.0.0.1:11212", "10.0.0.1", 11_212),
            ("node", "node", PORT),
            ("node.example:1", "node.example", 1),
            ("[::1]:11212", "::1", 11_212),
            ("[fe80::1%eth0]:7", "fe80::1%eth0", 7),
            ("[::1]", "::1", PORT),
            ("::1", "::1", PORT),
        ] {
            let endpoint = parse(name).unwrap();
            assert_eq!(
                (endpoint.host.as_str(), endpoint.port),
                (host, port),
                "{name}"
            );
        }
        for wrong in [
            "", ":1", "a:", "a:0", "a:x", "a:70000", "[::1", "[nine]:1", "[::1]x", "a b:1", "1:2:3",
        ] {
            assert!(
                parse(wrong).unwrap_err().contains("names no node"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_list_may_have_comments() {
        let text = "# nodes\na:1, b:2\n\nc:3 # the third\n\td:4\r\n";
        assert_eq!(names_in(text), ["a:1", "b:2", "c:3", "d:4"]);
    }

    #[test]
    fn a_node_that_is_named_twice_is_one() {
        let names = ["127.0.0.1:9", "[::1]:9", "127.0.0.1:9"].map(str::to_owned);
        let nodes = gather(&names, None, TRIAL).unwrap();
        let called: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(called, ["127.0.0.1:9", "[::1]:9"]);
    }

    #[test]
    fn both_families_of_a_name_are_the_same_machines() {
        let all = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let (v4, v6) = (all(&["10.0.0.1:1", "10.0.0.2:1"]), all(&["[::1]:1"]));
        let both = [v4.clone(), v6.clone()].concat();
        assert_eq!(one_family(both.clone(), |_| true), v4);
        assert_eq!(one_family(both.clone(), |_| false), v4);
        assert_eq!(one_family(both, |address| address.is_ipv6()), v6);
        assert_eq!(one_family(v6.clone(), |_| false), v6);
    }
}
