//! A backup of a node that runs, by a stream of its own.
//!
//! Each vbucket is as it was at one instant: the state at the stream's beginning and what changed
//! until the stream had all of it. In an online update it is the state before that. The node says
//! of each vbucket that it is complete; without that word the backup is none.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;

use serde_json::json;

use crate::chain;
use crate::client::Client;
use crate::clock;
use crate::link::{Link, Statistics};
use crate::nodes::Node;
use crate::output::Style;
use crate::packet::{Request, status};
use crate::progress::{self, Show};
use crate::reader::Backup;
use crate::record::Record;
use crate::signals::Asked;
use crate::stream::{Said, Stream};
use crate::text;
use crate::writer::{Begin, Finished, Moment, Standing, Unnamed, Writer};

const DEREGISTER_TAP_CLIENT: u8 = 0x9e;
/// Names of streams of backups begin so.
const PLACE: &str = "backup:";
/// Longest name of a series of backups, in characters.
const SERIES_MAX: usize = 60;
/// Messages between two looks at how far it is.
const STEP: u64 = 4096;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) file: &'a Path,
    /// The backup that it goes on from.
    pub(crate) base: Option<&'a Path>,
    /// The node is to keep what the next one needs, under that name.
    pub(crate) keep: Option<&'a str>,
}

/// How a vbucket comes in.
#[derive(Clone, Copy, Debug, Default)]
struct Coming {
    standing: Standing,
    /// Where it begins is known.
    begun: bool,
    done: bool,
}

/// Makes a backup.
///
/// # Errors
/// Says why there is none of that name; nothing is left behind but what is whole, and named then.
pub(crate) fn create(
    client: &Client,
    node: &Node,
    wish: &Wish<'_>,
    (style, show): (Style, Show),
) -> Result<(), String> {
    let base = wish.base.map(chain::read_one).transpose()?;
    let named = |text: String| format!("{}: {text}", node.name);
    let mut link = client.open(node).map_err(named)?;
    let id = new_id();
    let place = place(wish, base.as_ref(), &id)?;
    let begin = Begin {
        id,
        base: base.as_ref().map_or([0; 16], |base| base.begin.id),
        created: clock::today().as_secs(),
        node: node.name.clone(),
        place,
    };
    let asked = Asked::note().map_err(|error| format!("signals cannot be noted: {error}"))?;
    let mut writer = Writer::new(wish.file, &begin)?;
    if let Some(series) = wish.keep {
        forget_series(&mut link, series).map_err(named)?;
    }
    let before = Sight::of(&mut link).map_err(named)?;
    if before.checkpoints.is_empty() {
        return Err(named("it has no active vbucket".to_owned()));
    }
    let has = base.as_ref().map(has).unwrap_or_default();
    let keeps = !begin.place.is_empty();
    let stream = Stream::connect(client, (node, asked), (&begin.place, keeps), &has);
    let made = stream.and_then(|stream| {
        let coming = take(stream, &mut writer, (node, base.as_ref()), (&before, show))?;
        let after = Sight::of(&mut link)?;
        Ok((complete(coming, &before)?, before.moment(&after)?))
    });
    let made = made.map_err(|text| Unnamed::from(named(text)));
    let ended = made.and_then(|(vbuckets, moment)| writer.finish(moment, vbuckets));
    let failed = matches!(&ended, Err(why) if !why.whole);
    if failed && keeps && base.is_none() {
        // Nothing will ever go on from it. A node that does not answer has said so by then.
        let _ = client
            .open(node)
            .and_then(|mut link| deregister(&mut link, &begin.place));
    }
    let ended = ended.map_err(|why| why.text)?;
    let of_base = base.iter().flat_map(|base| base.end.vbuckets.keys());
    let missing = of_base.filter(|vbucket| !ended.end.vbuckets.contains_key(vbucket));
    let missing: BTreeSet<u16> = missing.copied().collect();
    tell(wish.file, &begin, (&ended, &missing), style);
    Ok(())
}

/// Has the node let go of what it keeps for the backup that would go on from this one.
///
/// # Errors
/// The node does not answer.
pub(crate) fn forget(
    client: &Client,
    node: &Node,
    file: &Path,
    style: Style,
) -> Result<(), String> {
    let place = chain::read_one(file)?.begin.place;
    let mut link = client.open(node)?;
    let streams = link.statistics("tap")?.unwrap_or_default();
    let kept = streams.contains_key(&format!("eq_tapq:{place}:type"));
    deregister(&mut link, &place)?;
    let (file, name) = (file.display(), &node.name);
    let words = if place.is_empty() {
        format!("{name}: nothing to let go of: {file} was made without --keep")
    } else if kept {
        format!("{name}: let go of what it kept for the next backup on {file}")
    } else {
        format!("{name}: nothing to let go of: it kept nothing for {file}")
    };
    let object = json!({"node": name, "result": "done", "exit": 0, "kept": kept});
    style.event(&words, &object);
    Ok(())
}

