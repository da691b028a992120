//! Commands about media.

use crate::call::{
    Command, Connect, ConnectMode, Controlled, Create, CreateAnswer, CreateMedia, FlowChoice, Inject,
    InterfaceChoice, MediaControl, Mesh, PartyChoice, Play, Playback, Publish, SourceChoice, SubscribeAnswer,
    SubscribeRequest, Transform, TransformMedia, Unsubscribe,
};

use super::entries::MediaEntry;
use super::media_keys::{EventBlocking, MediaKeys};
use super::message::Message;
use super::{RequestError, given};

/// Logged where events are dropped instead of replaced.
const EVENTS_DROPPED: &str = "DTMF events are dropped: replacing them is not supported yet";

/// Makes a command of a message.
type Build = fn(Message) -> Result<Command, RequestError>;

/// How the command of this name is made, if it is about media.
pub(super) fn find(name: &str) -> Option<Build> {
    Some(match name {
        "block media" => |message| control(message, Controlled::Media, true),
        "unblock media" => |message| control(message, Controlled::Media, false),
        "silence media" => |message| control(message, Controlled::Silence, true),
        "unsilence media" => |message| control(message, Controlled::Silence, false),
        "start forwarding" => |message| control(message, Controlled::Forwarding, true),
        "stop forwarding" => |message| control(message, Controlled::Forwarding, false),
        "block DTMF" => block_events,
        "unblock DTMF" => |message| control(message, Controlled::Events, false),
        "play media" => |message| {
            let source = message.media.file;
            play(message, Playback::Media { source })
        },
        "stop media" => |message| play(message, Playback::Stop),
        "play DTMF" => |message| {
            let code = message.media.code;
            play(message, Playback::Dtmf { code })
        },
        "publish" => publish,
        "subscribe request" => subscribe_request,
        "subscribe answer" => subscribe_answer,
        "unsubscribe" => unsubscribe,
        "connect" => connect,
        "mesh" => mesh,
        "inject start" => |message| inject(message, true),
        "inject stop" => |message| inject(message, false),
        "create" => create,
        "create answer" => create_answer,
        "transform" => transform,
        _ => return None,
    })
}

fn control(message: Message, what: Controlled, on: bool) -> Result<Command, RequestError> {
    let call_id = message.call_id()?;
    // Silence is a matter of one party by itself.
    let from_tag_counts = message.media.directional || what == Controlled::Silence;
    // Events and forwarding are a matter of whole parties.
    let by_flow = matches!(what, Controlled::Media | Controlled::Silence);
    Ok(Command::Control(MediaControl {
        call_id,
        what,
        on,
        source: party(&message, from_tag_counts),
        sink: match (given(message.to_tag.as_deref()), &message.media.to_label) {
            _ if !by_flow => None,
            (Some(tag), _) => Some(PartyChoice::Tag(tag)),
            (None, label) => label.clone().map(PartyChoice::Label),
        },
        flows: match message.media.flows {
            FlowChoice::OfferAnswer | FlowChoice::PubSub | FlowChoice::Every if !by_flow => {
                FlowChoice::Unsaid
            }
            flows @ (FlowChoice::Unsaid
            | FlowChoice::All
            | FlowChoice::OfferAnswer
            | FlowChoice::PubSub
            | FlowChoice::Every) => flows,
        },
        set_label: message.media.set_label,
    }))
}

fn block_events(message: Message) -> Result<Command, RequestError> {
    if message.media.has_trigger {
        return Err(RequestError::NoTriggers);
    }
    let blocking = message.media.event_blocking;
    if blocking == EventBlocking::Replace {
        tracing::warn!("{EVENTS_DROPPED}");
    }
    control(message, Controlled::Events, blocking != EventBlocking::Off)
}

fn play(message: Message, what: Playback) -> Result<Command, RequestError> {
    Ok(Command::Play(Play {
        call_id: message.call_id()?,
        parties: match message.media.flows == FlowChoice::All {
            true => SourceChoice::All,
            false => party(&message, true).map_or(SourceChoice::Nobody, SourceChoice::One),
        },
        what,
    }))
}

/// Where there is but one party, `interface` or `peer` name the one for it, and nothing else does.
fn only(media: &MediaKeys) -> InterfaceChoice {
    InterfaceChoice {
        from: media.interface.clone(),
        from_peer: media.peer,
        ..InterfaceChoice::default()
    }
}

fn publish(message: Message) -> Result<Command, RequestError> {
    let sdp = message.sdp.ok_or(RequestError::NoSdp)?;
    let mut options = message.options;
    options.interfaces = only(&message.media);
    Ok(Command::Publish(Box::new(Publish {
        bidirectional: message.media.bidirectional,
        call_id: given(message.call_id.as_deref()),
        from_tag: given(message.from_tag.as_deref()),
        sdp,
        options,
    })))
}

