//! `diff`: what a window changed, key by key, old and new side by side.

use serde_json::{Value, json};

use crate::client::Client;
use crate::columns;
use crate::exit::Exit;
use crate::link::Link;
use crate::nodes::Node;
use crate::output::{self, Style};
use crate::packet::{Request, opcode, status};
use crate::sums::{Sum, Sums};
use crate::text;
use crate::touched::{self, Side, Stop, Touched};

/// What is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) prefix: Vec<u8>,
    /// The values too.
    pub(crate) values: bool,
    /// Only the sums.
    pub(crate) sums: bool,
}

/// The value of one side, as far as it is there.
enum Found {
    Absent,
    Value(Vec<u8>),
    Unknown(String),
}

/// Shows what the windows of nodes changed.
pub(crate) fn diff(client: &Client, nodes: &[Node], wish: &Wish, style: Style) -> Exit {
    let mut sums = Sums::default();
    let (mut good, mut without) = (0, 0);
    for node in nodes {
        if style == Style::Text && !wish.sums {
            output::listed(&node.name);
        }
        match of_node(client, node, wish, style, &mut sums) {
            Ok(()) => good += 1,
            Err(Stop::NoWindow(text)) => {
                without += 1;
                failed(node, &text, style);
            }
            Err(Stop::Failed(text)) => failed(node, &text, style),
        }
    }
    show_sums(&sums, style);
    match good {
        _ if good == nodes.len() => Exit::Done,
        0 if without == nodes.len() => Exit::NoWindow,
        0 => Exit::Refused,
        _ => Exit::Partly,
    }
}

fn failed(node: &Node, text: &str, style: Style) {
    let object = json!({"node": node.name, "text": text});
    style.event(&format!("{}: {text}", node.name), &object);
}

fn of_node(
    client: &Client,
    node: &Node,
    wish: &Wish,
    style: Style,
    sums: &mut Sums,
) -> Result<(), Stop> {
    let mut link = client.open(node)?;
    // Values are read on a connection of their own, between the pages.
    let mut beside = if wish.values && !wish.sums {
        Some(client.open(node)?)
    } else {
        None
    };
    touched::list(&mut link, &wish.prefix, &mut |touched| {
        sums.count(&wish.prefix, &touched);
        if wish.sums {
            return Ok(());
        }
        let values = match &mut beside {
            Some(link) => Some((before(link, &touched)?, now(link, &touched)?)),
            None => None,
        };
        match style {
            Style::Text => show(&touched, values.as_ref()),
            Style::Json => {
                let object = as_json(node, &touched, values.as_ref());
                output::listed(&object.to_string());
            }
        }
        Ok(())
    })
}

fn before(link: &mut Link, touched: &Touched) -> Result<Found, Stop> {
    fetch(link, touched, opcode::BEFORE, touched.old)
}

fn now(link: &mut Link, touched: &Touched) -> Result<Found, Stop> {
    fetch(link, touched, opcode::GET, touched.new)
}

fn fetch(
    link: &mut Link,
    touched: &Touched,
    opcode: u8,
    side: Option<Side>,
) -> Result<Found, Stop> {
    if side.is_none() {
        return Ok(Found::Absent);
    }
    let answer = link.call(&Request {
        opcode,
        vbucket: touched.vbucket,
        key: &touched.key,
        ..Request::default()
    })?;
    Ok(match answer.status() {
        status::SUCCESS => Found::Value(answer.value().to_vec()),
        status::KEY_ENOENT => Found::Absent,
        _ => Found::Unknown(answer.words()),
    })
}

fn show(touched: &Touched, values: Option<&(Found, Found)>) {
    let size = |side: Option<Side>| match side {
        None => "absent".to_owned(),
        Some(Side { size: None, .. }) => "on disk".to_owned(),
        Some(Side {
            size: Some(size), ..
        }) => text::size(u64::from(size)),
    };
    let key = text::escape(&touched.key);
    let (old, new) = (size(touched.old), size(touched.new));
    output::listed(&format!(
        "  {:8}  {key}  {old} -> {new}",
        touched.what.name()
    ));
    if let Some((old, new)) = values {
        for row in columns::side_by_side(&lines(old), &lines(new)) {
            output::listed(&format!("    {row}"));
        }
    }
}

fn lines(found: &Found) -> Vec<String> {
    match found {
        Found::Absent => vec!["(absent)".to_owned()],
        Found::Value(value) => columns::lines(value),
        Found::Unknown(text) => vec![format!("(not known: {text})")],
    }
}

fn as_json(node: &Node, touched: &Touched, values: Option<&(Found, Found)>) -> Value {
    let side = |side: Option<Side>, found: Option<&Found>| {
        let Some(side) = side else {
            return Value::Null;
        };
        let mut object = json!({
            "size": side.size,
            "flags": side.flags,
            "expiry": side.expiry,
            "cas": side.cas,
        });
        let value = match found {
            Some(Found::Value(value)) => match std::str::from_utf8(value) {
                Ok(text) => Some(("value", text.to_owned())),
                Err(_) => Some(("value_hex", text::hex(value))),
            },
            Some(Found::Unknown(text)) => Some(("value_unknown", text.clone())),
            Some(Found::Absent) | None => None,
        };
        if let (Some(fields), Some((name, value))) = (object.as_object_mut(), value) {
            fields.insert(name.to_owned(), Value::String(value));
        }
        object
    };
    json!({
        "node": node.name,
        "vbucket": touched.vbucket,
        "key": text::escape(&touched.key),
        "what": touched.what.name(),
        "old": side(touched.old, values.map(|values| &values.0)),
        "new": side(touched.new, values.map(|values| &values.1)),
    })
}

fn show_sums(sums: &Sums, style: Style) {
    let mut rows: Vec<(String, &Sum)> = Vec::new();
    for (group, sum) in &sums.groups {
        let name = if group.is_empty() {
            "(none)".to_owned()
        } else {
            text::escape(group)
        };
        rows.push((name, sum));
    }
    if sums.others.keys() > 0 {
        rows.push(("(further prefixes)".to_owned(), &sums.others));
    }
    let width = rows
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .max(6);
    if style == Style::Text {
        output::listed(&format!(
            "{:width$}  {:>9} {:>9} {:>9} {:>9}  {:>10} {:>10}",
            "prefix", "added", "updated", "deleted", "vanished", "before", "now"
        ));
    }
    rows.push(("(all)".to_owned(), &sums.all));
    for (name, sum) in rows {
        let words = format!(
            "{name:width$}  {:>9} {:>9} {:>9} {:>9}  {:>10} {:>10}",
            sum.added,
            sum.updated,
            sum.deleted,
            sum.vanished,
            text::size(sum.old_bytes),
            text::size(sum.new_bytes)
        );
        let object = json!({
            "prefix": name,
            "added": sum.added,
            "updated": sum.updated,
            "deleted": sum.deleted,
            "vanished": sum.vanished,
            "old_bytes": sum.old_bytes,
            "new_bytes": sum.new_bytes,
        });
        style.event(&words, &object);
    }
}