fn deregister(link: &mut Link, place: &str) -> Result<(), String> {
    if place.is_empty() {
        return Ok(());
    }
    let answer = link.call(&Request {
        opcode: DEREGISTER_TAP_CLIENT,
        key: place.as_bytes(),
        ..Request::default()
    })?;
    match answer.status() {
        status::SUCCESS => Ok(()),
        _ => Err(answer.words()),
    }
}

/// A new full backup begins the series anew: what the node keeps for an earlier one goes.
fn forget_series(link: &mut Link, series: &str) -> Result<(), String> {
    let streams = link.statistics("tap")?.unwrap_or_default();
    let begin = format!("eq_tapq:{PLACE}{series}:");
    for name in streams.keys() {
        let id = name
            .strip_prefix(&begin)
            .and_then(|rest| rest.strip_suffix(":type"));
        if let Some(id) = id {
            deregister(link, &format!("{PLACE}{series}:{id}"))?;
        }
    }
    Ok(())
}

/// The name under which the node keeps what the next one needs. No other series has it: so the node
/// knows whether it is this one that was given the checkpoints of its vbuckets.
fn place(wish: &Wish<'_>, base: Option<&Backup>, id: &[u8; 16]) -> Result<String, String> {
    if let Some(base) = base {
        let place = base.begin.place.clone();
        return if place.is_empty() {
            Err(format!(
                "{} was made without --keep, so the node has kept nothing to go on from; make a \
                 full one with --keep NAME",
                base.path.display()
            ))
        } else {
            Ok(place)
        };
    }
    let Some(series) = wish.keep else {
        return Ok(String::new());
    };
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if series.is_empty() || series.len() > SERIES_MAX || !series.chars().all(legal) {
        return Err(format!(
            "--keep {series:?}: a name has 1 to {SERIES_MAX} letters, digits, dots, dashes and \
             underscores"
        ));
    }
    let id = id.get(..8).unwrap_or_default();
    Ok(format!("{PLACE}{series}:{}", text::hex(id)))
}

/// Sixteen bytes that no other backup has.
fn new_id() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish();
    let time = clock::today().as_nanos().to_le_bytes();
    let mut id = [0; 16];
    let random = half().to_be_bytes().into_iter().chain(half().to_be_bytes());
    for ((byte, random), time) in id.iter_mut().zip(random).zip(time) {
        *byte = random ^ time;
    }
    id
}

/// The checkpoints that an earlier backup has.
fn has(base: &Backup) -> Vec<(u16, u64)> {
    let vbuckets = base.end.vbuckets.iter();
    let known = vbuckets.filter(|(_, standing)| standing.next > 0);
    known.map(|(&vbucket, it)| (vbucket, it.next - 1)).collect()
}

/// What a node says of itself before and after.
#[derive(Debug, Default)]
struct Sight {
    /// Open checkpoints of its active vbuckets.
    checkpoints: BTreeMap<u16, u64>,
    /// All of them have a window that is not decided: the stream gives the state before it.
    in_window: bool,
    items: u64,
}

impl Sight {
    fn of(link: &mut Link) -> Result<Self, String> {
        let windows = link.statistics("onlineupdate-vb")?;
        let windows =
            windows.ok_or("it does not run checkpoint-engine, whose streams this needs")?;
        let undecided = |vbucket: &u16| {
            let state = windows.get(&format!("vb_{vbucket}:state"));
            state.is_some_and(|state| state == "open" || state == "completing")
        };
        let lines = link.statistics("checkpoint")?.unwrap_or_default();
        let mut checkpoints = BTreeMap::new();
        for (name, state) in &lines {
            let vbucket = name
                .strip_prefix("vb_")
                .and_then(|it| it.strip_suffix(":state"));
            if let Some(vbucket) = vbucket.and_then(|it| it.parse().ok())
                && state == "active"
            {
                let open = number(&lines, &format!("vb_{vbucket}:open_checkpoint_id"));
                checkpoints.insert(vbucket, open);
            }
        }
        Ok(Self {
            in_window: !checkpoints.is_empty() && checkpoints.keys().all(undecided),
            items: items(&link.statistics("hash")?.unwrap_or_default(), &checkpoints),
            checkpoints,
        })
    }

    /// A window has one checkpoint, and every other one has others.
    fn moment(&self, after: &Self) -> Result<Moment, String> {
        if !self.in_window {
            return Ok(Moment::EachItsOwn);
        }
        if after.in_window && self.checkpoints == after.checkpoints {
            return Ok(Moment::BeforeWindow);
        }
        Err(
            "the online update that was open has ended meanwhile: of some vbuckets this would be \
             the state before it, of others that behind it; make the backup again"
                .to_owned(),
        )
    }
}

/// Keys of these vbuckets. The general group would tell them too, but a host of the branch
/// engine-pu may abort when it is asked for that.
fn items(lines: &Statistics, vbuckets: &BTreeMap<u16, u64>) -> u64 {
    let reported = |id: &u16| number(lines, &format!("vb_{id}:reported"));
    vbuckets.keys().map(reported).sum()
}

