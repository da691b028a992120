//! Playing a conversation to two daemons at once.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use relay_common::ng::{self, Format};
use relay_tests::names::Names;
use relay_tests::recording;
use serde_json::{Value, json};

use crate::difference::{Finding, findings};
use crate::known::{Known, Met};
use crate::packets::{self, Clients};

/// What two daemons do with messages: the reference first, then ours.
pub(crate) trait Daemons {
    /// Sends each daemon its message, `COOKIE BODY`, and waits for the bodies of their replies.
    fn exchange(&mut self, messages: [(String, Vec<u8>); 2]) -> [Heard; 2];

    /// Opens a socket of a client where one of the daemons (0, 1) is.
    fn open(&mut self, daemon: usize, address: SocketAddr) -> io::Result<UdpSocket>;
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Reply(Vec<u8>),
    /// It serves, but does not answer that.
    Silence,
    /// It has ended, or hangs.
    Gone,
}

/// Where steps come from: a generator, or a conversation that is written down.
pub(crate) trait Source {
    /// The next step, given the reply to the last one as both daemons have it; null at first.
    fn next(&mut self, last: &Value) -> Option<Value>;
}

impl<'a, I: Iterator<Item = &'a Value>> Source for I {
    fn next(&mut self, _: &Value) -> Option<Value> {
        Iterator::next(self).cloned()
    }
}

/// What is played, and to daemons of what kind: `daemon` and `config` as in a recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting(pub(crate) Value);

/// A conversation that was played.
#[derive(Debug)]
pub(crate) struct Played {
    /// Its steps, up to the one that differs, with the replies of the reference.
    pub(crate) steps: Vec<Value>,
    pub(crate) outcome: Outcome,
    pub(crate) met: Met,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Agrees,
    Differs(Difference),
    /// The reference ended or hung: there is nothing to compare with.
    Lost,
}

/// The first step whose replies differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) command: String,
    pub(crate) findings: Vec<Finding>,
}

impl Difference {
    /// By what differences are grouped: the command and the first line that differs.
    pub(crate) fn signature(&self) -> String {
        format!("{}: {}", self.command, self.findings[0].kind)
    }

    /// Both replies, where they differ.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            for (sign, line) in [('-', &finding.reference), ('+', &finding.ours)] {
                if let Some(line) = line {
                    text.push_str(&format!("    {sign} {line}\n"));
                }
            }
        }
        text
    }
}

/// Plays up to the first difference that is not listed. `first_id` is a number that no other conversation with these daemons
/// has within the next thousand.
pub(crate) fn play(
    source: &mut dyn Source,
    setting: &Setting,
    daemons: &mut dyn Daemons,
    known: &Known,
    first_id: u128,
) -> Played {
    let local = recording::local_addresses(&setting.0);
    let mut lanes = [0, 1].map(|_| Names::counting_from(local.clone(), first_id));
    let mut steps = Vec::new();
    let mut met = Met::new();
    let mut clients = [Clients::default(), Clients::default()];
    let mut last = Value::Null;
    let mut outcome = Outcome::Agrees;
    while let Some(mut step) = source.next(&last) {
        let index = steps.len();
        if packets::is_about(&step) {
            let [reference, ours] = pass_packets(&step, &mut lanes, &mut clients, daemons);
            if !reference["expect"].is_null() {
                step["expect"] = packets::expectation(&reference);
            }
            steps.push(step);
            last = json!({});
            if let Some(difference) =
                new_findings("packets", findings(&reference, &ours), (known, &steps), &mut met)
            {
                outcome = Outcome::Differs(difference);
                break;
            }
            continue;
        }
        let cookie = match step["cookie"].as_str() {
            Some(label) => format!("{first_id:x}-label-{label}"),
            None => format!("{first_id:x}-{index}"),
        };
        let mut formats = Vec::new();
        let mut scopes = Vec::new();
        let messages = lanes.each_mut().map(|names| {
            let (body, format, scope) = recording::request(&step, names);
            formats.push(format);
            scopes.push(scope);
            (cookie.clone(), body)
        });
        let [reference, ours] = daemons.exchange(messages);
        let command = step["request"]["command"].as_str().unwrap_or("raw").to_owned();
        if reference == Heard::Gone {
            outcome = Outcome::Lost;
            break;
        }
        let [first, second] = &mut lanes;
        let reference = read(&reference, first, formats[0], &scopes[0]);
        let ours_ended = ours == Heard::Gone;
        let mut ours = read(&ours, second, formats[1], &scopes[1]);
        if ours_ended {
            ours = json!({"result": "it has ended"});
        }
        step["reply"] = reference.clone();
        steps.push(step);
        // What the reference does wrong as well is no fault of ours.
        let faults = std::mem::take(&mut second.faults);
        let faults = if std::mem::take(&mut first.faults).is_empty() {
            faults
        } else {
            Vec::new()
        };
        let mut found = findings(&reference, &ours);
        found.extend(faults.into_iter().map(|fault| Finding {
            kind: "bad value".to_owned(),
            reference: None,
            ours: Some(fault),
        }));
        if let Some(difference) = new_findings(&command, found, (known, &steps), &mut met) {
            outcome = Outcome::Differs(difference);
            break;
        }
        last = reference;
    }
    clean_up(&lanes, daemons, first_id);
    Played { steps, outcome, met }
}

/// What is not listed. What is listed is counted.
fn new_findings(
    command: &str,
    mut found: Vec<Finding>,
    (known, steps): (&Known, &[Value]),
    met: &mut Met,
) -> Option<Difference> {
    found.retain(|finding| match known.position(command, finding, steps) {
        Some(position) => {
            *met.entry(position).or_default() += 1;
            false
        }
        None => true,
    });
    let command = command.to_owned();
    (!found.is_empty()).then_some(Difference {
        command,
        findings: found,
    })
}

