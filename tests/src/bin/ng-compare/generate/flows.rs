//! What happens in a conversation, one act after the other.

use super::acts::{Act, State};
use super::packets::Traffic;
use super::requests::Plain;
use crate::random::Random;

/// The acts of a conversation of a kind.
pub(crate) fn plan(random: &mut Random, state: &mut State, flow: &str) -> Vec<Act> {
    let mut plan = Plan {
        random,
        acts: Vec::new(),
    };
    match flow {
        "fork" => plan.fork(),
        "subscribe" => plan.subscribe(),
        "publish" => plan.publish(),
        "connect" | "mesh" => plan.connect(flow == "mesh"),
        "create" => plan.create(),
        "transform" => {
            for _ in 0..1 + plan.random.below(3) {
                plan.plain(Plain::Transform, 1);
            }
            plan.plain(Plain::Query, 1);
        }
        "control" => {
            plan.call(0, (0, 1));
            for _ in 0..1 + plan.random.below(4) {
                plan.plain(Plain::Control, 2);
            }
            plan.plain(Plain::Query, 2);
        }
        "delete" => {
            plan.call(0, (0, 1));
            plan.plain(Plain::Delete, 2);
            plan.plain(Plain::Query, 2);
            plan.after(2);
        }
        "packets" => plan.packets(),
        "wrong" => {
            if plan.random.percent(50) {
                plan.call(0, (0, 1));
            }
            for _ in 0..1 + plan.random.below(3) {
                plan.plain(Plain::Wrong, 2);
            }
        }
        _ => {
            plan.call(0, (0, 1));
            plan.after(4);
        }
    }
    debug_assert!(!plan.acts.is_empty(), "{:?}", state.vocabulary());
    plan.acts
}

struct Plan<'a> {
    random: &'a mut Random,
    acts: Vec<Act>,
}