fn number(lines: &Statistics, name: &str) -> u64 {
    let number = lines.get(name).and_then(|text| text.parse().ok());
    number.unwrap_or(0)
}

/// Writes what the stream says until the node closes it.
fn take(
    mut stream: Stream,
    writer: &mut Writer,
    (node, base): (&Node, Option<&Backup>),
    (before, show): (&Sight, Show),
) -> Result<BTreeMap<u16, Coming>, String> {
    let steps = show.nodes(std::slice::from_ref(node));
    let mut vbuckets: BTreeMap<u16, Coming> = BTreeMap::new();
    let mut messages: u64 = 0;
    while let Some(message) = stream.next()? {
        let vbucket = message.vbucket;
        messages += 1;
        if messages.is_multiple_of(STEP) {
            let (values, ..) = writer.written();
            steps.step(0, "backed up", (values, before.items));
        }
        if matches!(message.said, Said::Nothing) {
            continue;
        }
        let coming = vbuckets.entry(vbucket).or_default();
        match message.said {
            Said::Whole => {
                coming.begun = true;
                coming.standing.whole = true;
                writer.put(&Record::Whole { vbucket })?;
            }
            Said::Begins { checkpoint } => {
                begins(coming, base, vbucket, checkpoint)?;
                coming.standing.next = checkpoint;
            }
            Said::Ends { checkpoint } => coming.standing.next = checkpoint.saturating_add(1),
            Said::Done => coming.done = true,
            Said::Value { .. } | Said::Deleted { .. } if !coming.begun => {
                return Err(format!(
                    "it sends keys of vbucket {vbucket} and does not say since when"
                ));
            }
            Said::Value {
                key,
                value,
                flags,
                expiry,
                cas,
            } => writer.put(&Record::Value {
                vbucket,
                key,
                value,
                flags,
                expiry,
                cas,
            })?,
            Said::Deleted { key } => writer.put(&Record::Deleted { vbucket, key })?,
            Said::Nothing => {}
        }
    }
    steps.end(0);
    Ok(vbuckets)
}

/// A vbucket that does not begin with its whole state goes on where the earlier backup ended.
fn begins(
    coming: &mut Coming,
    base: Option<&Backup>,
    vbucket: u16,
    checkpoint: u64,
) -> Result<(), String> {
    if coming.begun {
        return Ok(());
    }
    let standing = base.and_then(|base| base.end.vbuckets.get(&vbucket));
    if standing.is_none_or(|standing| standing.next != checkpoint) {
        return Err(format!(
            "it goes on with checkpoint {checkpoint} of vbucket {vbucket}, which is not what was \
             asked for"
        ));
    }
    coming.begun = true;
    Ok(())
}

/// Every vbucket is there whole, or there is no backup.
fn complete(
    coming: BTreeMap<u16, Coming>,
    before: &Sight,
) -> Result<BTreeMap<u16, Standing>, String> {
    let done = |vbucket: &u16| coming.get(vbucket).is_some_and(|it| it.done);
    let started = before.checkpoints.keys().chain(coming.keys());
    if let Some(vbucket) = { started }.find(|vbucket| !done(vbucket)) {
        return Err(format!(
            "the stream ended before all of vbucket {vbucket} was there: the node has ended, or \
             the vbucket was taken away; its log says more"
        ));
    }
    Ok(coming
        .into_iter()
        .map(|(id, it)| (id, it.standing))
        .collect())
}

/// The words of a moment.
pub(crate) const fn moment(moment: Moment) -> &'static str {
    match moment {
        Moment::EachItsOwn => "each vbucket at an instant of its own while it was made",
        Moment::BeforeWindow => "before the online update that was open",
    }
}

fn tell(file: &Path, begin: &Begin, (ended, missing): (&Finished, &BTreeSet<u16>), style: Style) {
    let Finished { end, bytes, doubt } = ended;
    if let Some(doubt) = doubt {
        progress::warn(&format!(
            "{}: it is there, and may be gone after a loss of power: {doubt}",
            file.display()
        ));
    }
    let whole = end.vbuckets.values().filter(|it| it.whole).count();
    let words = format!(
        "{}: {} and {} of {} ({whole} whole), {}; state: {}{}",
        file.display(),
        text::count(end.values, "value"),
        text::count(end.deletions, "deletion"),
        text::count(end.vbuckets.len() as u64, "vbucket"),
        text::size(*bytes),
        moment(end.moment),
        if missing.is_empty() {
            String::new()
        } else {
            let missing = text::vbuckets(missing);
            format!("; no longer in it, because not active on the node: {missing}")
        }
    );
    let object = json!({
        "command": "create",
        "result": "done",
        "exit": 0,
        "file": file.display().to_string(),
        "full": begin.is_full(),
        "values": end.values,
        "deletions": end.deletions,
        "vbuckets": end.vbuckets.len(),
        "whole_vbuckets": whole,
        "bytes": bytes,
        "state": moment(end.moment),
        "durable": doubt.is_none(),
        "missing_vbuckets": missing,
    });
    style.event(&words, &object);
}