/// Opens sockets, sends, or waits for what arrives; what differs is in the values.
fn pass_packets(
    step: &Value,
    lanes: &mut [Names; 2],
    clients: &mut [Clients; 2],
    daemons: &mut dyn Daemons,
) -> [Value; 2] {
    if let Some(pause) = step["pause"].as_f64() {
        thread::sleep(Duration::from_secs_f64(pause.clamp(0.0, 60.0)));
    }
    for (index, (clients, names)) in clients.iter_mut().zip(lanes.iter_mut()).enumerate() {
        if let Err(error) = clients.open(&step["open"], |address| daemons.open(index, address)) {
            eprintln!("{}: {error}", step["open"]);
        }
        for entry in packets::entries(step) {
            clients.send(entry, names);
        }
    }
    match step["expect"].is_null() {
        true => [json!({}), json!({})],
        false => packets::gather(clients, lanes),
    }
}

fn read(heard: &Heard, names: &mut Names, format: Format, scope: &str) -> Value {
    let Heard::Reply(body) = heard else {
        return json!({"no reply": 1});
    };
    let Ok((its_format, entries)) = ng::decode(body) else {
        return json!({"result": "undecodable reply"});
    };
    if its_format != format {
        names.faults.push(format!("the reply is in {its_format:?}"));
    }
    let reply = recording::object(&entries);
    // What is made up for a call without an id has that of the reply.
    let scope = if scope.is_empty() {
        reply["call-id"].as_str().unwrap_or_default()
    } else {
        scope
    };
    names.reply(scope, &reply)
}

/// Ends the calls of a conversation, so that their ports are free.
fn clean_up(lanes: &[Names; 2], daemons: &mut dyn Daemons, first_id: u128) {
    let calls = lanes
        .each_ref()
        .map(|names| names.calls().map(str::to_owned).collect::<Vec<_>>());
    for index in 0..calls[0].len().max(calls[1].len()) {
        let messages = calls.each_ref().map(|calls| {
            let call = calls.get(index).map_or("none", String::as_str);
            let request = json!({"command": "delete", "call-id": call, "delete-delay": 0, "flags": ["fast"]});
            (
                format!("{first_id:x}-end-{index}"),
                recording::encode(&request, Format::Bencode),
            )
        });
        daemons.exchange(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::shrink;

    /// Two daemons that reply with the SDP that they get; ours loses its last line if there is a flag `x`. The reference has
    /// gone after a flag `end`.
    struct Fake;

    impl Daemons for Fake {
        fn exchange(&mut self, messages: [(String, Vec<u8>); 2]) -> [Heard; 2] {
            let mut is_reference = true;
            messages.map(|(_, body)| {
                let (format, entries) = ng::decode(&body).expect("a request");
                let request = recording::object(&entries);
                let flags = request["flags"].to_string();
                if flags.contains("end") && is_reference {
                    return Heard::Gone;
                }
                let sdp = request["sdp"].as_str().unwrap_or_default();
                let whole = is_reference || !flags.contains('x');
                is_reference = false;
                let sdp = if whole {
                    sdp
                } else {
                    sdp.trim_end_matches("a=last\r\n")
                };
                Heard::Reply(recording::encode(&json!({"result": "ok", "sdp": sdp}), format))
            })
        }

        fn open(&mut self, _: usize, _: SocketAddr) -> io::Result<UdpSocket> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn played(conversation: &Value, known: &str) -> Played {
        let setting = Setting(json!({"daemon": []}));
        let mut steps = recording::array(&conversation["steps"]);
        play(
            &mut steps,
            &setting,
            &mut Fake,
            &Known::parse(known).unwrap(),
            1 << 16,
        )
    }

    fn offer(flags: &[&str]) -> Value {
        let sdp = "v=0\r\nm=audio 1 RTP/AVP 0\r\na=other\r\na=last\r\n";
        json!({"request": {"command": "offer", "call-id": "«CALL1»", "sdp": sdp, "flags": flags}})
    }

    #[test]
    fn differences_are_found_and_shrunk() {
        let conversation = json!({"steps": [offer(&[]), offer(&["y", "x"]), offer(&[])]});
        let once = played(&conversation, "");
        let Outcome::Differs(difference) = &once.outcome else {
            panic!("{:?}", once.outcome);
        };
        assert_eq!(difference.signature(), "offer: a=last missing");
        assert_eq!(once.steps.len(), 2);
        let smallest = shrink(&json!({"steps": once.steps}), |smaller| {
            match played(smaller, "").outcome {
                Outcome::Differs(other) => other.signature() == difference.signature(),
                Outcome::Agrees | Outcome::Lost => false,
            }
        });
        let request = &smallest["steps"][0]["request"];
        assert_eq!(request["flags"], json!(["x"]));
        assert_eq!(request["sdp"], json!("v=0\r\nm=audio 1 RTP/AVP 0\r\na=last\r\n"));
        assert_eq!(smallest["steps"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_known_is_no_difference() {
        let conversation = json!({"steps": [offer(&["x"])]});
        let known = played(&conversation, "# why\noffer: a=last missing\n");
        assert_eq!(known.outcome, Outcome::Agrees);
        assert_eq!(known.met.len(), 1);
    }

    #[test]
    fn without_the_reference_nothing_is_compared() {
        let conversation = json!({"steps": [offer(&["end", "x"])]});
        assert_eq!(played(&conversation, "").outcome, Outcome::Lost);
    }
}