impl Plan<'_> {
    fn plain(&mut self, what: Plain, parties: usize) {
        self.acts.push(Act::Plain {
            what,
            call: 0,
            parties,
        });
    }

    /// Offer and, mostly, answer.
    fn call(&mut self, call: usize, (from, by): (usize, usize)) {
        self.acts.push(Act::Offer {
            from,
            to: None,
            call,
            branch: None,
        });
        if self.random.percent(93) {
            self.acts.push(Act::Answer {
                from,
                by,
                call,
                branch: None,
            });
        }
    }

    fn again(&mut self, from: usize, to: usize) {
        self.acts.push(Act::Offer {
            from,
            to: Some(to),
            call: 0,
            branch: None,
        });
        if self.random.percent(92) {
            self.acts.push(Act::Answer {
                from,
                by: to,
                call: 0,
                branch: None,
            });
        }
    }

    /// What may come later in a call of the first two parties.
    fn after(&mut self, most: usize) {
        for _ in 0..self.random.count(50, most) {
            match self.random.weighted(&[
                (35, "caller"),
                (20, "callee"),
                (8, "query"),
                (4, "delete"),
                (1, "list"),
                (4, "control"),
                (5, "answer"),
                (3, "other answer"),
                (2, "late"),
                (3, "subscribe"),
                (1, "itself"),
            ]) {
                "caller" => self.again(0, 1),
                "callee" => self.again(1, 0),
                "query" => self.plain(Plain::Query, 2),
                "delete" => {
                    self.plain(Plain::Delete, 2);
                    self.plain(Plain::Query, 2);
                }
                "list" => self.plain(Plain::List, 2),
                "control" => self.plain(Plain::Control, 2),
                "answer" => self.acts.push(Act::Answer {
                    from: 0,
                    by: 1,
                    call: 0,
                    branch: None,
                }),
                "other answer" => self.acts.push(Act::Answer {
                    from: 0,
                    by: 2,
                    call: 0,
                    branch: None,
                }),
                "late" => self.again(0, 2),
                "subscribe" => self.listen(4, 2),
                _ => self.acts.push(Act::Offer {
                    from: 0,
                    to: Some(0),
                    call: 0,
                    branch: None,
                }),
            }
        }
    }

    fn listen(&mut self, by: usize, sources: usize) {
        self.acts.push(Act::Subscribe { by, call: 0, sources });
        if self.random.percent(85) {
            self.acts.push(Act::SubscribeAnswer { by, call: 0 });
        }
    }

    /// A call with media.
    fn packets(&mut self) {
        self.acts.push(Act::Packets(Traffic::Open));
        self.acts.push(Act::Offer {
            from: 0,
            to: None,
            call: 0,
            branch: None,
        });
        if self.random.percent(15) {
            self.burst();
        }
        self.acts.push(Act::Answer {
            from: 0,
            by: 1,
            call: 0,
            branch: None,
        });
        for _ in 0..2 + self.random.below(5) {
            match self.random.below(20) {
                0 => self.again(0, 1),
                1 => self.again(1, 0),
                2 => self.plain(Plain::Control, 2),
                3 => self.listen(4, 2),
                4 => self.plain(Plain::Query, 2),
                5 => self.acts.push(Act::Packets(Traffic::Pause)),
                _ => {}
            }
            self.burst();
        }
        self.plain(Plain::Query, 2);
    }

    fn burst(&mut self) {
        for _ in 0..1 + self.random.below(3) {
            self.acts.push(Act::Packets(Traffic::Send));
        }
        self.acts.push(Act::Packets(Traffic::Expect));
    }

    fn fork(&mut self) {
        let branches = 1 + self.random.below(3);
        let with_branches = self.random.percent(80);
        let branch = |index: usize| with_branches.then_some(index);
        for index in 0..branches {
            self.acts.push(Act::Offer {
                from: 0,
                to: None,
                call: 0,
                branch: branch(index),
            });
        }
        let mut order: Vec<usize> = (0..branches.max(2)).collect();
        self.random.shuffle(&mut order);
        for index in order.into_iter().take(1 + self.random.below(3)) {
            let branch = branch(index).filter(|_| self.random.percent(85));
            self.acts.push(Act::Answer {
                from: 0,
                by: 1 + index,
                call: 0,
                branch,
            });
        }
        for _ in 0..self.random.count(60, 4) {
            let party = 1 + self.random.below(branches);
            match self.random.below(7) {
                0 | 1 => self.plain(Plain::Delete, 3),
                2 => self.again(0, party),
                3 => self.again(party, 0),
                4 => self.acts.push(Act::Answer {
                    from: 0,
                    by: party,
                    call: 0,
                    branch: branch(party - 1),
                }),
                5 => self.acts.push(Act::Offer {
                    from: 0,
                    to: None,
                    call: 0,
                    branch: branch(party - 1),
                }),
                _ => self.plain(Plain::Query, 3),
            }
        }
        self.plain(Plain::Query, 3);
    }

    fn subscribe(&mut self) {
        self.call(0, (0, 1));
        self.listen(4, 2);
        for _ in 0..self.random.count(60, 5) {
            match self.random.below(12) {
                0..3 => self.listen(4, 2),
                3 | 4 => self.listen(5, 2),
                5 => self.again(0, 1),
                6 => self.again(1, 0),
                7 => self.plain(Plain::Query, 2),
                8 => self.plain(Plain::Unsubscribe, 2),
                9 => self.acts.push(Act::SubscribeAnswer { by: 4, call: 0 }),
                10 => self.plain(Plain::Control, 2),
                _ => self.plain(Plain::Delete, 2),
            }
        }
    }

    fn publish(&mut self) {
        let publishers = self.random.weighted(&[(6, 1), (3, 2), (1, 3)]);
        for by in 0..publishers {
            self.acts.push(Act::Publish { by, call: 0 });
        }
        for _ in 0..self.random.count(65, 4) {
            match self.random.below(8) {
                0..4 => self.listen(4, publishers),
                4 => self.listen(5, publishers),
                5 => self.acts.push(Act::Publish { by: 0, call: 0 }),
                6 => self.plain(Plain::Unsubscribe, publishers),
                _ => self.plain(Plain::Query, publishers),
            }
        }
    }

    fn connect(&mut self, is_mesh: bool) {
        self.call(0, (0, 1));
        self.call(1, (2, 3));
        let what = if is_mesh { Plain::Mesh } else { Plain::Connect };
        self.plain(what, 4);
        for _ in 0..self.random.count(60, 4) {
            match self.random.below(7) {
                0 => self.plain(what, 4),
                1 => self.again(0, 2),
                2 => self.again(1, 2),
                3 => self.again(2, 1),
                4 => self.again(0, 1),
                5 => self.plain(Plain::Delete, 4),
                _ => self.plain(Plain::Query, 4),
            }
        }
        self.plain(Plain::Query, 4);
    }

    fn create(&mut self) {
        self.plain(Plain::Create, 1);
        if self.random.percent(85) {
            self.acts.push(Act::CreateAnswer { by: 0, call: 0 });
        }
        for _ in 0..self.random.count(60, 3) {
            match self.random.below(5) {
                0 => self.plain(Plain::Create, 1),
                1 => self.acts.push(Act::CreateAnswer { by: 0, call: 0 }),
                2 => self.listen(4, 1),
                3 => self.again(0, 1),
                _ => self.plain(Plain::Query, 1),
            }
        }
    }
}