fn subscribe_request(message: Message) -> Result<Command, RequestError> {
    let call_id = message.call_id()?;
    let sources = sources(&message);
    let mut options = message.options;
    // It says whose media is wanted.
    options.label = None;
    // As in the reference: the source's packets are the subscriber's.
    (options.ptime, options.ptime_reverse) = (None, None);
    let InterfaceChoice { from, from_peer, .. } = only(&message.media);
    options.interfaces = InterfaceChoice {
        to: from,
        to_peer: from_peer,
        ..InterfaceChoice::default()
    };
    // Proxies always send one; with their options in a string, it counts only if it stands there.
    let to_tag_counts = message.to_tag_counts || !message.has_flag_string;
    Ok(Command::SubscribeRequest(Box::new(SubscribeRequest {
        call_id,
        sources,
        to_tag: given(message.to_tag.as_deref()).filter(|_| to_tag_counts),
        label: message.media.set_label.or(message.media.to_label),
        flags: message.media.subscription,
        options,
    })))
}

fn subscribe_answer(message: Message) -> Result<Command, RequestError> {
    Ok(Command::SubscribeAnswer(Box::new(SubscribeAnswer {
        call_id: message.call_id()?,
        to_tag: given(message.to_tag.as_deref()),
        sdp: message.sdp,
        may_refuse_codecs: message.media.may_refuse_codecs,
        options: message.options,
    })))
}

fn unsubscribe(message: Message) -> Result<Command, RequestError> {
    Ok(Command::Unsubscribe(Unsubscribe {
        call_id: message.call_id()?,
        to_tag: given(message.to_tag.as_deref()),
        from_tag: given(message.from_tag.as_deref()).filter(|_| message.media.directional),
    }))
}

fn connect(message: Message) -> Result<Command, RequestError> {
    let mode = match &message.media {
        MediaKeys {
            directional: true,
            bidirectional: true,
            ..
        } => ConnectMode::BothWays,
        MediaKeys {
            directional: true, ..
        } => ConnectMode::OneWay,
        MediaKeys { .. } => ConnectMode::Dialogue,
    };
    Ok(Command::Connect(Connect {
        call_id: message.call_id()?,
        sources: sources(&message),
        to_tag: given(message.to_tag.as_deref()),
        to_call_id: message.media.to_call_id,
        mode,
    }))
}

fn mesh(message: Message) -> Result<Command, RequestError> {
    Ok(Command::Mesh(Mesh {
        calls: message.media.calls,
        links: message.media.links,
        bidirectional: message.media.bidirectional,
        replace: message.media.unsubscribe,
    }))
}

fn inject(message: Message, on: bool) -> Result<Command, RequestError> {
    Ok(Command::Inject(Inject {
        call_id: message.call_id()?,
        to_tag: message.to_tag()?,
        source_tag: message.media.source_tag.ok_or(RequestError::NoSourceTag)?,
        source_call_id: message.media.source_call_id,
        on,
    }))
}

fn create(message: Message) -> Result<Command, RequestError> {
    let section = |entry: MediaEntry| CreateMedia {
        codecs: entry.codecs,
        kind: entry.kind.unwrap_or("audio".to_owned()),
    };
    let mut options = message.options;
    options.interfaces = only(&message.media);
    let media = message.media.media.into_iter().map(section).collect();
    Ok(Command::Create(Box::new(Create {
        call_id: given(message.call_id.as_deref()),
        from_tag: given(message.from_tag.as_deref()),
        media,
        options,
    })))
}

fn create_answer(message: Message) -> Result<Command, RequestError> {
    let sdp = message.sdp.clone().ok_or(RequestError::NoSdp)?;
    Ok(Command::CreateAnswer(Box::new(CreateAnswer {
        call_id: message.call_id()?,
        from_tag: given(message.from_tag.as_deref()).ok_or(RequestError::NoFromTag)?,
        sdp,
        options: message.options,
    })))
}

fn transform(message: Message) -> Result<Command, RequestError> {
    let interfaces = only(&message.media);
    let media = message.media.media.into_iter().map(|entry| TransformMedia {
        destination: entry.destination,
        id: entry.id,
        kind: entry.kind,
    });
    Ok(Command::Transform(Transform {
        call_id: given(message.call_id.as_deref()),
        from_tag: given(message.from_tag.as_deref()),
        interfaces,
        media: media.collect(),
    }))
}

/// Whose media is meant, where one party is.
fn party(message: &Message, from_tag_counts: bool) -> Option<PartyChoice> {
    if message.named_by_label {
        let label = message.options.label.clone();
        return Some(PartyChoice::Label(label.unwrap_or_default()));
    }
    if let Some(address) = message.media.address {
        return Some(PartyChoice::Address(address));
    }
    let tag = message.from_tag.as_deref().filter(|_| from_tag_counts);
    tag.map(|tag| PartyChoice::Tag(tag.into()))
}

/// Whose media is meant, where several parties may be.
fn sources(message: &Message) -> SourceChoice {
    if message.media.flows == FlowChoice::All {
        return SourceChoice::All;
    }
    if let Some(party) = party(message, true) {
        return SourceChoice::One(party);
    }
    match message.media.from_tags.is_empty() {
        true => SourceChoice::Nobody,
        false => SourceChoice::Tags(message.media.from_tags.clone()),
    }
}
